package postgres

import (
	"fmt"
	"strings"
	"testing"

	"github.com/safepoint-db/safepoint/internal/pgtest"
	"pgregory.net/rapid"
)

// TestGeneratedSchemas takes databases that nobody thought of through a dump, and back by psql or by a load in turn.
// Each is compared object by object and row by row. SAFEPOINT_FIDELITY makes it two hundred.
func TestGeneratedSchemas(t *testing.T) {
	n := 8
	if fidelity() {
		n = 200
	}
	versions := pgtest.Versions()
	for seed := range n {
		major := versions[seed%len(versions)]
		t.Run(fmt.Sprintf("%d on %d", seed, major), func(t *testing.T) {
			c := pgtest.SharedVersion(t, major)
			roles(t, c, "zoo_owner", "zoo_reader")
			script := rapid.Custom(func(r *rapid.T) string {
				s := &schema{T: r, major: major}
				s.make()
				return s.sql.String()
			}).Example(seed)
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("the database:\n%s", script)
				}
			})
			source, copied := pgtest.Create(t, c), pgtest.Create(t, c)
			runScript(t, c, source.Name, strings.NewReader(script))
			r, file := dumpFileOf(t, everyVersion(), source)
			if seed%2 == 0 {
				mustLoad(t, copied, r)
			} else {
				psqlRestore(t, c, file, copied.Name)
			}
			wantSame(t, c, source, copied, r)
			wantSameRows(t, source, copied)
		})
	}
}

// schema is a database that is being made up.
type schema struct {
	*rapid.T
	sql    strings.Builder
	major  int
	names  int
	kinds  []kind   // of columns
	tables []madeUp // that may be referred to
	views  []string // any relation that can be selected from
	where  []string // schemas
}

// kind is a type and values of it, as literals.
type kind struct {
	name   string
	values []string
	sorted bool // has a btree order, so it can be a key
}

// madeUp is a table whose column k is a key.
type madeUp struct {
	name string
	keys kind
}

var knownKinds = []kind{
	{"integer", []string{"0", "-2147483648", "2147483647", "42"}, true},
	{"bigint", []string{"9223372036854775807", "-1"}, true},
	{"smallint", []string{"-32768", "7"}, true},
	{"numeric", []string{"'NaN'", "1e-30", "-123456789012345678901234567890.5", "0.10"}, true},
	{"numeric(8,3)", []string{"99999.999", "-0.001", "1.100"}, true},
	{"real", []string{"'NaN'", "'Infinity'", "'-Infinity'", "1.17549435e-38", "'-0'"}, true},
	{"double precision", []string{"'NaN'", "'-Infinity'", "0.1::float8 + 0.2", "4.9e-324"}, true},
	{"boolean", []string{"true", "false"}, true},
	{"text", []string{"''", `E'tab\t nl\n cr\r bs\\ '`, `'\.'`, `'\N'`, "'é 😀'", "repeat('toast ', 9000)", `E'\x01\x7f'`}, true},
	{"varchar(40)", []string{"'x'", "' spaces '"}, true},
	{"character(5)", []string{"'ab'", "''"}, true},
	{`"char"`, []string{"'a'", "''"}, true},
	{"name", []string{"'näme'"}, true},
	{"bytea", []string{`'\x'`, `'\x00ff5c0a0d'`, "decode(repeat('00ff', 5000), 'hex')"}, true},
	{"date", []string{"'0044-03-15 BC'", "'infinity'", "'-infinity'", "'5874897-12-31'"}, true},
	{"timestamp", []string{"'2026-01-01 00:00:00.000001'", "'4714-11-24 00:00:00 BC'", "'infinity'"}, true},
	{"timestamptz(3)", []string{"'2026-06-01 12:34:56.789+05:30'", "'-infinity'"}, true},
	{"time", []string{"'24:00'", "'00:00:00.000001'"}, true},
	{"timetz", []string{"'12:34:56+14'", "'00:00-15:59:59'"}, true},
	{"interval", []string{"'1 year -2 mons +3 days -04:05:06.7'", "'-178000000 years'"}, true},
	{"interval day to second(2)", []string{"'3 days 04:05:06.78'"}, true},
	{"uuid", []string{"'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"}, true},
	{"json", []string{`'{"a" : 1,  "b":[1, 2], "a":2}'`, "'null'"}, false},
	{"jsonb", []string{`'{"b": 1e3, "a": null, "c": "\\u00e9"}'`, "'[]'"}, true},
	{"xml", []string{"'<a b=\"c\">x</a>'", "'text &amp; more'"}, false},
	{"inet", []string{"'10.1.2.3/24'", "'::1'"}, true},
	{"cidr", []string{"'10.1.0.0/16'"}, true},
	{"macaddr8", []string{"'08:00:2b:01:02:03:04:05'"}, true},
	{"bit(3)", []string{"B'101'"}, true},
	{"bit varying", []string{"B''", "B'1'"}, true},
	{"point", []string{"'(1e300,-0)'"}, false},
	{"polygon", []string{"'((0,0),(1,1),(2,0))'"}, false},
	{"int4range", []string{"'empty'", "'[1,5)'", "'(,)'"}, true},
	{"tstzrange", []string{"'[2026-01-01,infinity)'"}, true},
	{"numrange", []string{"'[1.10,NaN]'"}, true},
	{"integer[]", []string{"'{}'", "'[-1:1]={1,NULL,3}'", "'{{1,2},{3,4}}'"}, true},
	{"text[]", []string{`'{"a,b","","NULL",NULL,"q\"\\"}'`}, true},
	{"tsvector", []string{"'fat:1A cat:2,3'"}, true},
	{"money", []string{"-0.01", "12.34"}, true},
	{"pg_lsn", []string{"'0/16B3748'"}, true},
	{"oid", []string{"4294967295"}, true},
}

