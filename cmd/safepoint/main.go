// Command safepoint backs up databases, keeps one log of every backup and restore, and restores any of them.
package main

import (
	"os"
	_ "time/tzdata" // organizations choose their zone, also where the machine knows none

	"github.com/safepoint-db/safepoint/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:])) }
