package catalog

import (
	"cmp"
	"context"
	"slices"
	"strings"
)

// piece is how many letters a piece of an index of words has.
const piece = 3

// pieces are those that cover text, each once.
func pieces(text string) (found []string) {
	letters := []rune(text)
	for i := 0; i < len(letters); i += piece {
		i = min(i, len(letters)-piece)
		if p := string(letters[i : i+piece]); !slices.Contains(found, p) {
			found = append(found, p)
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

// rare are those of terms that an index of words is asked for, so that it finds quickly what has all of them: the
// rare ones, and of the others those that spare more than it takes to pass their rows. Who asks compares what is found
// with the text. How rare they are is guessed from a few rows from first to last; a bad guess costs time and nothing else.
func (c *Catalog) rare(ctx context.Context, w words, first, last int64, terms []term) ([]term, error) {
	rows, err := collect(ctx, c.db, func(row scanner) (texts [2]string, err error) {
		err = row.Scan(&texts[0], &texts[1])
		return [2]string{strings.ToLower(texts[0]), strings.ToLower(texts[1])}, err
	}, w.rows, first, max((last-first)/samples, 1), samples)
	if err != nil {
		return nil, err
	}
	with := func(rows [][2]string, t term) (some [][2]string) {
		for _, texts := range rows {
			if strings.Contains(texts[t.column], strings.ToLower(t.piece)) {
				some = append(some, texts)
			}
		}
		return some
	}
	slices.SortStableFunc(terms, func(a, b term) int { return cmp.Compare(len(with(rows, a)), len(with(rows, b))) })
	var chosen []term
	left, about := rows, float64(len(rows)) // those that have all chosen terms; about how many, also where none has them
	for _, t := range terms {
		n, both := len(with(rows, t)), with(left, t)
		then := float64(len(both))
		if then == 0 {
			then = about * (float64(n) + 0.5) / samples
		}
		if chosen == nil || n == 0 || (about-then)*rowCost > float64(n) {
			chosen, left, about = append(chosen, t), both, then
		}
	}
	return chosen, nil
}
