package safepoint

import (
	"fmt"
	"strconv"
	"strings"
)

// Phrase is how a message was made, so that it can be said in another language: the English sentence with numbered
// places, such as "{1} needs {2}, and has {3}.", and what stands there. Values are never translated: they are names,
// sizes and what other programs said. Those that are messages, nouns or amounts are in Parts as well, by their number.
// The zero Phrase is a message of which only the English text is known.
type Phrase struct {
	Sentence string         `json:"sentence,omitempty"`
	Many     string         `json:"many,omitempty"` // of an Amount: Sentence for any number but one, which is its only value
	Values   []string       `json:"values,omitempty"`
	Parts    map[int]Phrase `json:"parts,omitempty"`
}

// Noun is a kind of thing, such as "schedule": a value of a message that is translated with it.
type Noun string

// Amount is a number of things, such as "8 hours": a value of a message that is translated with it. One and Many are the
// words for one of them and for any other number, which {n} stands for.
type Amount struct {
	N         int
	One, Many string
}

// String is the amount in English.
func (a Amount) String() string {
	words := a.Many
	if a.N == 1 {
		words = a.One
	}
	return strings.ReplaceAll(words, "{n}", strconv.Itoa(a.N))
}

// Quote is the message of an error as a value of another one, which is translated with it.
type Quote struct {
	text   string
	phrase Phrase
}

// Quoted is e's message, to be a value of another error's.
func (e *Error) Quoted() Quote { return Quote{e.Message, e.Said} }

func (q Quote) String() string { return q.text }

// NewPhrase makes a phrase of what fmt.Sprintf is given.
func NewPhrase(format string, args ...any) Phrase {
	p := Phrase{}
	p.Sentence = eachVerb(format, func(n int, verb string) {
		value := "?"
		if n <= len(args) {
			value = fmt.Sprintf(verb, args[n-1])
			switch a := args[n-1].(type) {
			case Noun:
				p.part(n, Phrase{Sentence: string(a)})
			case Amount:
				p.part(n, Phrase{Sentence: a.One, Many: a.Many, Values: []string{strconv.Itoa(a.N)}})
			case Quote:
				p.part(n, a.phrase)
			}
		}
		for len(p.Values) < n {
			p.Values = append(p.Values, "")
		}
		p.Values[n-1] = value
	})
	return p
}

// String is the phrase in English.
func (p Phrase) String() string {
	places := make([]string, 0, 2*len(p.Values))
	for i, v := range p.Values {
		places = append(places, "{"+strconv.Itoa(i+1)+"}", v)
	}
	return strings.NewReplacer(places...).Replace(p.Sentence)
}

func (p *Phrase) part(n int, of Phrase) {
	if of.Sentence == "" {
		return
	}
	if p.Parts == nil {
		p.Parts = map[int]Phrase{}
	}
	p.Parts[n] = of
}

// Sentence is the key of a format in a catalogue of translations: "%s needs %s." becomes "{1} needs {2}.".
func Sentence(format string) string { return eachVerb(format, func(int, string) {}) }

// eachVerb tells each of fmt's verbs in a format, with the number of its argument, and returns the sentence.
// It knows what our own formats use: flags, widths and explicit indexes, but no width that is an argument itself.
func eachVerb(format string, each func(n int, verb string)) string {
	var out strings.Builder
	next := 1
	for {
		i := strings.IndexByte(format, '%')
		if i < 0 {
			out.WriteString(format)
			return out.String()
		}
		out.WriteString(format[:i])
		format = format[i:]
		if strings.HasPrefix(format, "%%") {
			out.WriteByte('%')
			format = format[2:]
			continue
		}
		end := 1 + strings.IndexFunc(format[1:], func(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' })
		if end == 0 {
			out.WriteString(format)
			return out.String()
		}
		verb := format[:end+1]
		if open, shut := strings.IndexByte(verb, '['), strings.IndexByte(verb, ']'); open > 0 && shut > open {
			if n, err := strconv.Atoi(verb[open+1 : shut]); err == nil {
				next = n
			}
			verb = verb[:open] + verb[shut+1:]
		}
		each(next, verb)
		out.WriteString("{" + strconv.Itoa(next) + "}")
		next++
		format = format[end+1:]
	}
}