// name is one that is not in use, often an odd one, quoted.
func (s *schema) name() string {
	s.names++
	base := rapid.SampledFrom([]string{"plain", "select", "Sp ace", `qu"ote`, "new\nline", "😀", `back\slash`, "per%cent", "$dollar$", "com,ma", "'single'",
		"--comment", ";drop", `\.`, "tab\t", "(paren", "a.b", strings.Repeat("é", 29), strings.Repeat("x", 57)}).Draw(s.T, "name")
	return ident(fmt.Sprintf("%s%d", base, s.names))
}

// qualified is a name in one of the schemas.
func (s *schema) qualified() string {
	return rapid.SampledFrom(s.where).Draw(s.T, "schema") + "." + s.name()
}

func (s *schema) chance(percent int) bool {
	return rapid.IntRange(1, 100).Draw(s.T, "chance") <= percent
}

func (s *schema) say(format string, args ...any) { fmt.Fprintf(&s.sql, format+";\n", args...) }

func (s *schema) kind() kind { return rapid.SampledFrom(s.kinds).Draw(s.T, "kind") }

// key is a kind that can be a key and has several values.
func (s *schema) key() kind {
	return rapid.SampledFrom([]kind{knownKinds[0], knownKinds[1], knownKinds[21], {"text", []string{"'a'", "'b'", "'ä'", "''", "'c'"}, true}}).Draw(s.T, "key")
}

func (s *schema) value(k kind) string {
	if s.chance(15) {
		return "NULL"
	}
	return rapid.SampledFrom(k.values).Draw(s.T, "value")
}

func (s *schema) make() {
	s.where = []string{"public"}
	s.kinds = append(s.kinds, knownKinds...)
	for range rapid.IntRange(0, 2).Draw(s.T, "schemas") {
		name := s.name()
		s.say("CREATE SCHEMA %s", name)
		s.where = append(s.where, name)
	}
	s.types()
	s.say("CREATE FUNCTION public.twice(x integer) RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT x / 2 * 2; -- ; $x$ $$")
	s.say("CREATE FUNCTION public.noted() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN\n-- Name: x; Type: TABLE; Schema: -; Owner: -\nRETURN NEW; END $f$")
	for range rapid.IntRange(1, 5).Draw(s.T, "things") {
		rapid.SampledFrom([]func(){s.table, s.table, s.table, s.partitions, s.heirs, s.wide}).Draw(s.T, "thing")()
	}
	for range rapid.IntRange(0, 3).Draw(s.T, "views") {
		s.view()
	}
	s.rest()
}

