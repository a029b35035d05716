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
	pieces    int // places where pieces begin with a short text, which are read one by one
	uncertain int // rows from which on it is worth the time to ask how common words are
}

var searchLimits = limits{counted: 1000, readable: 20_000, pieces: 5000, uncertain: 20_000}

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
// A common text is looked for in the rows that the rest of the filter leaves, whose names are in the index by which they
// are found; a rare one in the index of words.
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
	w.add(`name LIKE ? ESCAPE '\'`, "%"+escapeLike(l.text)+"%")
	rows := `SELECT place FROM operations WHERE ` + w.sql + ` ORDER BY place` + end
	if left <= c.limits.readable || !utf8.ValidString(l.text) || strings.ContainsRune(l.text, 0) {
		return c.places(ctx, rows, w.args...)
	}
	if utf8.RuneCountInString(l.text) < piece {
		n, err := c.countPieces(ctx, "log_pieces", l.text)
		if err != nil {
			return nil, err
		}
		if n > c.limits.pieces || !isASCII(l.text) {
			return c.places(ctx, rows, w.args...)
		}
		w.add(`term >= lower(?) AND term < lower(?)||char(1114111)`, l.text)
		return c.places(ctx, `SELECT DISTINCT place FROM log_pieces CROSS JOIN operations ON place = doc WHERE `+w.sql+` ORDER BY place`+end, w.args...)
	}
	words, err := c.words(ctx, l)
	if err != nil {
		return nil, err
	}
	if l.typ+l.status+l.databaseID+l.scheduleID != "" {
		var common int
		err = c.db.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 FROM log_words WHERE log_words MATCH $1 AND rowid >= $2 AND rowid < $3 LIMIT $4)`,
			words, l.from, l.to, left/seekCost+1).Scan(&common)
		if err != nil {
			return nil, err
		}
		if common > left/seekCost {
			return c.places(ctx, rows, w.args...)
		}
	}
	index := `operations_log_schedule`
	if l.by != "schedule_id" {
		l.by, index = "", `operations_log`
	}
	w = l.where()
	w.add(`name LIKE ? ESCAPE '\'`, "%"+escapeLike(l.text)+"%")
	w.add(`log_words MATCH ?`, words)
	w.add(`log_words.rowid >= ?`, l.from)
	w.add(`log_words.rowid < ?`, l.to)
	return c.places(ctx, `SELECT place FROM log_words CROSS JOIN operations INDEXED BY `+index+` ON place = log_words.rowid WHERE `+w.sql+
		` ORDER BY log_words.rowid`+end, w.args...)
}

// seekCost is how many rows are read one after another in the time in which one is found in an index.
const seekCost = 16

func (c *Catalog) places(ctx context.Context, query string, args ...any) ([]int64, error) {
	return collect(ctx, c.db, func(row scanner) (p int64, err error) { return p, row.Scan(&p) }, query, args...)
}

// words asks the index of words for the names of an organization that may have the text of l.
func (c *Catalog) words(ctx context.Context, l logs) (string, error) {
	letters, err := c.letters(ctx, l.orgID)
	if err != nil {
		return "", err
	}
	terms := append([]term{{piece: letters}}, pieces(l.text, 0)...)
	var first, last int64
	if err := c.db.QueryRowContext(ctx, `SELECT coalesce((SELECT min(rowid) FROM operations), 0), coalesce((SELECT max(rowid) FROM operations), 0)`).Scan(&first, &last); err != nil {
		return "", err
	}
	terms, err = c.rare(ctx, logWords, first, last, terms)
	return logWords.match(terms), err
}

// countPieces counts where pieces in an index begin with a text of one or two letters: what nothing begins with is
// nowhere. It stops after what may be read.
func (c *Catalog) countPieces(ctx context.Context, index, text string) (n int, err error) {
	err = c.db.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 FROM `+index+` WHERE term >= lower($1) AND term < lower($1)||char(1114111) LIMIT $2)`,
		text, c.limits.pieces+1).Scan(&n)
	return n, err
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}
