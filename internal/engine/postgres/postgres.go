// Package postgres dumps, restores and switches PostgreSQL databases, version 13 and later.
//
// DDL comes from the pg_dump that fits the server, run through a session that we opened and logged in ourselves
// (relay.go); rows are read and written by COPY in our own sessions (rows.go, load.go). A switch is one transaction of two
// renames (switch.go). What is where:
//
//	session.go, workers.go, tls.go, errors.go, settings.go, quote.go   sessions, what their errors mean, writing SQL
//	tables.go, dump.go, slices.go, divide.go, rows.go, copyout.go, ddl.go, largeobjects.go, statistics.go, relay.go, tool.go, script.go   a dump
//	reader.go, classify.go, classify_alter.go, classify_set.go, vet.go, login.go, loadenter.go, execute.go, watch.go   who executes which statement of a load
//	load.go, predata.go, loadrows.go, loadschema.go, postdata.go, build.go, analyze.go, digest.go   a load, and the fingerprint of what was loaded
//	pick.go, pickstatement.go, pickdecide.go, pickwrite.go, tokens.go   chosen tables out of a backup
//	inspect.go, census.go, disk.go, preflight.go, rehearse.go, toolarge_preflight.go   looking
//	database.go, properties.go, attached.go   databases as objects of their server: identity, marker, what goes with the name
//	stage.go, gate.go, switch.go, instant.go, found.go, doctor.go   a restore, and what one left
//	inplace.go and others of its name   a restore within the live database
package postgres

import (
	"runtime"

	"github.com/safepoint-db/safepoint/internal/engine"
)

// Engine is the PostgreSQL family. The zero value is ready.
type Engine struct {
	Jobs int // sessions that a dump, a load and a digest use beside one another; 0 is as many as this machine has processors, up to 8
	// Programs are folders of pg_dump and pg_restore. Where one of them holds a pg_dump that fits a server, it is used;
	// otherwise /usr/lib/postgresql/*/bin and PATH are looked through.
	Programs []string
	// Unknown is how files of unknown origin are treated.
	Unknown engine.UnknownOrigin
}

var _ engine.Engine = Engine{}

const maxDefaultJobs = 8

func (e Engine) jobs() int {
	if e.Jobs > 0 {
		return e.Jobs
	}
	return min(runtime.NumCPU(), maxDefaultJobs)
}

// loaders is how many sessions load: half as many more than shall be at work, and moreSessions that only make what is small.
// For each index and each table with values out of line that it makes, the server waits until the disk has it: of 2,000 small
// tables that is half of the time.
func (e Engine) loaders() int {
	if e.jobs() == 1 {
		return 1
	}
	return e.jobs() + e.jobs()/2 + moreSessions
}

const moreSessions = 3

// minVersion is the oldest server that is dumped or restored: 13 is the first that can DROP DATABASE … WITH (FORCE).
const minVersion = 130000