func (s *schema) types() {
	if s.chance(60) {
		name := s.qualified()
		s.say("CREATE TYPE %s AS ENUM ('sad', 'it''s \"fine\"', '😀', '')", name)
		s.say("ALTER TYPE %s ADD VALUE 'between' BEFORE '😀'", name)
		s.kinds = append(s.kinds, kind{name, []string{"'sad'", "'between'", "''"}, true})
	}
	if s.chance(60) {
		base, name := s.kind(), s.qualified()
		s.say("CREATE DOMAIN %s AS %s DEFAULT NULL CONSTRAINT %s CHECK (VALUE IS NULL OR pg_column_size(VALUE) > 0)", name, base.name, s.name())
		s.say("COMMENT ON DOMAIN %s IS 'a; comment''s \\ '", name)
		s.kinds = append(s.kinds, kind{name, base.values, false})
	}
	if s.chance(50) {
		a, b, name := s.kind(), s.kind(), s.qualified()
		s.say("CREATE TYPE %s AS (%s %s, %s %s)", name, s.name(), a.name, s.name(), b.name)
		s.kinds = append(s.kinds, kind{name, []string{fmt.Sprintf("ROW(%s, NULL)::%s", a.values[0], name), "NULL"}, false},
			kind{name + "[]", []string{fmt.Sprintf("ARRAY[ROW(NULL, %s)::%s, NULL]", b.values[0], name)}, false})
	}
	if s.chance(40) {
		name := s.qualified()
		s.say("CREATE TYPE %s AS RANGE (subtype = float8, subtype_diff = float8mi)", name)
		s.kinds = append(s.kinds, kind{name, []string{"'[0.1,0.2]'", "'empty'", "'(,NaN)'"}, true})
	}
	if s.major >= 14 {
		s.kinds = append(s.kinds, kind{"int8multirange", []string{"'{}'", "'{[1,3),[5,)}'"}, true})
	}
}

// columns makes up a table's columns beside its key.
func (s *schema) columns() (defs []string, kinds []kind, names []string) {
	for range rapid.IntRange(0, 6).Draw(s.T, "columns") {
		k, name := s.kind(), s.name()
		def := name + " " + k.name
		if s.chance(20) {
			def += " DEFAULT " + rapid.SampledFrom(k.values).Draw(s.T, "default")
		}
		if s.chance(10) {
			def += fmt.Sprintf(" CONSTRAINT %s CHECK (%s IS NULL OR pg_column_size(%s) >= 0)", s.name(), name, name)
		}
		defs, kinds, names = append(defs, def), append(kinds, k), append(names, name)
	}
	return defs, kinds, names
}

func (s *schema) table() {
	name, key := s.qualified(), s.key()
	defs, kinds, names := s.columns()
	defs = append([]string{"k " + key.name + " PRIMARY KEY"}, defs...)
	if s.chance(30) {
		defs = append(defs, "g integer GENERATED ALWAYS AS (public.twice(7)) STORED")
	}
	if s.chance(15) && s.major >= 18 {
		defs = append(defs, "virt text GENERATED ALWAYS AS (k::text || '!') VIRTUAL")
	}
	if s.chance(30) {
		defs = append(defs, fmt.Sprintf("i bigint GENERATED %s AS IDENTITY (START %d INCREMENT %d)", rapid.SampledFrom([]string{"ALWAYS", "BY DEFAULT"}).Draw(s.T, "identity"), rapid.IntRange(1, 1000).Draw(s.T, "start"), rapid.SampledFrom([]int{1, 7}).Draw(s.T, "step")))
	}
	unlogged := s.chance(20)
	if len(s.tables) > 0 && !unlogged && s.chance(60) {
		to := rapid.SampledFrom(s.tables).Draw(s.T, "referred")
		defs = append(defs, fmt.Sprintf("r %s CONSTRAINT %s REFERENCES %s (k) ON DELETE %s %s", to.keys.name, s.name(), to.name,
			rapid.SampledFrom([]string{"CASCADE", "SET NULL", "NO ACTION"}).Draw(s.T, "on delete"), rapid.SampledFrom([]string{"", "DEFERRABLE INITIALLY DEFERRED"}).Draw(s.T, "defer")))
	}
	s.say("CREATE %s TABLE %s (%s)", map[bool]string{true: "UNLOGGED"}[unlogged], name, strings.Join(defs, ", "))
	s.fill(name, key, kinds, names)
	s.decorate(name, kinds, names)
	if s.chance(20) && len(names) > 0 {
		s.say("ALTER TABLE %s DROP COLUMN %s CASCADE", name, names[0])
	}
	if !unlogged {
		s.tables = append(s.tables, madeUp{name, key})
	}
	s.views = append(s.views, name)
}

// fill puts a row in for each value of the key.
func (s *schema) fill(name string, key kind, kinds []kind, names []string) {
	if s.chance(20) {
		return
	}
	list := strings.Join(append([]string{"k"}, names...), ", ")
	for _, k := range key.values {
		values := []string{k}
		for _, kind := range kinds {
			values = append(values, s.value(kind))
		}
		s.say("INSERT INTO %s (%s) VALUES (%s)", name, list, strings.Join(values, ", "))
	}
}

