package browsertest

import (
	"database/sql"
	"path/filepath"
	"testing"
	"time"

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

// setup makes the first admin, after a code that was mistyped.
func (c *console) setup(code string) {
	c.t.Helper()
	c.open("/setup")
	fill := func(code string) {
		c.Fill("Setup code", code)
		c.Fill("Your name", "Ada Quay")
		c.Fill("Email", adminEmail)
		c.Fill("Password", adminPassword)
		c.Fill("Password again", adminPassword)
		c.Fill("Organization name", "Harborline")
		c.Fill("Time zone", "Europe/Zurich")
	}
	fill("AAAAA-AAAAA-AAAAA-AAAAA-AAAAAA")
	c.Expect("status of 4") // the mistyped code
	c.Follow("Set up")
	c.WaitText("This setup code is wrong")
	c.open("/setup")
	fill(code)
	c.Follow("Set up")
	c.WaitText("Connect a database to start")
}

func (c *console) connect(file string) {
	c.t.Helper()
	c.open("/databases/new")
	c.Click("SQLite")
	c.Fill("Name", "harbor")
	c.Fill("File", file)
	c.ask("Test", "The database answered") // in place where scripts run, so that a password typed is kept
	c.Follow("Connect")
	c.WaitText("Created.")
}

func (c *console) schedule() {
	c.t.Helper()
	c.open("/backups/new")
	c.Fill("Name", "Harbor, daily")
	c.Click("3 days")
	c.Follow("css:main form button.primary")
	c.WaitText("Every 3 days")
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
