package main

import (
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/trialmesh/trialmesh/localstore/sqldb"
	"github.com/trialmesh/trialmesh/node/events"
	"github.com/trialmesh/trialmesh/node/events/memory"
	"github.com/trialmesh/trialmesh/node/members"
	"github.com/trialmesh/trialmesh/protocol/cohort"
)

func newCohortRun() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Find who belongs to cohorts, and when",
		Long: `Evaluate OHDSI cohort definitions (Circe JSON, as ATLAS exports them) on an OMOP CDM, and
write an entry a line: cohort_id,subject_id,cohort_start_date,cohort_end_date. The result is
that of the SQL that ATLAS runs. The id of a cohort is the number that its file is named for.
The CDM is a folder of CSV files, plain or .gz, or a database, which is only read; its
password comes from PGPASSWORD or the file that PGPASSFILE names. The columns that the
definitions need are held in memory. A definition that fails does not stop the others; the
status is 1 then.`,
		Example: `  trialmesh cohort run --cdm cdm/ --definitions 1234.json --out rows.csv
  trialmesh cohort run --cdm postgres://reader@db.example/omop --cdm-schema cdm --definitions cohorts/ --out rows.csv
  trialmesh cohort run --cdm sqlite:cdm.db --definitions t2dm.json --id 7 --attrition attrition.csv --out rows.csv --json`,
		Args: args(cobra.NoArgs),
		RunE: runCohorts,
	}
	cmd.Flags().String("cdm", "", "folder of CSV files, sqlite:/path or postgres://user@host/name, without a password")
	cmd.Flags().String("cdm-schema", "", "schema of the CDM's tables in PostgreSQL (default: the search path's first)")
	cmd.Flags().String("definitions", "", "file or folder of definitions")
	cmd.Flags().Int64("id", 0, "id of the cohort, of one definition (default: the number its file is named for)")
	cmd.Flags().String("out", "", "file for the entries, readable by its owner alone")
	cmd.Flags().String("attrition", "", "file for how many events and persons there are for each set of inclusion rules that hold, as OHDSI's cohort_inclusion_result")
	for _, name := range []string{"cdm", "definitions", "out"} {
		_ = cmd.MarkFlagRequired(name) // it is there
	}
	return cmd
}

// cohortRun is one evaluation of several definitions.
type cohortRun struct {
	cmd       *cobra.Command
	progress  *progress
	studies   []study
	summary   cohortSummary
	rows      *csvFile
	attrition *csvFile // nil for none
}

// study is a definition with its file.
type study struct {
	id         int64
	file       string
	definition cohort.Definition
}

// cohortSummary is what --json prints.
type cohortSummary struct {
	Cohorts  []cohortFigures `json:"cohorts"`
	Problems []cohortProblem `json:"problems"`

	// Missing are the tables that definitions need and the CDM does not have: they count
	// as empty.
	Missing []string `json:"missing"`
}

type cohortFigures struct {
	ID           int64   `json:"id"`
	File         string  `json:"file"`
	Entries      int     `json:"entries"`
	Persons      int     `json:"persons"`
	Milliseconds float64 `json:"milliseconds"`
}

type cohortProblem struct {
	File  string `json:"file"`
	Error string `json:"error"`
}

