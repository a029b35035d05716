package e2e

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/app"
	"github.com/safepoint-db/safepoint/internal/foreign"
	"github.com/safepoint-db/safepoint/internal/pgtest"
	"github.com/safepoint-db/safepoint/internal/server"
)

// upload sends a file for a database and waits until it was checked.
func (s *shop) upload(name string, content []byte) wire.Operation {
	s.t.Helper()
	return s.wait(must(s.api.Upload(s.t.Context(), s.ID, name, false, bytes.NewReader(content), int64(len(content))))(s.t).ID)
}

// TestUpload: a dump that pg_dump made is uploaded, listed, and restored like any other backup; its origin is said.
func TestUpload(t *testing.T) {
	c := pgtest.Shared(t)
	b := start(t, server.Config{Uploads: app.Uploads{Foreign: true, MaxSize: 12 << 20, Limits: foreign.Limits{SQL: 64 << 20}}}, "")
	b.openTill()
	s := b.addPostgres(c, nil, ordersPostgres+`; CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
		CREATE TRIGGER note BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION noted()`)
	// What a file of unknown origin brings belongs to somebody with few rights: the database's owner.
	pgtest.Exec(t, s.target, `CREATE ROLE e2e_plain; GRANT ALL ON SCHEMA public TO e2e_plain; ALTER DATABASE `+pgtest.Quote(s.target.Name)+` OWNER TO e2e_plain`)
	t.Cleanup(func() { // the restored database has the name now
		pgtest.Exec(t, c.Target("postgres"), `ALTER DATABASE `+pgtest.Quote(s.target.Name)+` OWNER TO postgres`)
		pgtest.Exec(t, s.target, `DROP OWNED BY e2e_plain`)
	})
	want := s.digest()
	dump := must(c.Tool(t.Context(), "pg_dump", s.target.Name, "-Fc").Output())(t)
	pgtest.Exec(t, s.target, "DELETE FROM orders WHERE id > 100")

	op := s.upload("../../shop <1>.dump", dump)
	if op.Status != "succeeded" || op.Trigger != "upload" || op.Rows != 12000 || op.Tables != 1 || op.VerifiedAt.IsZero() {
		t.Fatalf("the upload ended %s: %+v %+v", op.Status, op.Failure, op)
	}
	if u := op.Upload; u == nil || u.FileName != "shop <1>.dump" || u.Size != int64(len(dump)) || !strings.HasPrefix(u.Origin, "pg_dump 1") {
		t.Errorf("upload: %+v", u)
	}
	preview := must(b.api.PreviewRestore(t.Context(), op.ID))(t)
	if !preview.Ready || len(preview.Findings) == 0 || !strings.Contains(preview.Findings[0].Message, "unknown origin") ||
		!strings.Contains(preview.Findings[0].Message, "FUNCTION public.noted, TRIGGER note") {
		t.Errorf("preview: %+v", preview.Findings)
	}
	s.restore(op)
	if err := want.Compare(s.digest()); err != nil {
		t.Error(err)
	}
	journal := must(b.api.Journal(t.Context(), b.operations(safepoint.OperationFilter{Type: safepoint.TypeRestore})[0].ID))(t)
	if text := fmt.Sprint(journal); !strings.Contains(text, "carries no fingerprint") || strings.Contains(text, "Verified:") {
		t.Errorf("the journal claims what was not checked: %s", text)
	}
	s.nothingWaits()

	t.Run("our own", func(t *testing.T) {
		made := s.backup()
		file := must(os.ReadFile(b.file(made)))(t)
		again := s.upload("downloaded.sql.zst", file)
		if again.Status != "succeeded" || again.Rows != made.Rows || again.Upload.Origin != "" {
			t.Fatalf("%s: %+v %+v", again.Status, again.Failure, again.Upload)
		}
		s.restore(again)
		file[len(file)/2] ^= 1
		wantFailed(t, s.upload("altered.sql.zst", file), safepoint.CodeArchive, "altered or damaged")
		_, err := s.api.Upload(t.Context(), s.ID, "cut.sql.zst", false, bytes.NewReader(file[:len(file)-100]), int64(len(file)-100))
		wantRefusal(t, err, safepoint.CodeArchive, "truncated")
	})

	t.Run("refused", func(t *testing.T) {
		check := s.unchanged()
		var bomb bytes.Buffer
		z := gzip.NewWriter(&bomb)
		for range 70 {
			io.WriteString(z, strings.Repeat("-- nothing at all\n", 1<<20/18))
		}
		z.Close()
		for name, f := range map[string]struct {
			content string
			words   string
		}{
			"meta.sql":  {"SELECT 1;\n\n\\! touch /tmp/x\n", "Line 3 cannot be used: it runs a program"},
			"cut.sql":   {"--\n-- PostgreSQL database dump\n--\nCREATE TABLE t (a int);\n", "has been cut off"},
			"bomb.gz":   {bomb.String(), "limit"},
			"rows.sql":  {"COPY t (a) FROM stdin;\n1\n2\n", "ends within the rows"},
			"quote.sql": {"SELECT 'x", "within a statement"},
		} {
			wantFailed(t, s.upload(name, []byte(f.content)), safepoint.CodeArchive, f.words)
		}
		for content, words := range map[string]string{
			"":                                       "zero bytes",
			"SQLite format 3\x00":                    "an SQLite database",
			"-- MySQL dump 10.13\n":                  "a dump of MySQL",
			"age-encryption.org/v1\n":                "encrypted",
			strings.Repeat("SELECT 1;\n", 13<<20/10): "larger than 12 MiB",
		} {
			_, err := s.api.Upload(t.Context(), s.ID, "x", false, strings.NewReader(content), 0)
			wantRefusal(t, err, safepoint.CodeArchive, words)
		}
		check()
		s.nothingWaits()
	})

	t.Run("console", func(t *testing.T) {
		visitor := b.console()
		var form bytes.Buffer
		w := multipart.NewWriter(&form)
		b.must(w.WriteField("database", s.ID))
		b.must(w.WriteField("no_owner", "1"))
		part := must(w.CreateFormFile("file", "shop.dump"))(t)
		must(part.Write(dump))(t)
		b.must(w.Close())
		req := must(http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+b.Addr()+"/logs/upload", &form))(t)
		req.Header.Set("Content-Type", w.FormDataContentType())
		if status, body := visitor.do(req); status != 200 || !strings.Contains(body, "Uploaded by Rahel") || !strings.Contains(body, "Owners and rights were left out") {
			t.Errorf("%d\n%s", status, body)
		}
		op := b.operations(safepoint.OperationFilter{DatabaseID: s.ID})[0]
		if op = b.wait(op.ID); op.Status != "succeeded" || !op.Upload.NoOwner {
			t.Errorf("%s: %+v", op.Status, op.Failure)
		}
		if status, body := visitor.get("/logs/" + op.ID + "/restore"); status != 200 || !strings.Contains(body, "unknown origin") {
			t.Errorf("the question before a restore does not warn: %d\n%s", status, body)
		}
	})
}

