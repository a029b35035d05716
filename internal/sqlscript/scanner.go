// Package sqlscript cuts an SQL script of PostgreSQL into statements exactly where psql does, in bounded memory.
package sqlscript

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
)

// Scanner reads a script statement by statement: quotes, dollar quotes, comments, parentheses and the BEGIN ATOMIC …
// END of a function hide semicolons.
type Scanner struct {
	// MaxStatement bounds one statement, in bytes, which is held in memory. New sets it to MaxStatement.
	MaxStatement int
	// OldStrings says that the script is read with standard_conforming_strings = off, as servers before 9.1 did:
	// a backslash escapes in every string. Next then writes E before such a string, so that what it returns means
	// the same under the standard rule.
	OldStrings bool

	r   *bufio.Reader
	buf []byte // the present piece: comments and blanks before a statement, and the statement

	line, first int // lines begun so far; the one on which the piece's content begins
	groups      int

	content    bool // buf holds more than comments and blanks
	parens     int
	begins     int
	words      [4]byte // initials of create, or, replace, function, procedure among the statement's first words
	wordCount  int
	values     bool // the word VALUES was read
	pendingE   bool // the last token was the letter E: a string that follows has backslash escapes
	afterIdent bool // the last byte belongs to an identifier: a dollar sign goes on with it
	last       text // the string that has just ended
}

// text is a string literal that may go on: after a line's end, a quote continues it under the same rules.
type text struct {
	open    bool // nothing but blanks and comments came since
	newline bool // and a line's end was among them
	escapes bool
	old     int // where in buf an E must go if a backslash turns up; -1: nowhere
}

// MaxStatement bounds a statement unless the caller sets another limit.
const MaxStatement = 512 << 20

// ErrStatementTooLong says that a statement is longer than Scanner.MaxStatement.
var ErrStatementTooLong = errors.New("a statement is too long")

// New reads the script in r.
func New(r io.Reader) *Scanner {
	return &Scanner{MaxStatement: MaxStatement, r: bufio.NewReaderSize(r, 128<<10)}
}

// Reader is what comes behind the last piece: after a COPY … FROM stdin its rows. Lines that are read from it are told
// to Skip.
func (s *Scanner) Reader() *bufio.Reader { return s.r }

// Skip counts lines that were read from Reader.
func (s *Scanner) Skip(lines int) { s.line += lines }

// Rest is what came behind the last piece: comments and blanks, once Next has returned io.EOF.
func (s *Scanner) Rest() []byte { return s.buf }

// Line is the line, from 1, on which the last piece begins, comments and blanks before it aside.
func (s *Scanner) Line() int { return s.first }

// Here is the line that is read next, from 1.
func (s *Scanner) Here() int { return s.line + 1 }

// Groups is the number of lists in parentheses behind VALUES in the last piece: the rows of an INSERT.
func (s *Scanner) Groups() int { return s.groups }

