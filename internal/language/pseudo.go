package language

import "strings"

// Pseudo is English in which every sentence is two fifths longer and reads from right to left: what is left
// unaccented on a page is not in the catalogue, and what breaks under it would break in some real language.
// It is offered to nobody; tests ask for it by its tag.
var Pseudo = &Language{Tag: "en-XB", Name: "Pseudo", Dir: "rtl", change: stretched, thousands: ",", mark: "."}

var accents = strings.NewReplacer("a", "á", "e", "é", "i", "í", "o", "ó", "u", "ú", "A", "Á", "E", "É", "I", "Í", "O", "Ó", "U", "Ú", "n", "ñ", "y", "ý")

// stretched accents the words of a sentence, not its places, and lengthens it.
func stretched(s string) string {
	var out strings.Builder
	letters, rest := 0, s
	for rest != "" {
		open := strings.IndexByte(rest, '{')
		shut := strings.IndexByte(rest, '}')
		if open < 0 || shut < open {
			out.WriteString(accents.Replace(rest))
			letters += len([]rune(rest))
			break
		}
		out.WriteString(accents.Replace(rest[:open]))
		out.WriteString(rest[open : shut+1])
		letters += len([]rune(rest[:open]))
		rest = rest[shut+1:]
	}
	const filler = "lórém ípsúm dólór "
	for more := (letters*2 + 4) / 5; more > 0; more -= len([]rune(filler)) {
		out.WriteString(" " + string([]rune(filler)[:min(more, len([]rune(filler))-1)]))
	}
	return out.String()
}
