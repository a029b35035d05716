// Package language says the console's sentences in the reader's language, with its plurals, numbers and dates.
//
// The English sentence is the key: it stands where it is said, and a language without a translation says it in English.
//
//	l.Say("{name} is not here.", "name", db.Name)                                     // in Go
//	l.Count(n, "{n} backup is kept.", "{n} backups are kept.")                        // {n} is n, grouped
//	l.Word("month", "May")                                                            // a word that needs its context
//	{{t "Every {interval} · {name}" "interval" (every .Interval) "name" (name .DB)}}  // in a template: HTML
//	{{tn .N "{n} backup" "{n} backups"}}                                              // likewise, counted
//	{{say "Name"}}                                                                    // plain text, to hand to another function
//	language.Mark("Your changes are saved.")                                          // said later: Say(x)
//	language.Words("month", "January", "February")                                    // said later: Word("month", x)
//
// Sentences are whole: never glued of parts, since other languages order them otherwise. **Stars** make words bold in
// HTML. Values are names, numbers and what is already worded; they are escaped in HTML unless they are template.HTML.
//
// Translations are gettext PO files (po/de.po), so that translators can use their own tools; `go run
// ./internal/language/collect` brings them up to date with the program's sentences. A test says what is missing.
package language

import (
	"embed"
	"fmt"
	"html"
	"html/template"
	"slices"
	"strconv"
	"strings"

	"github.com/leonelquinteros/gotext"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/safepoint-db/safepoint"
)

//go:embed po/*.po
var files embed.FS

// Language is one of the console's languages. It is safe for concurrent use.
type Language struct {
	Tag  string // BCP 47: "en", "de"
	Name string // in itself: "Deutsch"
	Dir  string // "ltr" or "rtl"

	translations    *gotext.Po // nil for English
	change          func(string) string
	thousands, mark string // between thousands, and before decimals
}

// English is what every sentence is written in.
var English = load("en", "English", nil)

// all are the languages to choose from, English first.
var all = []*Language{English, load("de", "Deutsch", po("de"))}

// All returns the languages to choose from, English first.
func All() []*Language { return slices.Clone(all) }

// Find is the language of a tag, or nil.
func Find(tag string) *Language {
	if tag == Pseudo.Tag {
		return Pseudo
	}
	for _, l := range all {
		if l.Tag == tag {
			return l
		}
	}
	return nil
}

// Choose is the first of the wanted tags that there is, else the one that suits a browser's Accept-Language best.
func Choose(accept string, wanted ...string) *Language {
	for _, tag := range wanted {
		if l := Find(tag); l != nil {
			return l
		}
	}
	want, _, err := language.ParseAcceptLanguage(accept)
	if err != nil || len(want) == 0 {
		return English
	}
	_, i, sure := matcher.Match(want...)
	if sure == language.No {
		return English
	}
	return all[i]
}

var matcher = func() language.Matcher {
	var tags []language.Tag
	for _, l := range all {
		tags = append(tags, language.MustParse(l.Tag))
	}
	return language.NewMatcher(tags)
}()

func po(tag string) *gotext.Po {
	b, err := files.ReadFile("po/" + tag + ".po")
	if err != nil {
		panic(fmt.Sprintf("language %s: %v", tag, err)) // an embedded file: the build is broken
	}
	p := gotext.NewPo()
	p.Parse(b)
	return p
}

func load(tag, name string, translations *gotext.Po) *Language {
	l := &Language{Tag: tag, Name: name, Dir: "ltr", translations: translations}
	example := message.NewPrinter(language.MustParse(tag)).Sprintf("%.1f", 1234.5)
	l.thousands, l.mark = strings.Trim(example[1:strings.Index(example, "2")], " "), example[len(example)-2:len(example)-1]
	return l
}

// Mark returns its sentence, and has it collected for translation: it is said later, with Say.
func Mark(sentence string) string { return sentence }

// Words returns its words, and has them collected for translation in a context: each is said later, with Word.
func Words(context string, words ...string) []string { return words }

// Say is a sentence with its values: name, value, name, value …
func (l *Language) Say(sentence string, values ...any) string {
	return l.fill(l.translated(sentence), values, func(s string) string { return s })
}

// Count is Say for a sentence about n things, which {n} stands for. n is any integer.
func (l *Language) Count(n any, one, many string, values ...any) string {
	return l.fill(l.plural(n, one, many), append(values, "n", n), func(s string) string { return s })
}