// Next returns the next statement, with the comments before it and its semicolon; meta says that it is a line for
// psql itself ("\restrict …") instead, which may have more in front of it. The bytes are good until the call after. At
// the end it returns io.EOF; io.ErrUnexpectedEOF if that comes inside a statement.
func (s *Scanner) Next() (statement []byte, meta bool, err error) {
	s.buf = s.buf[:0]
	s.content, s.parens, s.begins, s.wordCount, s.words = false, 0, 0, 0, [4]byte{}
	s.pendingE, s.afterIdent, s.values, s.groups, s.last = false, false, false, 0, text{}
	for {
		c, err := s.get()
		if err == io.EOF {
			s.first = s.Here()
			if s.content {
				return nil, false, io.ErrUnexpectedEOF
			}
			return nil, false, io.EOF
		}
		if err != nil {
			return nil, false, err
		}
		if isWordStart(c) && !s.afterIdent {
			s.begin()
			if err := s.word(c); err != nil {
				return nil, false, err
			}
			continue
		}
		escapes := s.pendingE
		s.pendingE = false
		continued := s.afterIdent
		s.afterIdent = false
		switch {
		case c == '-' && s.peek() == '-':
			if err := s.comment(); err != nil && err != io.EOF {
				return nil, false, err
			}
			continue
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v':
			s.last.newline = s.last.newline || c == '\n' || c == '\r'
			continue
		case c == '/' && s.peek() == '*':
			if err := s.block(); err != nil {
				return nil, false, unexpected(err)
			}
			s.last.open = false
			continue
		case c == '\\':
			s.first = s.Here()
			if err := s.toLineEnd(); err != nil && err != io.EOF {
				return nil, false, err
			}
			return s.buf, true, nil
		}
		s.begin()
		switch {
		case c == ';':
			if s.parens == 0 && s.begins == 0 {
				return s.buf, false, nil
			}
		case c == '\'':
			err = s.literal(escapes)
		case c == '"':
			_, err = s.quoted('"', false)
		case c == '$' && !continued:
			err = s.dollar()
		case c >= '0' && c <= '9':
			err = s.number()
		case c == '(':
			if s.values && s.parens == 0 {
				s.groups++
			}
			s.parens++
		case c == ')':
			s.parens = max(0, s.parens-1)
		}
		if c != '\'' {
			s.last.open = false
		}
		if err != nil {
			return nil, false, unexpected(err)
		}
	}
}

