package cli

import (
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"reflect"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/safepoint-db/safepoint"
)

// values reads what is written after flags, on the command line or in the environment, and keeps what it refuses: kong makes
// a text of an error about a variable, and its code and hint would be lost.
type values struct{ refused []*safepoint.Error }

func (v *values) options() []kong.Option {
	return []kong.Option{
		kong.NamedMapper("existingfile", v.mapper(existingFile)),
		kong.NamedMapper("existingdir", v.mapper(existingDir)),
		kong.TypeMapper(reflect.TypeFor[netip.Prefix](), v.mapper(network)),
		kong.TypeMapper(reflect.TypeFor[slog.Level](), v.mapper(logLevel)),
		kong.TypeMapper(reflect.TypeFor[sizeFlag](), v.mapper(size)),
	}
}

// mapper sets a flag or argument, or appends to one that is a list, to what read makes of each of its texts.
func (v *values) mapper(read func(text string) (any, error)) kong.MapperFunc {
	return func(ctx *kong.DecodeContext, target reflect.Value) error {
		var all string
		if err := ctx.Scan.PopValueInto("value", &all); err != nil {
			return err
		}
		if !ctx.Value.Active || ctx.Value.Set && target == ctx.Value.Target {
			return nil // a variable or a default, read although the command line says otherwise
		}
		texts := []string{all}
		if target.Kind() == reflect.Slice {
			texts = kong.SplitEscaped(all, ctx.Value.Tag.Sep)
		}
		for _, text := range texts {
			value, err := read(text)
			if err != nil {
				return v.refuse(ctx.Value, err)
			}
			if one := reflect.ValueOf(value); target.Kind() == reflect.Slice {
				target.Set(reflect.Append(target, one.Convert(target.Type().Elem())))
			} else {
				target.Set(one.Convert(target.Type()))
			}
		}
		return nil
	}
}

func (v *values) refuse(at *kong.Value, err error) error {
	var e *safepoint.Error
	if !errors.As(err, &e) {
		return err
	}
	named := *e
	named.Field = strings.ReplaceAll(at.Name, "-", "_")
	v.refused = append(v.refused, &named)
	return &named
}

// behind is what was refused where that is why the command line could not be read, nil else.
func (v *values) behind(err error) *safepoint.Error {
	for _, e := range v.refused {
		if strings.Contains(err.Error(), e.Error()) {
			return e
		}
	}
	return nil
}

func existingFile(path string) (any, error) {
	if path == "-" { // standard input
		return path, nil
	}
	return existing(path, false)
}

func existingDir(path string) (any, error) { return existing(path, true) }

func existing(path string, dir bool) (any, error) {
	path = kong.ExpandPath(path)
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, fileError(err, path)
	case info.IsDir() && !dir:
		return nil, safepoint.Errorf(safepoint.CodeInvalid, "%s is a folder.", path).WithHint("Give the file itself.")
	case !info.IsDir() && dir:
		return nil, safepoint.Errorf(safepoint.CodeInvalid, "%s is not a folder.", path).WithHint("Give the folder itself.")
	}
	return path, nil
}

// network is a network, or a single address.
func network(text string) (any, error) {
	text = strings.TrimSpace(text)
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return nil, safepoint.Errorf(safepoint.CodeInvalid, "%q is neither an address nor a network.", text).
			WithHint("Write addresses such as 10.0.0.7, or networks with the length of their prefix such as 10.0.0.0/8, separated by commas.").WithCause(err)
	}
	return p, nil
}

func logLevel(text string) (any, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(strings.TrimSpace(text))); err != nil {
		return nil, safepoint.Errorf(safepoint.CodeInvalid, "There is no level %q for the log.", text).WithHint("Write DEBUG, INFO, WARN or ERROR.").WithCause(err)
	}
	return l, nil
}

var units = map[string]int{"": 0, "B": 0, "K": 10, "KIB": 10, "M": 20, "MIB": 20, "G": 30, "GIB": 30, "T": 40, "TIB": 40}

func size(text string) (any, error) {
	digits := strings.TrimRight(text, "KMGTiBb ")
	n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
	shift, known := units[strings.ToUpper(strings.TrimSpace(strings.TrimPrefix(text, digits)))]
	if err != nil || !known || n < 1 || n > (1<<62)>>shift {
		return nil, safepoint.Errorf(safepoint.CodeInvalid, "%q is not a size.", text).WithHint("Write one such as 64MiB, 10GiB or 1TiB.")
	}
	return sizeFlag(n << shift), nil
}
