package browsertest

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint/internal/pgtest"
	_ "modernc.org/sqlite" // the database that is backed up
)

// TestFirstRun takes a new server from its setup code to the first restore, without scripts and with them.
func TestFirstRun(t *testing.T) {
	b := Start(t)
	for name, scripts := range map[string]bool{"with scripts": true, "without scripts": false} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "harbor.db")
			db, err := sql.Open("sqlite", file)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			execute(t, db, "CREATE TABLE ships (id INTEGER PRIMARY KEY, name TEXT NOT NULL)", "INSERT INTO ships (name) VALUES ('Adria'), ('Boreas')")

			said := launch(t, `Open (http://\S+)/setup and enter this code within 30 minutes: (\S+)`, "serve", "--addr", "127.0.0.1:0", "--data", filepath.Join(t.TempDir(), "data"))
			c := &console{Page: b.NewPage(t), t: t, origin: said[1], scripts: scripts}
			c.Scripts(scripts)
			c.zone()
			c.setup(said[2])
			c.connect(file)
			c.schedule()

			c.open("/backups")
			c.ask("Manual Backup", "Start a manual backup?")
			c.Follow("Start backup")
			c.WaitTextFor("Read again and found whole", time.Minute)
			execute(t, db, "DELETE FROM ships")
			c.ask("Restore", "to an earlier state?")
			c.WaitText("No service will be halted, because none is set up.")
			c.Fill("css:[name=confirm]", "harbor")
			c.Follow("Restore harbor")
			c.WaitTextFor("harbor is back to", time.Minute)
			var ships int
			if err := db.QueryRow("SELECT count(*) FROM ships").Scan(&ships); err != nil || ships != 2 {
				t.Errorf("after the restore there are %d ships (%v), want 2", ships, err)
			}
			c.signOutAndIn()
		})
	}
}

// TestFirstRunFilmed is what a new person does, from the program's first start to the first restore undone, with a real
// PostgreSQL: led by the guide, with a picture of each step in the folder of pictures, first-run-01-… on.
func TestFirstRunFilmed(t *testing.T) {
	cluster := pgtest.Shared(t)
	live := pgtest.Create(t, cluster)
	pgtest.Exec(t, live, "CREATE TABLE ships (id int PRIMARY KEY, name text NOT NULL); INSERT INTO ships VALUES (1, 'Adria'), (2, 'Boreas'), (3, 'Calypso')")
	ships := func(when, want string) {
		t.Helper()
		if got := strings.Join(pgtest.Query(t, live, "SELECT name FROM ships ORDER BY id"), " "); got != want {
			t.Errorf("%s there are the ships %q, want %q", when, got, want)
		}
	}
	b := Start(t)
	said := launch(t, `Open (http://\S+)/setup and enter this code within 30 minutes: (\S+)`, "serve", "--addr", "127.0.0.1:0", "--data", filepath.Join(t.TempDir(), "data"), "--support", "help@example.org")
	c := &console{Page: b.NewPage(t), t: t, origin: said[1], scripts: true}
	shots := 0
	film := func(name string) {
		t.Helper()
		shots++
		c.Screenshot(fmt.Sprintf("first-run-%02d-%s", shots, name))
	}

	c.open("/")
	c.WaitText("Need help? help@example.org")
	film("setup")
	c.fillSetup(said[2])
	film("setup-filled")
	c.Follow("Set up")
	c.WaitText("Step 3 of 6")
	film("guide")
	c.Axe()

	c.Follow("Connect a database")
	c.Fill("Name", "harbor")
	tcp := cluster.TCPTarget(live.Name)
	c.Fill("Host", tcp.Host)
	c.Fill("Port", strconv.Itoa(tcp.Port))
	c.Fill("Database name", tcp.Name)
	c.Fill("User", tcp.User)
	c.Fill("Password", tcp.Password)
	c.Choose("Encryption", "disable: in the clear, for a Unix socket or this machine")
	c.ask("Test", "The database answered")
	film("database-tested")
	c.Follow("Connect")
	c.WaitText("Step 5 of 6")
	film("guide-storage-and-schedule")

	c.open("/databases") // to leave, and take it up again
	c.WaitText("Finish setting up: step 5 of 6")
	film("left")
	c.Follow("Go on")
	c.Follow("New schedule")
	c.Fill("Name", "Harbor, daily")
	c.Click("24 hours")
	film("schedule")
	c.Follow("css:main form button.primary")
	c.WaitText("Every 24 hours")
	c.open("/start")
	film("first-backup")
	c.WaitTextFor("The first backup is there", 2*time.Minute)
	film("first-backup-done")
	c.Axe()
	c.open("/backups")
	c.WaitNoText("Finish setting up")
	film("db-backup")

	pgtest.Exec(t, live, "DELETE FROM ships WHERE id < 3; INSERT INTO ships VALUES (4, 'Dione')")
	c.open("/logs")
	film("db-logs")
	var backup string
	if err := c.run(`document.querySelector("main a[href^='/logs/op_']").getAttribute("href")`, &backup); err != nil {
		t.Fatal(err)
	}
	backup, _, _ = strings.Cut(backup, "/restore")
	c.open(backup)
	film("backup")
	c.ask("Restore", "to an earlier state?")
	c.WaitText("No service will be halted, because none is set up.")
	c.Fill("css:[name=confirm]", "harbor")
	film("restore")
	c.Follow("Restore harbor")
	film("restoring")
	c.WaitTextFor("harbor is back to", 2*time.Minute)
	film("restored")
	ships("after the restore", "Adria Boreas Calypso")

	c.ask("Undo restore", "Undo this restore?")
	film("undo")
	c.Follow("Undo restore")
	c.WaitTextFor("The restore was undone.", 2*time.Minute)
	film("undone")
	ships("after the undo", "Calypso Dione")
}