// TestUploadPolicy: unless the operator allows it, nobody uploads what this Safepoint did not make.
func TestUploadPolicy(t *testing.T) {
	b := start(t, server.Config{}, "")
	s := b.addSQLite("shop", ordersSQLite("10"))
	made := s.backup()
	file := must(os.ReadFile(b.file(made)))(t)
	if op := s.upload("mine.sql.zst", file); op.Status != "succeeded" {
		t.Errorf("%s: %+v", op.Status, op.Failure)
	}
	other := start(t, server.Config{}, "")
	o := other.addSQLite("shop", ordersSQLite("10"))
	_, err := other.api.Upload(t.Context(), o.ID, "theirs.sql.zst", false, bytes.NewReader(file), int64(len(file)))
	wantRefusal(t, err, safepoint.CodeForbidden, "was not made by this Safepoint")
	third := start(t, server.Config{}, "")
	pg := third.addPostgres(pgtest.Shared(t), nil, "")
	_, err = third.api.Upload(t.Context(), pg.ID, "shop.sql", false, strings.NewReader("SELECT 1;"), 9)
	wantRefusal(t, err, safepoint.CodeForbidden, "does not allow such files")
	_, err = third.api.Upload(t.Context(), pg.ID, "mine.sql.zst", false, bytes.NewReader(file), int64(len(file)))
	wantRefusal(t, err, safepoint.CodeArchive, "backup of a SQLite database")
	s.nothingWaits()

	allowing := start(t, server.Config{Uploads: app.Uploads{Foreign: true}}, "")
	a := allowing.addSQLite("shop", ordersSQLite("20"))
	op := a.upload("theirs.sql.zst", file)
	if op.Status != "succeeded" || !strings.Contains(op.Upload.Origin, "signed elsewhere") {
		t.Fatalf("%s: %+v %+v", op.Status, op.Failure, op.Upload)
	}
	a.restore(op)
	if err := s.digest().Compare(a.digest()); err != nil {
		t.Error(err)
	}
}

// nothingWaits checks that no uploaded file is kept once its operation has ended.
func (b *bench) nothingWaits() {
	b.t.Helper()
	if left := must(filepath.Glob(filepath.Join(b.data, "uploads", "*")))(b.t); len(left) > 0 {
		b.t.Errorf("uploads are kept: %v", left)
	}
}