// decorate hangs things on a table.
func (s *schema) decorate(name string, kinds []kind, names []string) {
	for i, k := range kinds {
		if k.sorted && s.chance(25) && !strings.HasPrefix(k.name, "text") {
			s.say("CREATE INDEX %s ON %s (%s %s) WHERE k IS NOT NULL", s.name(), name, names[i], rapid.SampledFrom([]string{"", "DESC", "DESC NULLS LAST"}).Draw(s.T, "order"))
		}
		if s.chance(10) {
			s.say("COMMENT ON COLUMN %s.%s IS '; \\! DROP''s\n%s'", name, names[i], strings.ReplaceAll(k.name, "'", "''"))
		}
	}
	if s.chance(30) {
		s.say("CREATE TRIGGER %s BEFORE INSERT OR UPDATE ON %s FOR EACH ROW WHEN (NEW.k IS NOT NULL) EXECUTE FUNCTION public.noted()", s.name(), name)
	}
	if s.chance(25) {
		s.say("ALTER TABLE %s ENABLE ROW LEVEL SECURITY, %s ROW LEVEL SECURITY", name, rapid.SampledFrom([]string{"FORCE", "NO FORCE"}).Draw(s.T, "force"))
		s.say("CREATE POLICY %s ON %s AS %s FOR SELECT TO zoo_reader USING (k IS NOT NULL)", s.name(), name, rapid.SampledFrom([]string{"PERMISSIVE", "RESTRICTIVE"}).Draw(s.T, "policy"))
	}
	if s.chance(25) {
		s.say("CREATE RULE %s AS ON DELETE TO %s DO ALSO SELECT 1; ", s.name(), name)
	}
	if s.chance(30) {
		s.say("GRANT SELECT, UPDATE (k) ON %s TO zoo_reader WITH GRANT OPTION", name)
	}
	if s.chance(20) {
		s.say("ALTER TABLE %s OWNER TO zoo_owner", name)
	}
	if s.chance(20) {
		s.say("ALTER TABLE %s REPLICA IDENTITY %s", name, rapid.SampledFrom([]string{"FULL", "NOTHING"}).Draw(s.T, "replica"))
	}
	if s.chance(20) && len(names) > 1 && kinds[0].sorted && kinds[1].sorted {
		s.say("CREATE STATISTICS %s (ndistinct, mcv) ON %s, %s FROM %s", s.qualified(), names[0], names[1], name)
	}
	if s.chance(15) {
		s.say("COMMENT ON TABLE %s IS E'\\\\. and\n-- more'", name)
	}
}

// partitions makes a tree of two levels.
func (s *schema) partitions() {
	root := s.qualified()
	defs, kinds, names := s.columns()
	s.say("CREATE TABLE %s (%s) PARTITION BY RANGE (k)", root, strings.Join(append([]string{"k integer NOT NULL"}, defs...), ", "))
	inner, rest, hashed := s.qualified(), s.qualified(), s.qualified()
	s.say("CREATE TABLE %s PARTITION OF %s FOR VALUES FROM (MINVALUE) TO (0)", inner, root)
	s.say("CREATE TABLE %s PARTITION OF %s FOR VALUES FROM (0) TO (100) PARTITION BY HASH (k)", hashed, root)
	for i := range 3 {
		s.say("CREATE TABLE %s PARTITION OF %s FOR VALUES WITH (MODULUS 3, REMAINDER %d)", s.qualified(), hashed, i)
	}
	if s.chance(50) { // attached, with its columns in another order
		s.say("CREATE TABLE %s (%s)", rest, strings.Join(append(append([]string{}, reversed(defs)...), "k integer NOT NULL"), ", "))
		s.say("ALTER TABLE %s ATTACH PARTITION %s DEFAULT", root, rest)
	} else {
		s.say("CREATE TABLE %s PARTITION OF %s DEFAULT", rest, root)
	}
	s.fill(root, kind{"integer", []string{"-5", "0", "1", "2", "42", "99", "100", "2147483647"}, true}, kinds, names)
	s.say("CREATE INDEX %s ON %s (k)", s.name(), root)
	if s.chance(50) {
		s.say("ALTER TABLE %s ADD CONSTRAINT %s PRIMARY KEY (k)", root, s.name())
	}
	s.views = append(s.views, root)
}

func reversed(list []string) []string {
	var out []string
	for _, v := range list {
		out = append([]string{v}, out...)
	}
	return out
}

