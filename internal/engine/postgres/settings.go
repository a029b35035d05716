package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// listSettings hold a list of names, each quoted for itself: '"$user", public'. All others are one value.
var listSettings = map[string]bool{
	"search_path": true, "temp_tablespaces": true, "session_preload_libraries": true,
	"shared_preload_libraries": true, "local_preload_libraries": true, "unix_socket_directories": true,
}

// statement is the ALTER that makes a setting for the database called name.
func (s setting) statement(name string) string {
	on := "ALTER DATABASE " + ident(name)
	if s.Role != "" {
		on = "ALTER ROLE " + ident(s.Role) + " IN DATABASE " + ident(name)
	}
	value := literal(s.Value)
	if listSettings[s.Name] {
		elements := splitList(s.Value)
		for i, e := range elements {
			elements[i] = literal(e)
		}
		if value = strings.Join(elements, ", "); value == "" {
			value = "''"
		}
	}
	return fmt.Sprintf("%s SET %s TO %s;\n", on, settingName(s.Name), value)
}

// settingName quotes each part of a name such as "app.user" for itself.
func settingName(name string) string {
	parts := strings.Split(name, ".")
	for i, p := range parts {
		parts[i] = ident(p)
	}
	return strings.Join(parts, ".")
}

// splitList reads a list of names as the server stores it: bare, or quoted with doubled quotes.
func splitList(s string) []string {
	var out []string
	for s = strings.TrimSpace(s); s != ""; {
		var element strings.Builder
		if s[0] == '"' {
			s = s[1:]
			for s != "" {
				if s[0] == '"' && !strings.HasPrefix(s, `""`) {
					s = s[1:]
					break
				}
				if s[0] == '"' {
					s = s[1:]
				}
				element.WriteByte(s[0])
				s = s[1:]
			}
		} else {
			end := strings.IndexByte(s, ',')
			if end < 0 {
				end = len(s)
			}
			element.WriteString(strings.TrimSpace(s[:end]))
			s = s[end:]
		}
		out = append(out, element.String())
		s = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(s), ","))
	}
	return out
}

// apply are the statements that give p to the database called name, whose owner has no grants or settings of its own
// yet. self is the user who runs them.
func (p properties) apply(name, self string) string {
	var b strings.Builder
	if p.Owner != self {
		fmt.Fprintf(&b, "ALTER DATABASE %s OWNER TO %s;\n", ident(name), ident(p.Owner))
	}
	fmt.Fprintf(&b, "REVOKE ALL ON DATABASE %s FROM PUBLIC, %s;\n", ident(name), ident(p.Owner))
	for _, g := range p.Grants {
		b.WriteString(g.statement(name))
	}
	for _, s := range p.Settings {
		b.WriteString(s.statement(name))
	}
	b.WriteString(p.limits(name))
	return b.String()
}

// missingGrants are those of p that the database of that OID has not any more: a dump of the set-aside database may have
// revoked them.
func (p properties) missingGrants(ctx context.Context, conn *pgx.Conn, oid string) ([]grant, error) {
	now, err := captureDatabase(ctx, conn, oid)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(p.Grants), func(g grant) bool { return slices.Contains(now.Grants, g) }), nil
}

func grantee(g grant) string {
	if g.Grantee == "" {
		return "PUBLIC"
	}
	return ident(g.Grantee)
}

func (g grant) statement(name string) string {
	to, option := grantee(g), ""
	if g.Grantable {
		option = " WITH GRANT OPTION"
	}
	return fmt.Sprintf("GRANT %s ON DATABASE %s TO %s%s;\n", g.Privilege, ident(name), to, option)
}

// limits are the statements for what a restore changes on the database it sets aside.
func (p properties) limits(name string) string {
	comment := "NULL"
	if p.Comment != "" {
		comment = literal(p.Comment)
	}
	return fmt.Sprintf("COMMENT ON DATABASE %s IS %s;\nALTER DATABASE %s WITH ALLOW_CONNECTIONS %t CONNECTION LIMIT %d IS_TEMPLATE %t;\n",
		ident(name), comment, ident(name), p.AllowConnections, p.ConnectionLimit, p.IsTemplate)
}
