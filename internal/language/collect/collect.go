// Command collect brings the catalogues up to date with the sentences of the program: new ones are added without a
// translation, those that are no longer said are removed.
//
// It reads templates (t, tn, say) and Go (Say, HTML, Count, CountHTML, Word, Mark, and the formats of errors for
// people: Errorf, Invalid, WithHint). Run it in the repository: go run ./internal/language/collect
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/safepoint-db/safepoint/internal/language/sentences"
)

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, "collect:", err)
		os.Exit(1)
	}
}

func run(root string) error {
	said, err := sentences.Collect(root)
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(root, "internal/language/po/*.po"))
	if err != nil {
		return err
	}
	for _, f := range files {
		old, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		merged, missing := sentences.Merge(old, said)
		if err := os.WriteFile(f, merged, 0o644); err != nil {
			return err
		}
		fmt.Printf("%s: %d sentences, %d without a translation\n", strings.TrimSuffix(filepath.Base(f), ".po"), len(said), missing)
	}
	return nil
}
