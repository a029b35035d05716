package foreign

import (
	"bytes"
	"regexp"
)

// dialects knows scripts that are not for PostgreSQL, or not for one database, by what stands near their beginning.
var dialects = []struct {
	mark       *regexp.Regexp
	what, hint string
}{
	{regexp.MustCompile(`(?m)^-- MySQL dump|^/\*!40\d{3} SET |^-- Host: \S+ +Database: .*\n.*\n-- Server version\s+[58]\.`), "a dump of MySQL",
		"Safepoint restores dumps of PostgreSQL. To move the data, load the dump into MySQL and use a migration tool such as pgloader."},
	{regexp.MustCompile(`(?m)^-- MariaDB dump|^/\*M?!999999`), "a dump of MariaDB",
		"Safepoint restores dumps of PostgreSQL. To move the data, load the dump into MariaDB and use a migration tool such as pgloader."},
	{regexp.MustCompile(`(?m)^-- phpMyAdmin SQL Dump`), "a dump of MySQL or MariaDB, made by phpMyAdmin",
		"Safepoint restores dumps of PostgreSQL. To move the data, use a migration tool such as pgloader."},
	{regexp.MustCompile(`(?m)\A\s*PRAGMA foreign_keys ?= ?(OFF|off|0);|^-- A backup of an? SQLite database`), "a dump of SQLite",
		"Load it into an SQLite file with sqlite3, and add that as a database; its backups can then be restored."},
	{regexp.MustCompile(`(?m)^-- PostgreSQL database cluster dump`), "a dump of a whole server, made by pg_dumpall",
		"Make a dump of one database with pg_dump: Safepoint restores one database at a time."},
	{regexp.MustCompile(`(?m)^USE \[.+\]\r?$|^SET ANSI_NULLS ON`), "a script for Microsoft SQL Server", "Safepoint restores dumps of PostgreSQL."},
}

// ours is how scripts of Safepoint begin. One in a zstd file without a table of contents is an archive that lost its end.
var ours = regexp.MustCompile(`(?m)\A-- (A backup of a PostgreSQL database, made|Converted) by Safepoint\.$`)

// dialect refuses a script that is for another kind of database.
func dialect(head []byte) error {
	head = bytes.TrimPrefix(head, []byte("\xef\xbb\xbf"))
	for _, d := range dialects {
		if d.mark.Match(head) {
			return refuse(d.hint, "This is not a dump of one PostgreSQL database: it is %s.", d.what)
		}
	}
	if ours.Match(head) {
		return refuse("Copy the file again from where it was kept; its name ends in .sql.zst. What is left of it can be used by hand: zstd -dc FILE | psql.",
			"This was made by Safepoint, and its table of contents is missing: nobody can tell whether it is whole.")
	}
	return nil
}
