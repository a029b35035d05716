package postgres

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/sqlscript"
)

// Kinds of frames.
const (
	kindDDL          = "ddl"
	kindCopy         = "copy"
	kindSequences    = "sequences"
	kindLargeObjects = "large-objects"
	kindStatistics   = "statistics" // the planner's
	kindInserts      = "rows"       // of foreign scripts only
)

// A batch of statements is sent to the server as one message, which makes it one transaction: not too many locks.
const (
	batchStatements = 200
	batchBytes      = 1 << 20
)

// schema has pg_dump write everything but rows into a file of its own format. It runs in a transaction that has the
// locks and the snapshot already: pg_dump's own BEGIN is no more than a warning then, and its LOCKs wait for nobody.
// Sequences' values, rows, and all of large objects are written by us: see data.
// It asks for 10,000 locks one by one; those that the session has are granted here.
func (d *dumper) schema(ctx context.Context, encoding string, locked func(statement string) (tag string, ok bool)) (file string, err error) {
	file = filepath.Join(d.ddl.dir.Path, "schema")
	cmd := exec.CommandContext(ctx, d.tool.program("pg_dump"),
		"--dbname="+d.ddl.conninfo(), "--no-password", "--format=custom", "--compress=0", "--file="+file,
		"--section=pre-data", "--section=post-data", "--no-blobs",
		"--lock-wait-timeout="+fmt.Sprint(lockTimeout.Milliseconds()),
		"--encoding="+encoding)
	cmd.Env, cmd.Dir = toolEnv(), "/"
	if err := d.ddl.run(ctx, cmd, locked); err != nil {
		return "", fmt.Errorf("read the definitions with pg_dump: %w", err)
	}
	return file, nil
}

// grants answers LOCK statements for tables that the session has locked in that mode already.
func grants(list []table) func(statement string) (tag string, ok bool) {
	// The places of those with readable names, in their order: a map of all names would take as much as the list.
	var places []int32
	for i, t := range list {
		if readable(t.schema) == t.schema && readable(t.name) == t.name {
			places = append(places, int32(i))
		}
	}
	compare := func(a, b tableName) int {
		return cmp.Or(strings.Compare(a.schema, b.schema), strings.Compare(a.name, b.name))
	}
	nameOf := func(place int32) tableName { return tableName{list[place].schema, list[place].name} }
	slices.SortFunc(places, func(a, b int32) int { return compare(nameOf(a), nameOf(b)) })
	locked := func(name tableName) bool {
		_, found := slices.BinarySearchFunc(places, name, func(place int32, name tableName) int { return compare(nameOf(place), name) })
		return found
	}
	return func(statement string) (string, bool) {
		r := read([]byte(statement))
		if !r.is("LOCK", "TABLE") {
			return "", false
		}
		schema, name, ok := r.qualified()
		if !ok || schema == "" || !locked(tableName{schema, name}) || !r.is("IN", "ACCESS", "SHARE", "MODE") || !r.ends() {
			return "", false
		}
		return "LOCK TABLE", true
	}
}

// section writes one section of a schema file as frames of whole statements.
func (d *dumper) section(ctx context.Context, file string, section archive.Section) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, d.tool.program("pg_restore"), "--section="+string(section), "--file=-", file)
	cmd.Env, cmd.Dir, cmd.WaitDelay = toolEnv(), "/", closeTimeout
	var said tail
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start pg_restore: %w", err)
	}
	written := d.statements(out, section)
	if written != nil {
		cancel()
	}
	exited := cmd.Wait()
	switch {
	case written != nil:
		return fmt.Errorf("write section %s: %w", section, written)
	case exited != nil:
		return fmt.Errorf("write section %s: pg_restore failed: %w: %s", section, exited, said.String())
	}
	return nil
}

