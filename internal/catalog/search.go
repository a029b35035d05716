package catalog

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/safepoint-db/safepoint"
)

// limits bound what a search reads.
type limits struct {
	counted   int // matches that are counted at most; not less than a page has rows
	readable  int // rows that are read one by one rather than asking an index of words
	uncertain int // rows from which on it is not worth the time to ask how common a text is
}

var searchLimits = limits{counted: 1000, readable: 5000, uncertain: 20_000}

// searchPage is logPage for a filter with a text.
func (c *Catalog) searchPage(ctx context.Context, l logs, at logCursor, limit int, page *safepoint.OperationPage) error {
	found, err := c.search(ctx, l, false, c.limits.counted+1)
	if err != nil {
		return err
	}
	page.Total, page.More = min(len(found), c.limits.counted), len(found) > c.limits.counted
	// from is the first row of the page among those found, to the one after its last.
	from := 0
	for !at.isZero() && from < len(found) && found[from] >= at.place {
		from++
	}
	if at.newer {
		if page.More && at.place < found[c.limits.counted] {
			return c.searchDeep(ctx, l, at, limit, page)
		}
		if from > 0 && found[from-1] == at.place {
			from--
		}
		from = max(from-limit, 0)
	}
	to := min(from+limit, len(found))
	if page.More && to > c.limits.counted {
		return c.searchDeep(ctx, l, at, limit, page)
	}
	page.Offset = from
	if from == to {
		if !at.isZero() {
			page.Previous = logCursor{true, at.place}.String()
		}
		return nil
	}
	rows, err := c.rowsAt(ctx, found[from:to])
	if err == nil && len(rows) > 0 {
		show(page, rows, from > 0, to < len(found))
	}
	return err
}

// searchDeep reads a page beyond the matches that were counted.
func (c *Catalog) searchDeep(ctx context.Context, l logs, at logCursor, limit int, page *safepoint.OperationPage) error {
	page.Offset = -1
	found, err := c.search(ctx, l.beside(at), at.newer, limit+1)
	if err != nil {
		return err
	}
	more := len(found) > limit
	if found = found[:min(len(found), limit)]; len(found) == 0 {
		page.Previous = logCursor{true, at.place}.String()
		return nil
	}
	if at.newer {
		slices.Reverse(found)
	}
	rows, err := c.rowsAt(ctx, found)
	if err == nil && len(rows) > 0 {
		show(page, rows, !at.newer || more, at.newer || more)
	}
	return err
}

// rowsAt reads the operations at places, newest first. One that was deleted meanwhile is left out.
func (c *Catalog) rowsAt(ctx context.Context, places []int64) ([]placed, error) {
	args := make([]any, len(places))
	for i, p := range places {
		args[i] = p
	}
	return c.placedRows(ctx, `WHERE place IN (`+placeholders(len(places))+`) AND deleted_at = 0 ORDER BY place DESC`, args...)
}

// search returns the places of up to n rows of l whose names have its text, newest first, or oldest first.
//
// A common text is looked for in the rows that the rest of the filter leaves, a rare one in the index of words.
func (c *Catalog) search(ctx context.Context, l logs, oldestFirst bool, n int) ([]int64, error) {
	order := ` DESC`
	if oldestFirst {
		order = ``
	}
	end := order + ` LIMIT ` + strconv.Itoa(n)
	if l.from >= l.to {
		return nil, nil
	}
	left, err := c.countLogs(ctx, l)
	if err != nil || left == 0 {
		return nil, err
	}
	w := l.where()
	w.add(`lower(name) LIKE lower(?) ESCAPE '\'`, "%"+escapeLike(l.text)+"%")
	rows := `SELECT place FROM operations WHERE ` + w.sql
	if left <= c.limits.readable || !utf8.ValidString(l.text) || strings.ContainsRune(l.text, 0) {
		return c.places(ctx, rows+` ORDER BY place`+end, w.args...)
	}
	if utf8.RuneCountInString(l.text) < piece {
		n, err := c.countPieces(ctx, "log_pieces", l.text)
		if err != nil {
			return nil, err
		}
		if n > c.limits.readable || !isASCII(l.text) {
			return c.places(ctx, rows+` ORDER BY place`+end, w.args...)
		}
		w.add(`term >= lower(?) AND term < lower(?)||char(1114111)`, l.text)
		return c.places(ctx, `SELECT DISTINCT place FROM log_pieces CROSS JOIN operations ON place = doc WHERE `+w.sql+` ORDER BY place`+end, w.args...)
	}
	words, err := c.words(ctx, l.orgID, l.text)
	if err != nil {
		return nil, err
	}
	if l.typ+l.status+l.databaseID+l.scheduleID != "" && left < c.limits.uncertain {
		var common int
		err := c.db.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 FROM log_words WHERE log_words MATCH $1 AND rowid >= $2 AND rowid < $3 LIMIT $4)`,
			words, l.from, l.to, left).Scan(&common)
		if err != nil {
			return nil, err
		}
		if common >= left {
			return c.places(ctx, rows+` ORDER BY place`+end, w.args...)
		}
	}
	w.add(`log_words MATCH ?`, words)
	w.add(`log_words.rowid >= ?`, l.from)
	w.add(`log_words.rowid < ?`, l.to)
	return c.places(ctx, `SELECT place FROM log_words CROSS JOIN operations ON place = log_words.rowid WHERE `+w.sql+
		` ORDER BY log_words.rowid`+end, w.args...)
}

func (c *Catalog) places(ctx context.Context, query string, args ...any) ([]int64, error) {
	return collect(ctx, c.db, func(row scanner) (p int64, err error) { return p, row.Scan(&p) }, query, args...)
}

// piece is how many letters a piece of the index of words has.
const piece = 3

// words asks the index of words for the names of an organization that have every piece of text. What it answers
// must still be compared with the text: the pieces may stand elsewhere.
func (c *Catalog) words(ctx context.Context, orgID, text string) (string, error) {
	letters, err := c.letters(ctx, orgID)
	return quoted(letters) + pieces(text), err
}

// countPieces counts where pieces in an index begin with a text of one or two letters: what nothing begins with is
// nowhere. It stops after what may be read.
func (c *Catalog) countPieces(ctx context.Context, index, text string) (n int, err error) {
	err = c.db.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 FROM `+index+` WHERE term >= lower($1) AND term < lower($1)||char(1114111) LIMIT $2)`,
		text, c.limits.readable+1).Scan(&n)
	return n, err
}

// letters are those that stand before each name of an organization in an index of words.
func (c *Catalog) letters(ctx context.Context, orgID string) (letters string, err error) {
	err = c.db.QueryRowContext(ctx, `SELECT letters FROM organizations WHERE id = $1`, orgID).Scan(&letters)
	return letters, absent(err, "organization")
}

// pieces are the pieces that cover text, each to be found.
func pieces(text string) string {
	letters := []rune(text)
	var b strings.Builder
	for i := 0; i < len(letters); i += piece {
		i = min(i, len(letters)-piece)
		b.WriteString(" AND " + quoted(string(letters[i:i+piece])))
	}
	return b.String()
}

func quoted(word string) string { return `"` + strings.ReplaceAll(word, `"`, `""`) + `"` }

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}