func execute(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

const (
	adminEmail    = "ada@example.org"
	adminPassword = "seven boats under one lamp"
)

// zone looks at the time zone that the setup offers: the browser's where it can say it, by the name that the list has for
// it; UTC else; and what was typed, once something was.
func (c *console) zone() {
	c.t.Helper()
	for _, zone := range []struct{ here, offered string }{{"America/Bogota", "America/Bogota"}, {"Europe/Kiev", "Europe/Kyiv"}, {"Asia/Calcutta", "Asia/Kolkata"}, {"Asia/Yerevan", "Asia/Yerevan"}} {
		if !c.scripts {
			zone.offered = "UTC"
		}
		c.TimeZone(zone.here)
		c.open("/setup")
		if got := c.Value("Time zone"); got != zone.offered {
			c.t.Errorf("in %s the setup offers the time zone %q, want %q", zone.here, got, zone.offered)
		}
	}
	c.Fill("Time zone", "UTC")
	c.Fill("Setup code", "AAAAA-AAAAA-AAAAA-AAAAA-AAAAAA")
	c.Expect("status of 4")
	c.Follow("Set up")
	c.WaitText("This setup code is wrong")
	if got := c.Value("Time zone"); got != "UTC" {
		c.t.Errorf("UTC was typed, and the form that comes back says %q", got)
	}
}

// setup makes the first admin, after a code that was mistyped.
func (c *console) setup(code string) {
	c.t.Helper()
	c.open("/setup")
	c.fillSetup("AAAAA-AAAAA-AAAAA-AAAAA-AAAAAA")
	c.Expect("status of 4") // the mistyped code
	c.Follow("Set up")
	c.WaitText("This setup code is wrong")
	c.Fill("Setup code", code) // the rest is still there, but for the passwords
	c.Fill("Password", adminPassword)
	c.Fill("Password again", adminPassword)
	c.Follow("Set up")
	c.WaitText("Step 3 of 6")
}

func (c *console) fillSetup(code string) {
	c.t.Helper()
	c.Fill("Setup code", code)
	c.Fill("Your name", "Ada Quay")
	c.Fill("Email", adminEmail)
	c.Fill("Password", adminPassword)
	c.Fill("Password again", adminPassword)
	c.Fill("Organization name", "Harborline")
	c.Fill("Time zone", "Europe/Zurich")
}

func (c *console) connect(file string) {
	c.t.Helper()
	c.open("/databases/new")
	c.Click("SQLite")
	c.Fill("Name", "harbor")
	c.Fill("File", file)
	c.ask("Test", "The database answered") // in place where scripts run, so that a password typed is kept
	c.Follow("Connect")
	c.WaitText("The database is connected.")
}

// schedule makes a schedule, and waits for the end of its first run: while it lasts, no other backup of the database starts.
func (c *console) schedule() {
	c.t.Helper()
	c.open("/backups/new")
	c.Fill("Name", "Harbor, daily")
	c.Click("3 days")
	c.Follow("css:main form button.primary")
	c.WaitText("Every 3 days")
	c.open("/logs")
	c.WaitTextFor("Succeeded", time.Minute)
}

func (c *console) signOutAndIn() {
	c.t.Helper()
	c.open("/profile")
	c.Click("css:button.avatar")
	c.Follow("Sign out")
	c.Fill("Email", adminEmail)
	c.Fill("Password", "not "+adminPassword)
	c.Follow("Sign in")
	c.WaitText("do not belong together")
	c.Fill("Email", adminEmail)
	c.Fill("Password", adminPassword)
	c.Follow("Sign in")
	c.WaitText("Harborline")
}
