package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
)

type databaseCmd struct {
	List   databaseListCmd   `cmd:"" help:"List the databases."`
	View   databaseViewCmd   `cmd:"" help:"Show a database, and how its connection is."`
	Add    databaseAddCmd    `cmd:"" help:"Add a database."`
	Edit   databaseEditCmd   `cmd:"" help:"Change a database."`
	Test   databaseTestCmd   `cmd:"" help:"Test a database: can it be backed up and restored?"`
	Remove databaseRemoveCmd `cmd:"" help:"Remove a database; the database itself is not touched."`
}

type databaseListCmd struct{ Remote }

func (cmd *databaseListCmd) Run(ctx context.Context, env *Env) error {
	c, err := cmd.connect(ctx)
	if err != nil {
		return err
	}
	var all []wire.Database
	err = answered(ctx, func() (asking bool, err error) {
		all, err = c.Databases(ctx)
		return slices.ContainsFunc(all, unanswered), err
	})
	if err != nil {
		return err
	}
	return env.print(all, func(w ioWriter) {
		var rows [][]string
		for _, d := range all {
			k := connectionOf(d)
			rows = append(rows, []string{d.ID, d.Name, connectionText(d), safepoint.Engine(d.Engine).Label(), d.ServerVersion, sizeText(k.Size), diskText(k), databasePlace(d)})
		}
		table(w, columns("id 6", "~name", "connection", "engine 3", "version 4", ">size 1", "disk 2", "~where 5"), rows)
		for _, d := range all {
			if k := connectionOf(d); k.Failure != nil {
				fmt.Fprintf(w, "\n%s: %s\n", d.Name, failureText(k.Failure))
			}
		}
	})
}

type databaseViewCmd struct {
	Remote
	Database string `arg:"" help:"The database, by name or ID." complete:"database"`
}

func (cmd *databaseViewCmd) Run(ctx context.Context, env *Env) error {
	c, d, err := found(ctx, cmd.Remote, cmd.Database, findDatabase)
	if err != nil {
		return err
	}
	err = answered(ctx, func() (asking bool, err error) {
		d, err = c.Database(ctx, d.ID)
		return unanswered(d), err
	})
	if err != nil {
		return err
	}
	return env.printDatabase(d)
}

func databasePlace(d wire.Database) string {
	if d.Path != "" {
		return d.Path
	}
	return fmt.Sprintf("%s@%s:%d/%s", d.User, d.Host, d.Port, d.DBName)
}

func (env *Env) printDatabase(d wire.Database) error {
	return env.print(d, func(w ioWriter) {
		k := connectionOf(d)
		facts(w, "ID", d.ID, "Name", d.Name, "Connection", connectionText(d), "Asked", when(k.AskedAt), "Engine", safepoint.Engine(d.Engine).Label(), "Version", d.ServerVersion,
			"Size", sizeText(k.Size), "Tables", number(k.Tables), "Disk", diskText(k),
			"Where", databasePlace(d), "TLS", d.TLS, "Password", yesNo(d.HasPassword), "Instant switch", yesNo(d.InstantSwitch), "Created At", exactly(d.CreatedAt), "Created By", d.CreatedBy)
		if k.Failure != nil {
			fmt.Fprintf(w, "\n%s\n", failureText(k.Failure))
		}
	})
}

type databaseAddCmd struct {
	Remote
	Name        string `arg:"" help:"What it is called here."`
	DatabaseURL string `arg:"" name:"database-url" help:"postgres://user@host:port/name or sqlite:///path, as the server reaches it."`
	Secret
	CACert string `type:"existingfile" placeholder:"FILE" help:"A PEM file with the certificate of the database server's authority."`
	NoTest bool   `help:"Do not test it first."`

	InstantSwitch bool `help:"Let its restores switch at once and make the safety backup afterwards, unless they are asked otherwise."`
}

func (cmd *databaseAddCmd) Run(ctx context.Context, env *Env) error {
	c, err := cmd.connect(ctx)
	if err != nil {
		return err
	}
	in := wire.DatabaseInput{Name: cmd.Name, URL: cmd.DatabaseURL, InstantSwitch: &cmd.InstantSwitch}
	if err := fillSecrets(env, &in, cmd.Secret, cmd.CACert); err != nil {
		return err
	}
	if !cmd.NoTest {
		t, err := c.TryDatabase(ctx, in)
		if err != nil {
			return err
		}
		if t.Failure != nil {
			return &safepoint.Error{Code: safepoint.Code(t.Failure.Code), Message: t.Failure.Message, Hint: t.Failure.Hint}
		}
		if !env.JSON {
			printFindings(env.Err, t.Findings)
		}
	}
	d, err := c.CreateDatabase(ctx, in)
	if err != nil {
		return err
	}
	return env.printDatabase(d)
}

