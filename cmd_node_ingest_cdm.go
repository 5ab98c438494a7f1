package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/connectors/source/cdm"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/cdmdb"
	"github.com/trialmesh/trialmesh/node/client"
)

// addCDM adds the flags of a CDM in a database.
func addCDM(cmd *cobra.Command) {
	cmd.Flags().String("cdm-database", "", "read an OMOP CDM from a database: postgres://user@host/name or sqlite:/path, without a password")
	cmd.Flags().String("cdm-schema", "", "schema of the CDM's tables in PostgreSQL (default: the search path's first)")
}

// ingestArgs wants files or a database.
func ingestArgs(cmd *cobra.Command, args []string) error {
	address, _ := cmd.Flags().GetString("cdm-database")
	schema, _ := cmd.Flags().GetString("cdm-schema")
	switch {
	case address == "" && schema != "":
		return errors.New("--cdm-schema belongs to --cdm-database")
	case address == "":
		return cobra.MinimumNArgs(1)(cmd, args)
	case len(args) > 0:
		return errors.New("either files or --cdm-database")
	}
	for _, name := range []string{"patient", "wearable", "timezone"} {
		if cmd.Flags().Changed(name) {
			return errors.New("--" + name + " does not go with --cdm-database")
		}
	}
	return nil
}

// copyCDM copies the tables of a CDM out of its database, to be sent like files. All have
// come when it returns: nothing is sent of a database that fails on the way.
func (l *link) copyCDM(ctx context.Context, address, schema string) (stages [][]string, err error) {
	progress := newProgress(l.cmd, 0)
	tables, err := cdmdb.Read(ctx, cdmdb.Config{Address: address, Schema: schema, Say: progress.say})
	if errors.Is(err, sqldb.ErrPassword) {
		err = usageError{err}
	}
	if err != nil {
		return nil, fmt.Errorf("--cdm-database: %w", err)
	}
	stages, l.tables = make([][]string, cdm.Stages), map[string]cdmdb.Table{}
	for _, t := range tables {
		l.tables[t.Name] = t
		stages[t.Stage] = append(stages[t.Stage], t.Name)
	}
	return stages, nil
}

// placed is a problem of a load. Of a table in a database it has the table and the key of the row
// in place of a file and a line, which the site does not have.
type placed struct {
	client.Problem
	Table string `json:"table,omitempty"`
	Row   string `json:"row,omitempty"` // such as "measurement_id 17"; empty if it is of the table
}

func (p placed) place() string {
	switch {
	case p.Table == "":
		return fmt.Sprintf("%s line %d", p.File, p.Line)
	case p.Row == "":
		return "table " + p.Table
	}
	return "table " + p.Table + ", " + p.Row
}

// problems are those of a file or a table that was loaded.
func (l *link) problems(load sentFile) []placed {
	list := make([]placed, len(load.job.Problems))
	lines := make([]int, len(list))
	for i, p := range load.job.Problems {
		list[i].Problem, lines[i] = p, p.Line
	}
	table, is := l.tables[load.path]
	if !is {
		return list
	}
	column, keys, err := table.Keys(lines)
	if err != nil { // what is loaded is; that a row is not named is said
		newProgress(l.cmd, 0).say(err.Error())
	}
	for i := range list {
		list[i].Table = table.CDM()
		if key, is := keys[list[i].Line]; is {
			list[i].Row = fmt.Sprintf("%s %d", column, key)
		}
		list[i].File, list[i].Line = "", 0
	}
	return list
}

// closeTables gives back what the tables hold.
func (l *link) closeTables() {
	for _, t := range l.tables {
		_ = t.Close() // it was only read
	}
}

// sendTable goes on with a table, or begins it.
func sendTable(ctx context.Context, c *client.Client, t cdmdb.Table, sent func(bytes int64)) (client.Upload, error) {
	return c.UploadParts(ctx, client.Sending{Name: t.Name, Size: t.Size(), Data: t, Key: t.Digest, Sent: sent})
}
