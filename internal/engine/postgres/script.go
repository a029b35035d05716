package postgres

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// scanner cuts a script into statements exactly where psql does: quotes, dollar quotes, comments, parentheses and the
// BEGIN ATOMIC … END of a function hide semicolons. It assumes standard_conforming_strings = on.
type scanner struct {
	r   *bufio.Reader
	buf []byte // the present piece: comments and blanks before a statement, and the statement

	content    bool // buf holds more than comments and blanks
	parens     int
	begins     int
	words      [4]byte // initials of create, or, replace, function, procedure among the statement's first words
	wordCount  int
	pendingE   bool // the last token was the letter E: a string that follows has backslash escapes
	afterIdent bool // the last byte belongs to an identifier or number: a dollar sign goes on with it
}

// maxStatement bounds one statement that is held in memory.
const maxStatement = 512 << 20

var errStatementTooLong = errors.New("a statement is longer than 512 MiB")

func newScanner(r io.Reader) *scanner { return &scanner{r: bufio.NewReaderSize(r, 64<<10)} }

// next returns the next statement, with the comments before it and its semicolon; meta says that it is a line for
// psql itself ("\restrict …") instead. The bytes are good until the call after. At the end it returns io.EOF;
// io.ErrUnexpectedEOF if that comes inside a statement.
func (s *scanner) next() (statement []byte, meta bool, err error) {
	s.buf = s.buf[:0]
	s.content, s.parens, s.begins, s.wordCount, s.words = false, 0, 0, 0, [4]byte{}
	s.pendingE, s.afterIdent = false, false
	for {
		c, err := s.get()
		if err == io.EOF {
			if s.content {
				return nil, false, io.ErrUnexpectedEOF
			}
			return nil, false, io.EOF
		}
		if err != nil {
			return nil, false, err
		}
		if isWordStart(c) && !s.afterIdent {
			if err := s.word(c); err != nil {
				return nil, false, err
			}
			continue
		}
		escapes := s.pendingE
		s.pendingE = false
		continued := s.afterIdent
		s.afterIdent = isWordPart(c)
		switch {
		case c == ';':
			s.content = true
			if s.parens == 0 && s.begins == 0 {
				return s.buf, false, nil
			}
		case c == '\\':
			if err := s.line(); err != nil && err != io.EOF {
				return nil, false, err
			}
			return s.buf, true, nil
		case c == '\'':
			err = s.quoted('\'', escapes)
		case c == '"':
			err = s.quoted('"', false)
		case c == '$' && !continued:
			err = s.dollar()
		case c == '-' && s.peek() == '-':
			err = s.line()
			if err == io.EOF {
				err = nil
			}
			continue
		case c == '/' && s.peek() == '*':
			if err = s.block(); err == nil {
				continue
			}
		case c == '(':
			s.parens++
		case c == ')':
			s.parens = max(0, s.parens-1)
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v':
			continue
		}
		s.content = true
		if err != nil {
			return nil, false, unexpected(err)
		}
	}
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (s *scanner) get() (byte, error) {
	c, err := s.r.ReadByte()
	if err != nil {
		return 0, err
	}
	if len(s.buf) >= maxStatement {
		return 0, errStatementTooLong
	}
	s.buf = append(s.buf, c)
	return c, nil
}

func (s *scanner) peek() byte {
	b, err := s.r.Peek(1)
	if err != nil {
		return 0
	}
	return b[0]
}

func isWordStart(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}

func isWordPart(c byte) bool { return isWordStart(c) || c >= '0' && c <= '9' || c == '$' }

// word reads an identifier or keyword that begins with c, and keeps count of BEGIN … END as psql does.
func (s *scanner) word(c byte) error {
	from := len(s.buf) - 1
	for isWordPart(s.peek()) {
		if _, err := s.get(); err != nil {
			return err
		}
	}
	word := s.buf[from:]
	s.content, s.afterIdent = true, true
	s.pendingE = len(word) == 1 && (c == 'e' || c == 'E')
	if s.pendingE || s.peek() == '\'' || s.peek() == '"' {
		s.afterIdent = false // what follows is a quote, not more of this word
	}
	is := func(keyword string) bool { return bytes.EqualFold(word, []byte(keyword)) }
	if s.wordCount < len(s.words) && (is("create") || is("or") || is("replace") || is("function") || is("procedure")) {
		s.words[s.wordCount] = c | 0x20
	}
	s.wordCount++
	if s.parens > 0 || !s.definesRoutine() {
		return nil
	}
	switch {
	case is("begin"):
		s.begins++
	case is("case") && s.begins > 0:
		s.begins++
	case is("end") && s.begins > 0:
		s.begins--
	}
	return nil
}

// definesRoutine says that the statement begins with CREATE [OR REPLACE] FUNCTION or PROCEDURE.
func (s *scanner) definesRoutine() bool {
	w := s.words
	isRoutine := func(c byte) bool { return c == 'f' || c == 'p' }
	return w[0] == 'c' && (isRoutine(w[1]) || w[1] == 'o' && w[2] == 'r' && isRoutine(w[3]))
}

// quoted reads to the closing quote. A doubled quote reads as two strings one after the other, which ends alike.
func (s *scanner) quoted(quote byte, escapes bool) error {
	for {
		c, err := s.get()
		if err != nil {
			return err
		}
		switch {
		case c == '\\' && escapes:
			if _, err := s.get(); err != nil {
				return err
			}
		case c == quote && s.peek() == quote:
			if _, err := s.get(); err != nil {
				return err
			}
		case c == quote:
			return nil
		}
	}
}

// dollar reads a dollar-quoted string, or just the dollar sign of something else, such as $1.
func (s *scanner) dollar() error {
	from := len(s.buf) - 1
	if c := s.peek(); c != '$' && !isWordStart(c) {
		return nil
	}
	for {
		c := s.peek()
		if c == '$' {
			s.get()
			break
		}
		if !isWordPart(c) {
			s.afterIdent = false
			return nil
		}
		if _, err := s.get(); err != nil {
			return err
		}
	}
	tag := bytes.Clone(s.buf[from:])
	body := len(s.buf)
	for {
		c, err := s.get()
		if err != nil {
			return err
		}
		if c == '$' && len(s.buf)-body >= len(tag) && bytes.HasSuffix(s.buf, tag) {
			s.afterIdent = false
			return nil
		}
	}
}

func (s *scanner) line() error {
	for {
		if c, err := s.get(); err != nil || c == '\n' {
			return err
		}
	}
}

// block reads a comment, which may hold others.
func (s *scanner) block() error {
	s.get() // the star
	for depth, last := 1, byte(0); depth > 0; {
		c, err := s.get()
		if err != nil {
			return err
		}
		switch {
		case last == '*' && c == '/':
			depth--
			c = 0
		case last == '/' && c == '*':
			depth++
			c = 0
		}
		last = c
	}
	return nil
}

// checkScript refuses SQL that is not whole statements, or that holds lines for a client program. It calls each with
// every statement, which is good until the call returns.
func checkScript(sql []byte, each func(statement []byte)) error {
	s := newScanner(bytes.NewReader(sql))
	for {
		statement, meta, err := s.next()
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