func (d *dumper) statements(script io.Reader, section archive.Section) error {
	s := sqlscript.New(script)
	b := batch{emit: d.write, entry: archive.Entry{Section: section, Kind: kindDDL}}
	begun := false
	for {
		statement, meta, err := s.Next()
		switch {
		case err == io.EOF:
			return b.flush()
		case err != nil:
			return err
		case meta:
			if !isRestrict(statement) {
				return fmt.Errorf("unexpected line for psql: %.80q", statement)
			}
			continue
		case !begun && isSetting(statement):
			continue // ours are in the preamble; those of a newer pg_dump an older server may not know
		case d.older.leaves(statement):
			continue
		}
		begun = true
		statement = d.older.fit(statement)
		if err := b.add(append(statement, '\n'), describe(statement)); err != nil {
			return err
		}
		if b.full() {
			if err := b.flush(); err != nil {
				return err
			}
		}
		d.bytes.Add(int64(len(statement)))
		d.tell()
	}
}

// isRestrict knows the lines with which pg_dump keeps psql from running commands for clients. Ours holds none.
func isRestrict(statement []byte) bool {
	line := bytes.TrimSpace(withoutComments(statement))
	return bytes.HasPrefix(line, []byte(`\restrict `)) || bytes.HasPrefix(line, []byte(`\unrestrict `))
}

var settingStatement = regexp.MustCompile(`^SET (statement_timeout|lock_timeout|idle_in_transaction_session_timeout|transaction_timeout|client_encoding|standard_conforming_strings|escape_string_warning|check_function_bodies|xmloption|client_min_messages|row_security) = |^SELECT pg_catalog\.set_config\('search_path', '', false\);`)

func isSetting(statement []byte) bool { return settingStatement.Match(withoutComments(statement)) }

// withoutComments drops the comments and blanks before a statement.
func withoutComments(statement []byte) []byte { return statement[sqlscript.Blanks(statement):] }

var entryComment = regexp.MustCompile(`(?m)^-- Name: (.+); Type: ([A-Z ]+); Schema: (.+); Owner: `)

// describe is what a statement makes, from pg_dump's comment before it, for people. "" if there is none.
func describe(statement []byte) string {
	m := entryComment.FindSubmatch(statement)
	if m == nil {
		return ""
	}
	name := string(m[1])
	if schema := string(m[3]); schema != "-" {
		name = schema + "." + name
	}
	return readable(string(m[2]) + " " + name)
}

// batch collects statements into one frame.
type batch struct {
	emit  func(e archive.Entry, sql []byte) error
	entry archive.Entry
	sql   bytes.Buffer
	count int
}

func (b *batch) add(statement []byte, object string) error {
	if b.sql.Len() > 0 && b.sql.Len()+len(statement) > batchBytes {
		if err := b.flush(); err != nil {
			return err
		}
	}
	b.sql.Write(statement)
	b.count++
	if object != "" {
		b.entry.Objects = append(b.entry.Objects, object)
	}
	return nil
}

func (b *batch) full() bool { return b.count >= batchStatements || b.sql.Len() >= batchBytes }

// flush writes what was collected as a frame.
func (b *batch) flush() error {
	if b.sql.Len() == 0 {
		return nil
	}
	if err := b.emit(b.entry, b.sql.Bytes()); err != nil {
		return err
	}
	if b.sql.Cap() > 4*batchBytes {
		b.sql = bytes.Buffer{}
	}
	b.sql.Reset()
	b.count, b.entry.Objects = 0, nil
	return nil
}

// write puts statements at the archive's end as one frame.
func (d *dumper) write(e archive.Entry, sql []byte) error {
	f, err := d.w.Frame(e)
	if err != nil {
		return err
	}
	if _, err := f.Write(sql); err != nil {
		return err
	}
	return f.Close()
}

// capped keeps a list of objects short enough for an error's text.
func capped(objects []string) string {
	if len(objects) > 3 {
		return strings.Join(objects[:3], ", ") + " …"
	}
	return strings.Join(objects, ", ")
}
