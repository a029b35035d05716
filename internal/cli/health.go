package cli

import (
	"context"
	"fmt"

	"github.com/safepoint-db/safepoint/internal/api/wire"
)

type healthCmd struct {
	Remote
	Days int `enum:"30,90,365" default:"30" help:"How far back the storage's totals in --json go: 30, 90 or 365."`
}

func (cmd *healthCmd) Run(ctx context.Context, env *Env) error {
	c, err := cmd.connect(ctx)
	if err != nil {
		return err
	}
	h, err := c.Health(ctx, cmd.Days)
	if err != nil {
		return err
	}
	return env.print(h, func(w ioWriter) {
		var rows [][]string
		for _, d := range h.Databases {
			rows = append(rows, []string{d.DatabaseName, provenText(d), sizeText(d.Size), seconds(d.TookSeconds), runsText(d), when(d.NextRun)})
		}
		if len(rows) == 0 {
			fmt.Fprintln(w, "No database is connected yet.")
		} else {
			table(w, columns("~database", "last proven backup", "size 3", "took 4", "last 30 days 1", "next run 2"), rows)
		}
		fmt.Fprintf(w, "\n%s\n%s\n", roomText(h.Storage), forecastText(h.Storage))
	})
}

func provenText(d wire.DatabaseHealth) string {
	if d.ProvenID == "" {
		return "none yet"
	}
	return when(d.ProvenAt)
}

func runsText(d wire.DatabaseHealth) string {
	all := d.Succeeded + d.Failed + d.Missed
	if all == 0 {
		return "no runs yet"
	}
	return fmt.Sprintf("%s of %s succeeded", grouped(d.Succeeded), count(all, "run"))
}

func roomText(s wire.StorageHealth) string {
	if s.SpaceTotal == 0 {
		return fmt.Sprintf("Storage: how much room is left is not known. Backups kept: %s.", bytesText(s.Bytes))
	}
	return fmt.Sprintf("Storage: %s free of %s. Backups kept: %s.", bytesText(s.SpaceFree), bytesText(s.SpaceTotal), bytesText(s.Bytes))
}

// forecastText says when the storage will be full, and what that supposes.
func forecastText(s wire.StorageHealth) string {
	const supposed = " Estimated from the growth of all backups in it over the last 30 days, as if nothing else filled the disk."
	switch s.Forecast {
	case "steady":
		return "It is not growing." + supposed
	case "far":
		return fmt.Sprintf("It will not be full within ten years if it goes on growing by about %s a day.", bytesText(s.BytesPerDay)) + supposed
	case "full":
		return fmt.Sprintf("It will be full on about %s if it goes on growing by about %s a day.", s.FullAt.Local().Format("2 Jan 2006"), bytesText(s.BytesPerDay)) + supposed
	}
	return "When it will be full is not known yet: it takes backups of seven days to say."
}