func runCohorts(cmd *cobra.Command, _ []string) (err error) {
	r := &cohortRun{cmd: cmd, progress: newProgress(cmd, 0)}
	r.summary = cohortSummary{Cohorts: []cohortFigures{}, Problems: []cohortProblem{}, Missing: []string{}}
	if err := r.readDefinitions(); err != nil {
		return err
	}
	out, _ := cmd.Flags().GetString("out")
	if r.rows, err = createCSV(out, "cohort_id", "subject_id", "cohort_start_date", "cohort_end_date"); err != nil {
		return err
	}
	defer func() { err = r.rows.close(err) }()
	if path, _ := cmd.Flags().GetString("attrition"); path != "" {
		if r.attrition, err = createCSV(path, "cohort_id", "mode", "inclusion_rule_mask", "count"); err != nil {
			return err
		}
		defer func() { err = r.attrition.close(err) }()
	}
	if err := r.onCDM(cmd.Context()); err != nil {
		return err
	}
	if err := r.rows.keep(); err != nil {
		return err
	}
	if r.attrition != nil {
		if err := r.attrition.keep(); err != nil {
			return err
		}
	}
	if wantsJSON(cmd) {
		if err := printJSON(cmd, r.summary); err != nil {
			return err
		}
	}
	if n := len(r.summary.Problems); n > 0 {
		return fmt.Errorf("%s of %s failed", counted(n, "definition"), counted(n+len(r.summary.Cohorts), "definition"))
	}
	return nil
}

// problem keeps a definition that failed, and goes on.
func (r *cohortRun) problem(file string, err error) {
	r.summary.Problems = append(r.summary.Problems, cohortProblem{file, err.Error()})
	r.progress.say(file + ": " + err.Error())
}

// readDefinitions reads the definitions, in the order of their ids.
func (r *cohortRun) readDefinitions() error {
	path, _ := r.cmd.Flags().GetString("definitions")
	id, _ := r.cmd.Flags().GetInt64("id")
	files := []string{path}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("--definitions: %w", err)
	}
	if info.IsDir() {
		if files, err = filepath.Glob(filepath.Join(path, "*.json")); err != nil {
			return err
		}
	}
	switch {
	case len(files) == 0:
		return fmt.Errorf("--definitions: %s has no file *.json", path)
	case r.cmd.Flags().Changed("id") && len(files) > 1:
		return usageError{errors.New("--id goes with one definition")}
	}
	for _, file := range files {
		s := study{id: id, file: file}
		if !r.cmd.Flags().Changed("id") {
			if s.id, err = strconv.ParseInt(strings.TrimSuffix(filepath.Base(file), ".json"), 10, 64); err != nil {
				r.problem(file, errors.New("the file is not named for a number: rename it, or give --id"))
				continue
			}
		}
		raw, err := os.ReadFile(file)
		if err == nil {
			s.definition, err = cohort.Read(raw)
		}
		if err == nil {
			err = s.definition.Evaluable()
		}
		if err != nil {
			r.problem(file, err)
			continue
		}
		if i := slices.IndexFunc(r.studies, func(o study) bool { return o.id == s.id }); i >= 0 {
			r.problem(file, fmt.Errorf("%s has the number %d, too: rename one", r.studies[i].file, s.id))
			continue
		}
		r.studies = append(r.studies, s)
	}
	slices.SortFunc(r.studies, func(a, b study) int { return cmp.Compare(a.id, b.id) })
	return nil
}

// onCDM evaluates the definitions on the CDM of the flags.
func (r *cohortRun) onCDM(ctx context.Context) error {
	address, _ := r.cmd.Flags().GetString("cdm")
	schema, _ := r.cmd.Flags().GetString("cdm-schema")
	if scheme, _, _ := strings.Cut(address, ":"); scheme != "sqlite" && scheme != "postgres" && scheme != "postgresql" {
		if schema != "" {
			return usageError{errors.New("--cdm-schema belongs to a database")}
		}
		if info, err := os.Stat(address); err != nil || !info.IsDir() {
			return usageError{errors.New("--cdm: want a folder, sqlite:FILE or postgres://…")} // it may hold a password
		}
		return r.evaluate(ctx, memory.Folder(address))
	}
	guest, err := sqldb.OpenGuest(ctx, address, schema)
	if errors.Is(err, sqldb.ErrPassword) {
		err = usageError{err}
	}
	if err != nil {
		return fmt.Errorf("--cdm: %w", err)
	}
	defer guest.Close()
	return guest.Read(ctx, func(v *sqldb.Visit) error {
		tables, err := memory.Database(ctx, v)
		if err != nil {
			return err
		}
		return r.evaluate(ctx, tables)
	})
}