// fillSecrets adds the password and the certificate to a request.
func fillSecrets(env *Env, in *wire.DatabaseInput, s Secret, caFile string) error {
	password, found, err := s.password(env, in.URL)
	if err != nil {
		return err
	}
	if found {
		in.Password = &password
	}
	if caFile != "" {
		in.CACert, err = readText(caFile)
	}
	return err
}

type databaseEditCmd struct {
	Remote
	Database    string  `arg:"" help:"The database, by name or ID." complete:"database"`
	Name        *string `help:"Its new name here."`
	DatabaseURL *string `name:"database-url" help:"Its new URL. Without a password, the stored one is kept."`
	Secret
	CACert string `type:"existingfile" placeholder:"FILE" help:"A PEM file with the certificate of the database server's authority."`

	InstantSwitch *bool `negatable:"" help:"Let its restores switch at once and make the safety backup afterwards, unless they are asked otherwise."`
}

func (cmd *databaseEditCmd) Run(ctx context.Context, env *Env) error {
	c, d, err := found(ctx, cmd.Remote, cmd.Database, findDatabase)
	if err != nil {
		return err
	}
	in := wire.DatabaseInput{
		Name: d.Name, Engine: d.Engine, Host: d.Host, Port: d.Port, User: d.User, DBName: d.DBName,
		Path: d.Path, TLS: d.TLS, CACert: d.CACert, Version: d.Version,
	}
	if cmd.DatabaseURL != nil {
		in = wire.DatabaseInput{Name: d.Name, URL: *cmd.DatabaseURL, CACert: d.CACert, Version: d.Version}
	}
	set(&in.Name, cmd.Name)
	in.InstantSwitch = cmd.InstantSwitch
	if err := fillSecrets(env, &in, cmd.Secret, cmd.CACert); err != nil {
		return err
	}
	if d, err = c.UpdateDatabase(ctx, d.ID, in); err != nil {
		return err
	}
	return env.printDatabase(d)
}

type databaseTestCmd struct {
	Remote
	Database string `arg:"" help:"The database, by name or ID." complete:"database"`
}

func (cmd *databaseTestCmd) Run(ctx context.Context, env *Env) error {
	c, d, err := found(ctx, cmd.Remote, cmd.Database, findDatabase)
	if err != nil {
		return err
	}
	t, err := c.TestDatabase(ctx, d.ID)
	if err != nil {
		return err
	}
	err = env.print(t, func(w ioWriter) {
		if t.Failure != nil {
			return // printed as the error
		}
		facts(w, "Server version", t.ServerVersion, "Encoding", t.Encoding, "Size", sizeText(t.Size),
			"Tables", number(t.Tables), "Dump program", t.Tool, "Took", seconds(t.TookSeconds))
		printFindings(w, t.Findings)
		if t.OK {
			fmt.Fprintf(w, "%s can be backed up and restored.\n", d.Name)
		}
	})
	return firstError(err, env.testOutcome(t))
}

// testOutcome is the error of a test that found something in the way.
func (env *Env) testOutcome(t wire.DatabaseTest) error {
	var err error
	switch {
	case t.OK:
		return nil
	case t.Failure != nil:
		err = &safepoint.Error{Code: safepoint.Code(t.Failure.Code), Message: t.Failure.Message, Hint: t.Failure.Hint}
	default:
		err = safepoint.Errorf(safepoint.CodeBlocked, "Something stands in the way of a backup or a restore.")
	}
	if env.JSON {
		return reported{err}
	}
	return err
}

func printFindings(w ioWriter, fs []wire.Finding) {
	for _, f := range fs {
		kind := "note"
		if f.Blocker {
			kind = "in the way"
		}
		fmt.Fprintf(w, "%s: %s %s\n", kind, oneLine(f.Message), oneLine(f.Hint))
	}
}

type databaseRemoveCmd struct {
	Remote
	Database string `arg:"" help:"The database, by name or ID." complete:"database"`
	Gone     bool   `help:"Its server is gone for good: give up what restores of it set aside there. Refused while the server answers."`
	Yes      bool   `short:"y" help:"Do not ask."`
}

func (cmd *databaseRemoveCmd) Run(ctx context.Context, env *Env) error {
	c, d, err := found(ctx, cmd.Remote, cmd.Database, findDatabase)
	if err != nil {
		return err
	}
	question, do := fmt.Sprintf("Remove %s? The database itself is not touched.", d.Name), c.RemoveDatabase
	if cmd.Gone {
		question = fmt.Sprintf("Is the server of %s gone for good? What restores of it set aside there is given up.", d.Name)
		do = func(ctx context.Context, id string) error { return c.RemoveLostDatabase(ctx, id, d.Name) }
	}
	if err := env.confirm(cmd.Yes, question); err != nil {
		return err
	}
	if err := do(ctx, d.ID); err != nil {
		return err
	}
	return env.print(map[string]string{"removed": d.ID}, func(w ioWriter) { fmt.Fprintf(w, "Removed %s.\n", d.Name) })
}
