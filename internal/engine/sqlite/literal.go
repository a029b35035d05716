package sqlite

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// literal appends column i of the row that s stands on, as SQL that every SQLite reads back as exactly that value.
// utf16 says that the database's text is UTF-16, little-endian here.
func literal(to []byte, s *stmt, i int, utf16 bool) []byte {
	switch s.class(i) {
	case classInteger:
		return integer(to, s.int(i))
	case classReal:
		return realNumber(to, s.real(i))
	case classText:
		if utf16 {
			return wideText(to, s, i)
		}
		return text(to, s.textBytes(i))
	case classBlob:
		return blob(to, s.blobBytes(i))
	}
	return append(to, "NULL"...)
}

func integer(to []byte, n int64) []byte {
	if n == math.MinInt64 {
		return append(to, "-9223372036854775807-1"...) // the number itself is read as a real
	}
	return strconv.AppendInt(to, n, 10)
}

// realNumber writes x so that it is read back bit by bit. Readers of old versions round decimals in 64 bits and then
// once more: the shortest decimal is only used where that cannot go wrong, else 20 digits. Below 1e-280 they lose the
// last bit even so, and the number is written as a quotient by powers of two, which is exact.
func realNumber(to []byte, x float64) []byte {
	switch {
	case math.IsInf(x, 1):
		return append(to, "9e999"...)
	case math.IsInf(x, -1):
		return append(to, "-9e999"...)
	case x == 0 && math.Signbit(x):
		return append(to, "-0.0"...)
	case x == math.Trunc(x) && math.Abs(x) < 1<<53:
		return append(strconv.AppendInt(to, int64(x), 10), ".0"...)
	case math.Abs(x) < 1e-280:
		const two62 = 1 << 62
		divisors := 0
		for ; math.Abs(x) < 1; divisors++ {
			x *= two62
		}
		to = append(to, '(')
		to = strconv.AppendFloat(to, x, 'e', 19, 64)
		for range divisors {
			to = append(to, "/4611686018427387904"...)
		}
		return append(to, ')')
	}
	start := len(to)
	to = strconv.AppendFloat(to, x, 'e', -1, 64)
	if digits, exponent, ok := decimal(to[start:]); !ok || !safe(x, digits, exponent) {
		return strconv.AppendFloat(to[:start], x, 'e', 19, 64)
	}
	if a := math.Abs(x); a >= 1e-4 && a < 1e15 {
		to = strconv.AppendFloat(to[:start], x, 'f', -1, 64)
		if !bytes.ContainsRune(to[start:], '.') {
			to = append(to, ".0"...)
		}
	}
	return to
}

// decimal takes the shortest form d.ddde±xx apart: digits × 10^exponent, without the sign. It says no to more than 15
// digits, or a power of ten that is not exact.
func decimal(form []byte) (digits float64, exponent int, ok bool) {
	var n int64
	count, fraction := 0, 0
	point := false
	for i, ch := range form {
		switch {
		case ch >= '0' && ch <= '9':
			n = n*10 + int64(ch-'0')
			count++
			if point {
				fraction++
			}
		case ch == '.':
			point = true
		case ch == 'e':
			e, err := strconv.Atoi(string(form[i+1:]))
			e -= fraction
			return float64(n), e, err == nil && count <= 15 && e >= -22 && e <= 22
		}
		if count > 15 {
			return 0, 0, false
		}
	}
	return 0, 0, false
}

// safe says that digits × 10^exponent is nearer to x than to the middle between x and its neighbour, by enough that a
// reader's rounding in 64 bits does not matter.
func safe(x, digits float64, exponent int) bool {
	x = math.Abs(x)
	power := math.Pow10(max(exponent, -exponent))
	half := (math.Nextafter(x, math.Inf(1)) - x) / 2
	if fraction, _ := math.Frexp(x); fraction == 0.5 {
		half /= 2 // the neighbour below a power of two is nearer
	}
	var off float64
	if exponent < 0 {
		off = math.Abs(math.FMA(x, power, -digits)) / power
	} else {
		off = math.Abs(math.FMA(digits, power, -x))
	}
	return off < half*(1-1.0/256)
}

// text writes UTF-8. What is not, or holds a NUL, is written by its bytes. A carriage return would be lost by sqlite3
// reading lines, so it is put in by replace().
func text(to, value []byte) []byte {
	if bytes.IndexByte(value, 0) >= 0 || !utf8.Valid(value) {
		return append(blob(append(to, "CAST("...), value), " AS TEXT)"...)
	}
	if bytes.IndexByte(value, '\r') < 0 {
		return quoted(to, value)
	}
	mark := []byte(`\r`)
	for n := 0; bytes.Contains(value, mark); n++ {
		mark = strconv.AppendInt([]byte(`\r`), int64(n), 10)
	}
	to = append(to, "replace("...)
	to = quoted(to, bytes.ReplaceAll(value, []byte{'\r'}, mark))
	to = append(to, ",'"...)
	to = append(to, mark...)
	return append(to, "',char(13))"...)
}

// wideText writes a value of a UTF-16 database: as text if it is valid, by its bytes in the database's order if not.
func wideText(to []byte, s *stmt, i int) []byte {
	units := make([]uint16, len(s.text16Bytes(i))/2)
	raw := s.text16Bytes(i)
	for n := range units {
		units[n] = binary.LittleEndian.Uint16(raw[2*n:])
	}
	runes := utf16.Decode(units)
	valid := true
	for n, u := range utf16.Encode(runes) {
		valid = valid && n < len(units) && u == units[n] && u < 0xfffe // SQLite reads U+FFFE and U+FFFF as U+FFFD
	}
	if valid {
		return text(to, []byte(string(runes)))
	}
	if s.c.bigEndian {
		swapped := make([]byte, len(raw))
		for n, u := range units {
			binary.BigEndian.PutUint16(swapped[2*n:], u)
		}
		raw = swapped
	}
	return append(blob(append(to, "CAST("...), raw), " AS TEXT)"...)
}

func quoted(to, value []byte) []byte {
	to = append(to, '\'')
	for {
		i := bytes.IndexByte(value, '\'')
		if i < 0 {
			break
		}
		to = append(append(to, value[:i]...), "''"...)
		value = value[i+1:]
	}
	return append(append(to, value...), '\'')
}

func blob(to, value []byte) []byte {
	to = append(to, "X'"...)
	to = hex.AppendEncode(to, value)
	return append(to, '\'')
}

// Tags of values in a row as it is hashed.
const (
	tagNull byte = iota
	tagInteger
	tagReal
	tagText
	tagBlob
)

// canonical appends column i of the row that s stands on, for hashing: a tag for its storage class, then eight bytes of
// a number, or the length and the bytes of a text or blob. A UTF-16 database's text goes in as UTF-16.
func canonical(to []byte, s *stmt, i int, utf16 bool) []byte {
	switch s.class(i) {
	case classInteger:
		return binary.LittleEndian.AppendUint64(append(to, tagInteger), uint64(s.int(i)))
	case classReal:
		return binary.LittleEndian.AppendUint64(append(to, tagReal), math.Float64bits(s.real(i)))
	case classText:
		if utf16 {
			return sized(append(to, tagText), s.text16Bytes(i))
		}
		return sized(append(to, tagText), s.textBytes(i))
	case classBlob:
		return sized(append(to, tagBlob), s.blobBytes(i))
	}
	return append(to, tagNull)
}

func sized(to, value []byte) []byte {
	return append(binary.AppendUvarint(to, uint64(len(value))), value...)
}