// heirs makes a table, its child, and a grandchild of both.
func (s *schema) heirs() {
	base, child := s.qualified(), s.qualified()
	key := s.key()
	s.say("CREATE TABLE %s (k %s, CONSTRAINT %s CHECK (k IS NOT NULL))", base, key.name, s.name())
	defs, kinds, names := s.columns()
	s.say("CREATE TABLE %s (%s) INHERITS (%s)", child, strings.Join(defs, ", "), base)
	s.say("CREATE TABLE %s (own text DEFAULT 'x') INHERITS (%s)", s.qualified(), child)
	s.fill(base, key, nil, nil)
	s.fill(child, key, kinds, names)
	s.views = append(s.views, base)
}

// wide makes a table without columns, or with as many as there can be.
func (s *schema) wide() {
	name := s.qualified()
	if s.chance(50) {
		s.say("CREATE TABLE %s ()", name)
		s.say("INSERT INTO %s SELECT FROM generate_series(1, 3)", name)
		return
	}
	var defs []string
	for i := range 1600 {
		defs = append(defs, fmt.Sprintf("c%d int", i))
	}
	s.say("CREATE TABLE %s (%s)", name, strings.Join(defs, ","))
	s.say("INSERT INTO %s (c0, c1599) VALUES (1, 2), (NULL, NULL)", name)
}

func (s *schema) view() {
	if len(s.views) == 0 {
		return
	}
	from, name := rapid.SampledFrom(s.views).Draw(s.T, "from"), s.qualified()
	switch rapid.IntRange(0, 2).Draw(s.T, "view") {
	case 0:
		s.say("CREATE VIEW %s WITH (security_barrier) AS SELECT v.*, row_number() OVER () AS n FROM %s v", name, from)
	case 1:
		s.say("CREATE MATERIALIZED VIEW %s AS SELECT count(*) AS n FROM %s WITH DATA", name, from)
		s.say("CREATE UNIQUE INDEX %s ON %s (n)", s.name(), name)
		return
	case 2:
		name = s.name() // it refers to itself without a schema
		s.say("CREATE RECURSIVE VIEW %s (n) AS SELECT 1 UNION ALL SELECT n + 1 FROM %s WHERE n < 5", name, name)
	}
	s.say("COMMENT ON VIEW %s IS 'seen'", name)
}

// rest is what there is one of in a database.
func (s *schema) rest() {
	if s.chance(50) {
		name := s.qualified()
		s.say("CREATE SEQUENCE %s AS smallint MINVALUE -5 MAXVALUE 30000 START -3 INCREMENT 7 CYCLE CACHE 3", name)
		s.say("SELECT setval(%s::regclass, 29999, %t)", literal(name), s.chance(50))
	}
	if s.chance(40) && len(s.tables) > 0 {
		s.say("CREATE PUBLICATION %s FOR TABLE %s WITH (publish = 'insert, delete')", s.name(), s.tables[0].name)
	}
	if s.chance(30) {
		s.say("CREATE EXTENSION file_fdw SCHEMA public")
		s.say("CREATE SERVER %s FOREIGN DATA WRAPPER file_fdw", "files")
		s.say("CREATE FOREIGN TABLE %s (a text OPTIONS (force_not_null 'true'), b int) SERVER files OPTIONS (filename '/no; such''file', format 'csv')", s.qualified())
	}
	if s.chance(30) {
		s.say("CREATE FOREIGN DATA WRAPPER nothing_behind OPTIONS (\"odd name\" '1')")
		s.say("CREATE SERVER elsewhere TYPE 't' VERSION 'v;1' FOREIGN DATA WRAPPER nothing_behind OPTIONS (host 'x;y', dbname 'q''uote')")
		s.say("CREATE USER MAPPING FOR zoo_reader SERVER elsewhere OPTIONS (user 'u', password 'p\\')")
	}
	if s.chance(30) {
		s.say("CREATE FUNCTION public.ddl_noted() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN NULL; END $$")
		s.say("CREATE EVENT TRIGGER %s ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'ALTER TABLE') EXECUTE FUNCTION public.ddl_noted()", s.name())
	}
	if s.chance(40) {
		s.say("ALTER DEFAULT PRIVILEGES FOR ROLE zoo_owner IN SCHEMA %s GRANT SELECT ON TABLES TO zoo_reader", s.where[len(s.where)-1])
		s.say("ALTER DEFAULT PRIVILEGES FOR ROLE zoo_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC")
	}
	if s.chance(30) {
		s.say("SELECT lo_from_bytea(%d, '\\x00ff5c0a')", rapid.IntRange(100000, 200000).Draw(s.T, "large object"))
	}
	if s.chance(40) {
		s.say("CREATE COLLATION %s (provider = icu, locale = 'de-u-co-phonebk', deterministic = false)", s.qualified())
	}
}