// begin notes that the last byte is content.
func (s *Scanner) begin() {
	if !s.content {
		s.content, s.first = true, s.Here()
	}
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (s *Scanner) get() (byte, error) {
	c, err := s.r.ReadByte()
	if err != nil {
		return 0, err
	}
	if len(s.buf) >= s.MaxStatement {
		return 0, ErrStatementTooLong
	}
	if c == '\n' {
		s.line++
	}
	s.buf = append(s.buf, c)
	return c, nil
}

// until takes over what is buffered up to one of two bytes, or to the first alone where both are the same; all of it if
// neither is there. Long strings are nothing else, so that they need not be looked at byte by byte.
func (s *Scanner) until(a, b byte) error {
	ahead, _ := s.r.Peek(s.r.Buffered())
	if i := bytes.IndexByte(ahead, a); i >= 0 {
		ahead = ahead[:i]
	}
	if b != a {
		if i := bytes.IndexByte(ahead, b); i >= 0 {
			ahead = ahead[:i]
		}
	}
	if len(s.buf)+len(ahead) > s.MaxStatement {
		return ErrStatementTooLong
	}
	s.line += bytes.Count(ahead, []byte{'\n'})
	s.buf = append(s.buf, ahead...)
	s.r.Discard(len(ahead))
	return nil
}

func (s *Scanner) peek() byte {
	b, err := s.r.Peek(1)
	if err != nil {
		return 0
	}
	return b[0]
}

func isWordStart(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}

// IsWordPart says whether c can stand inside an identifier without quotes.
func IsWordPart(c byte) bool { return isWordStart(c) || c >= '0' && c <= '9' || c == '$' }

// word reads an identifier or keyword that begins with c, and keeps count of BEGIN … END as psql does.
func (s *Scanner) word(c byte) error {
	from := len(s.buf) - 1
	for IsWordPart(s.peek()) {
		if _, err := s.get(); err != nil {
			return err
		}
	}
	word := s.buf[from:]
	s.afterIdent, s.last.open = true, false
	s.pendingE = len(word) == 1 && (c == 'e' || c == 'E')
	if s.pendingE || s.peek() == '\'' || s.peek() == '"' {
		s.afterIdent = false // what follows is a quote, not more of this word
	}
	is := func(keyword string) bool { return bytes.EqualFold(word, []byte(keyword)) }
	if s.wordCount < len(s.words) && (is("create") || is("or") || is("replace") || is("function") || is("procedure")) {
		s.words[s.wordCount] = c | 0x20
	}
	s.wordCount++
	s.values = s.values || s.parens == 0 && is("values")
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
func (s *Scanner) definesRoutine() bool {
	w := s.words
	isRoutine := func(c byte) bool { return c == 'f' || c == 'p' }
	return w[0] == 'c' && (isRoutine(w[1]) || w[1] == 'o' && w[2] == 'r' && isRoutine(w[3]))
}

// literal reads a string to its closing quote.
func (s *Scanner) literal(escapes bool) error {
	at := len(s.buf) - 1
	if s.last.open && s.last.newline { // 'a' and, on another line, 'b' are one string
		escapes = escapes || s.last.escapes
	} else {
		s.last = text{escapes: escapes, old: -1}
		if s.OldStrings && !escapes {
			s.last.escapes, escapes = true, true
			if at == 0 || !IsWordPart(s.buf[at-1]) { // not N'…'
				s.last.old = at
			}
		}
	}
	s.last.open, s.last.newline = false, false
	backslash, err := s.quoted('\'', escapes)
	if err != nil {
		return err
	}
	if backslash && s.last.old >= 0 {
		s.buf = slices.Insert(s.buf, s.last.old, 'E')
		s.last.old = -1
	}
	s.last.open = true
	return nil
}

// quoted reads to the closing quote. A doubled quote reads as two strings one after the other, which ends alike.
func (s *Scanner) quoted(quote byte, escapes bool) (backslash bool, err error) {
	other := quote
	if escapes {
		other = '\\'
	}
	for {
		if err := s.until(quote, other); err != nil {
			return backslash, err
		}
		c, err := s.get()
		if err != nil {
			return backslash, err
		}
		switch {
		case c == '\\' && escapes:
			backslash = true
			if _, err := s.get(); err != nil {
				return backslash, err
			}
		case c == quote && s.peek() == quote:
			if _, err := s.get(); err != nil {
				return backslash, err
			}
		case c == quote:
			return backslash, nil
		}
	}
}

// dollar reads a dollar-quoted string, a parameter such as $1, or just the dollar sign of something else.
func (s *Scanner) dollar() error {
	from := len(s.buf) - 1
	if c := s.peek(); c >= '0' && c <= '9' {
		for ; c >= '0' && c <= '9'; c = s.peek() {
			if _, err := s.get(); err != nil {
				return err
			}
		}
		return nil
	}
	for n := 1; ; n++ {
		ahead, err := s.r.Peek(n)
		if err != nil { // no tag: the dollar sign stands alone
			return nil
		}
		c := ahead[n-1]
		if c == '$' {
			for range n {
				s.get()
			}
			break
		}
		if !isWordStart(c) && (n == 1 || c < '0' || c > '9') {
			return nil
		}
	}
	tag := bytes.Clone(s.buf[from:])
	body := len(s.buf)
	for {
		if err := s.until('$', '$'); err != nil {
			return err
		}
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

// number reads what is left of a number. A dollar sign after it begins a string, unlike one in a word.
func (s *Scanner) number() error {
	isDigit := func(c byte) bool { return c >= '0' && c <= '9' }
	for isDigit(s.peek()) || s.peek() == '.' {
		if _, err := s.get(); err != nil {
			return err
		}
	}
	exponent := 0
	if ahead, _ := s.r.Peek(3); len(ahead) > 1 && ahead[0]|0x20 == 'e' {
		switch {
		case isDigit(ahead[1]):
			exponent = 1
		case len(ahead) > 2 && (ahead[1] == '+' || ahead[1] == '-') && isDigit(ahead[2]):
			exponent = 2
		}
	}
	if exponent == 0 {
		return nil // a letter that follows begins a word, as in psql; servers since 15 refuse it
	}
	for range exponent {
		if _, err := s.get(); err != nil {
			return err
		}
	}
	return s.number()
}

// comment reads a comment to its line's end, which a carriage return is, too.
func (s *Scanner) comment() error {
	for {
		if err := s.until('\n', '\r'); err != nil {
			return err
		}
		if c := s.peek(); c == '\n' || c == '\r' {
			return nil
		}
		if _, err := s.get(); err != nil {
			return err
		}
	}
}

func (s *Scanner) toLineEnd() error {
	for {
		if c, err := s.get(); err != nil || c == '\n' {
			return err
		}
	}
}

// block reads a comment, which may hold others.
func (s *Scanner) block() error {
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
