package catalog

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
)

// piece is how many letters a piece of an index of words has.
const piece = 3

// pieces are those of a text that is looked for in a column of an index of words, each once. The last come first: names
// differ in their ends rather than in their beginnings.
func pieces(text string, column int) (found []term) {
	letters := []rune(text)
	seen := map[string]bool{}
	for at := len(letters) - piece; at >= 0; at-- {
		if p := string(letters[at : at+piece]); !seen[p] {
			seen[p] = true
			found = append(found, term{column: column, piece: p, text: text, at: at})
		}
	}
	return found
}

// letters are those that stand before each name of an organization in an index of words.
func (c *Catalog) letters(ctx context.Context, orgID string) (letters string, err error) {
	err = c.db.QueryRowContext(ctx, `SELECT letters FROM organizations WHERE id = $1`, orgID).Scan(&letters)
	return letters, absent(err, "organization")
}

// words is an index of words: how it is asked for each of its columns, and how the words of some rows of its table are
// read again: $3 of the numbers $1 and more, about $2 apart.
type words struct {
	columns []string
	rows    string
}

// A row is taken from each stretch of the table, not always from the same place in it: rows that come in turns would
// be taken always from the same.
const stretches = `WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $3) `

var (
	logWords = words{[]string{""}, stretches + `SELECT g.letters || ' ' || o.name || '  ', '' FROM n
		CROSS JOIN operations o ON o.rowid = (SELECT min(rowid) FROM operations WHERE rowid >= $1 + n.i * $2 + n.i * 7919 % $2) JOIN organizations g ON g.id = o.organization_id`}
	auditWords = words{[]string{"who : ", "what : "}, stretches + `SELECT coalesce(g.letters, '') || ' ' || a.actor_name || '  ', a.action || '  ' || a.object_name || '  ' || a.object_id || '  ' FROM n
		CROSS JOIN audit a ON a.seq = (SELECT min(seq) FROM audit WHERE seq >= $1 + n.i * $2 + n.i * 7919 % $2) LEFT JOIN organizations g ON g.id = a.organization_id`}
)

// term is a piece that is looked for in one column of an index of words.
type term struct {
	column int
	piece  string
	text   string // what it is a piece of
	at     int    // its place there, in letters
}

// near says that two pieces of a text have two letters in common: where one is found, the other most often is, too.
func (t term) near(other term) bool {
	return t.column == other.column && t.text == other.text && max(t.at-other.at, other.at-t.at) < piece-1
}

// match asks an index of words for rows that have every one of terms.
func (w words) match(terms []term) string {
	var parts []string
	for _, t := range terms {
		parts = append(parts, w.columns[t.column]+`"`+strings.ReplaceAll(t.piece, `"`, `""`)+`"`)
	}
	return strings.Join(parts, " AND ")
}

// samples are so many rows that tell how rare a piece is.
const samples = 96

// rowCost says how long it takes to look at a row: as long as to pass so many of a term in an index of words.
const rowCost = 40

// mostTerms is how many terms an index of words is asked for at most.
const mostTerms = 16

// rare are those of terms that an index of words is asked for, so that it finds quickly what has all of them: the
// rare ones, and of the others those that leave a quarter of the rest or spare more than it takes to pass their rows. Who asks
// compares what is found with the text. How rare they are is guessed from a few rows from first to last, or not at all
// where there are few; a bad guess costs time and nothing else.
func (c *Catalog) rare(ctx context.Context, w words, first, last int64, terms []term) ([]term, error) {
	var rows [][2]string
	if last-first >= int64(c.limits.uncertain) {
		var err error
		if rows, err = c.sample(ctx, w, first, last); err != nil {
			return nil, err
		}
	}
	with := func(rows [][2]string, t term) (some [][2]string) {
		piece := strings.ToLower(t.piece)
		for _, texts := range rows {
			if strings.Contains(texts[t.column], piece) {
				some = append(some, texts)
			}
		}
		return some
	}
	common := map[term]int{}
	for _, t := range terms {
		common[t] = len(with(rows, t))
	}
	slices.SortStableFunc(terms, func(a, b term) int { return cmp.Compare(common[a], common[b]) })
	var chosen []term
	left, about := rows, float64(len(rows)) // those that have all chosen terms; about how many, also where none has them
	for _, t := range terms {
		if len(left) == 0 && slices.ContainsFunc(chosen, t.near) {
			continue // nothing says that it is rarer than what was chosen
		}
		n, both := common[t], with(left, t)
		then := float64(len(both))
		if then == 0 {
			then = about * (float64(n) + 0.5) / samples
		}
		if chosen == nil || n == 0 || 4*then <= about || (about-then)*rowCost > float64(n) {
			chosen, left, about = append(chosen, t), both, then
		}
		if len(chosen) == mostTerms {
			break
		}
	}
	return chosen, nil
}

// sample reads the words of a few rows from first to last, in small letters.
func (c *Catalog) sample(ctx context.Context, w words, first, last int64) ([][2]string, error) {
	return collect(ctx, c.db, func(row scanner) (texts [2]string, err error) {
		err = row.Scan(&texts[0], &texts[1])
		return [2]string{strings.ToLower(texts[0]), strings.ToLower(texts[1])}, err
	}, w.rows, first, max((last-first)/samples, 1), samples)
}

// mergePages is how many pages of an index of words are merged in one transaction: a few milliseconds. mergeSteps is how
// many of these follow one another at most.
const (
	mergePages = 64
	mergeSteps = 200
)

// MergeWords merges the parts that single lines leave in the indices of words, which are slow to search when they are many.
// It is called now and then, leaves to the next time what would take long, and takes no room of the reserve.
func (c *Catalog) MergeWords(ctx context.Context) error {
	for _, merge := range []string{
		`INSERT INTO log_words (log_words, rank) VALUES ('merge', $1)`,
		`INSERT INTO audit_words (audit_words, rank) VALUES ('merge', $1)`,
	} {
		for range mergeSteps {
			if more, err := c.mergeStep(ctx, merge); err != nil || !more {
				if err != nil {
					return fmt.Errorf("merge words: %w", err)
				}
				break
			}
		}
	}
	return nil
}

// mergeStep says whether there was anything to merge: beside the statement itself something was changed.
func (c *Catalog) mergeStep(ctx context.Context, merge string) (more bool, err error) {
	err = c.once(ctx, func(tx *transaction) error {
		const changes = `SELECT total_changes()`
		var before, after int
		if err := tx.QueryRowContext(ctx, changes).Scan(&before); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, merge, mergePages); err != nil {
			return err
		}
		err := tx.QueryRowContext(ctx, changes).Scan(&after)
		more = after-before > 1
		return err
	})
	return more, err
}