func (r *cohortRun) evaluate(ctx context.Context, tables memory.Tables) error {
	needs, sets := memory.Needs{}, []cohort.ConceptSet{}
	r.studies = slices.DeleteFunc(r.studies, func(s study) bool {
		more, err := members.Needs(s.definition)
		if err != nil {
			r.problem(s.file, err)
			return true
		}
		needs.Add(more)
		sets = append(sets, s.definition.ConceptSets...)
		return false
	})
	begun := time.Now()
	vocabulary, err := memory.ReadVocabulary(ctx, tables, sets)
	if err != nil {
		return fmt.Errorf("--cdm: %w", err)
	}
	source, err := memory.Read(ctx, tables, needs)
	if err != nil {
		return fmt.Errorf("--cdm: %w", err)
	}
	people := source.People()
	if len(people.ID) == 0 {
		return fmt.Errorf("--cdm: %w: the table person is missing or empty", fs.ErrNotExist)
	}
	r.progress.say(fmt.Sprintf("read %d people in %.1f s", len(people.ID), time.Since(begun).Seconds()))
	if r.summary.Missing = source.Missing(); len(r.summary.Missing) > 0 {
		r.progress.say("the CDM does not have these tables, which count as empty: " + strings.Join(r.summary.Missing, ", "))
	}
	for _, s := range r.studies {
		begun := time.Now()
		result, err := members.Evaluate(ctx, s.definition, source, vocabulary, members.Options{Attrition: r.attrition != nil, Work: math.MaxInt64})
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			r.problem(s.file, err)
			continue
		}
		figures := cohortFigures{s.id, s.file, len(result.Entries), result.Persons, float64(time.Since(begun).Microseconds()) / 1000}
		r.summary.Cohorts = append(r.summary.Cohorts, figures)
		r.progress.say(fmt.Sprintf("cohort %d: %s, %s, %.1f ms", s.id, counted(figures.Entries, "entry"), counted(figures.Persons, "person"), figures.Milliseconds))
		if err := r.write(s.id, people, result); err != nil {
			return err
		}
	}
	return nil
}

// write appends what was found of one definition.
func (r *cohortRun) write(id int64, people *events.People, result members.Result) error {
	text := strconv.FormatInt(id, 10)
	for _, e := range result.Entries {
		r.rows.write(text, strconv.FormatInt(people.ID[e.Person], 10), e.Start.String(), e.End.String())
	}
	if r.attrition != nil {
		for mode, masks := range []map[uint64]int64{result.Attrition.ByEvent, result.Attrition.ByBest} {
			for _, mask := range slices.Sorted(maps.Keys(masks)) {
				r.attrition.write(text, strconv.Itoa(mode), strconv.FormatUint(mask, 10), strconv.FormatInt(masks[mask], 10))
			}
		}
		r.attrition.out.Flush()
	}
	r.rows.out.Flush()
	return r.rows.out.Error()
}

// csvFile is a file that is written a line at a time, under another name until it is kept.
// Its first error is kept, too.
type csvFile struct {
	path string
	file *os.File // nil once it is kept
	out  *csv.Writer
}

func createCSV(path string, header ...string) (*csvFile, error) {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return nil, err
	}
	f := &csvFile{path, file, csv.NewWriter(file)}
	f.write(header...)
	return f, nil
}

func (f *csvFile) write(cells ...string) { _ = f.out.Write(cells) } // keep says what failed

// keep gives the file its name.
func (f *csvFile) keep() error {
	f.out.Flush()
	err := errors.Join(f.out.Error(), f.file.Close())
	if err == nil {
		err = os.Rename(f.file.Name(), f.path)
	}
	if err == nil {
		f.file = nil
	}
	return err
}

// close removes a file that is not kept, and returns err.
func (f *csvFile) close(err error) error {
	if f.file != nil {
		_ = f.file.Close()
		_ = os.Remove(f.file.Name())
	}
	return err
}