// HTML is Say for a page.
func (l *Language) HTML(sentence string, values ...any) template.HTML {
	return template.HTML(l.fill(bold(html.EscapeString(l.translated(sentence))), values, html.EscapeString))
}

// CountHTML is Count for a page.
func (l *Language) CountHTML(n any, one, many string, values ...any) template.HTML {
	return template.HTML(l.fill(bold(html.EscapeString(l.plural(n, one, many))), append(values, "n", n), html.EscapeString))
}

// Fill is a pattern that Word returned, with its values.
func (l *Language) Fill(pattern string, values ...any) string {
	return l.fill(pattern, values, func(s string) string { return s })
}

// Word is a word or a pattern that needs its context to be translated.
func (l *Language) Word(context, word string) string {
	if l.translations != nil {
		word = l.translations.GetC(word, context, verbatim...)
	}
	return l.changed(word)
}

// Message is what err says, in this language where its translation is known. err is a person's *safepoint.Error.
func (l *Language) Message(e *safepoint.Error) string { return l.phrase(e.Said, e.Message) }

// Hint is what to do about err.
func (l *Language) Hint(e *safepoint.Error) string { return l.phrase(e.Advised, e.Hint) }

// Phrase is a recorded phrase in this language.
func (l *Language) Phrase(p safepoint.Phrase) string { return l.phrase(p, "") }

// phrase is a recorded phrase in this language, or english where only that is known.
func (l *Language) phrase(p safepoint.Phrase, english string) string {
	if p.Sentence == "" {
		return english
	}
	if p.Many != "" && len(p.Values) == 1 {
		if n, err := strconv.Atoi(p.Values[0]); err == nil {
			return l.Count(n, p.Sentence, p.Many)
		}
	}
	values := make([]any, 0, 2*len(p.Values))
	for i, v := range p.Values {
		if part, ok := p.Parts[i+1]; ok {
			v = l.phrase(part, v)
		}
		values = append(values, fmt.Sprint(i+1), v)
	}
	return l.Say(p.Sentence, values...)
}

// verbatim asks gettext for a translation as it stands: it would format it as fmt does, where it is given values.
var verbatim []any

func (l *Language) translated(sentence string) string {
	if l.translations != nil {
		sentence = l.translations.Get(sentence, verbatim...)
	}
	return l.changed(sentence)
}

func (l *Language) plural(n any, one, many string) string {
	count := integer(n)
	if l.translations != nil {
		return l.translations.GetN(one, many, int(count), verbatim...)
	}
	if count == 1 {
		many = one
	}
	return l.changed(many)
}

func (l *Language) changed(s string) string {
	if l.change != nil {
		return l.change(s)
	}
	return s
}

// fill puts the values into a sentence's {places}.
func (l *Language) fill(sentence string, values []any, escape func(string) string) string {
	if !strings.Contains(sentence, "{") {
		return sentence
	}
	var out strings.Builder
	for {
		open := strings.IndexByte(sentence, '{')
		if open < 0 {
			break
		}
		shut := strings.IndexByte(sentence[open:], '}')
		if shut < 0 {
			break
		}
		out.WriteString(sentence[:open])
		name := sentence[open+1 : open+shut]
		v, ok := valueOf(values, name)
		if ok {
			out.WriteString(l.value(v, escape))
		} else {
			out.WriteString(sentence[open : open+shut+1])
		}
		sentence = sentence[open+shut+1:]
		if name == "n" && strings.HasPrefix(sentence, " ") { // a number and what it counts stay on one line
			out.WriteString(nb)
			sentence = sentence[1:]
		}
	}
	out.WriteString(sentence)
	return out.String()
}

func valueOf(values []any, name string) (any, bool) {
	for i := len(values) - 2; i >= 0; i -= 2 {
		if values[i] == name {
			return values[i+1], true
		}
	}
	return nil, false
}

func (l *Language) value(v any, escape func(string) string) string {
	switch v := v.(type) {
	case template.HTML:
		return string(v)
	case string:
		return escape(v)
	case int, int32, int64:
		return l.Number(v)
	}
	return escape(fmt.Sprint(v))
}

// bold turns pairs of ** into <b>.
func bold(s string) string {
	if !strings.Contains(s, "**") {
		return s
	}
	parts := strings.Split(s, "**")
	if len(parts)%2 == 0 {
		return s
	}
	var out strings.Builder
	for i, p := range parts {
		if i%2 == 1 {
			p = "<b>" + p + "</b>"
		}
		out.WriteString(p)
	}
	return out.String()
}
