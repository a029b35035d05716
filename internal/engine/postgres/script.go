package postgres

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/safepoint-db/safepoint/internal/sqlscript"
)

// checkScript refuses SQL that is not whole statements, or that holds lines for a client program. It calls each with
// every statement, which is good until the call returns.
func checkScript(sql []byte, each func(statement []byte)) error {
	s := sqlscript.New(bytes.NewReader(sql))
	for {
		statement, meta, err := s.Next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("read a statement: %w", err)
		case meta:
			line := strings.TrimSpace(string(statement[bytes.LastIndexByte(statement[:max(0, len(statement)-1)], '\n')+1:]))
			return fmt.Errorf("it holds a command for a client program: %.40q", line)
		}
		each(statement)
	}
}
