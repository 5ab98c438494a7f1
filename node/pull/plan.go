package pull

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/trialmesh/trialmesh/connectors/partner/fhirserver"
	"github.com/trialmesh/trialmesh/connectors/source/fhir"
	"github.com/trialmesh/trialmesh/localstore/sqldb"
)

// stages are when types are loaded: those that others refer to come first, or the others
// would be of unknown patients or without their visit and those who gave the care. What says what is gone comes last.
var stages = map[string]int{"Patient": 1, "PractitionerRole": 1, "Location": 1, "Organization": 1, "Encounter": 2}

const (
	usualStage   = 3
	deletedStage = 4
	afterAll     = 5
)

// plan finds out which files a run is to fetch, unless it knows.
func (p *Puller) plan(ctx context.Context, client *fhirserver.Client, s Settings, r *Run) error {
	if r.State == Fetching {
		return nil
	}
	if s.Kind == Search {
		return p.planSearch(ctx, client, s, r)
	}
	if r.place == "" {
		ask := s.Export
		ask.Since = r.Since
		place, err := client.Start(ctx, ask)
		if err != nil {
			return err
		}
		if err := p.update(ctx, r.ID, `state = ?, place = ?`, string(Exporting), place); err != nil {
			return err
		}
		r.State, r.place = Exporting, place
	}
	for asked := 1; ; asked++ {
		state, err := client.Status(ctx, r.place, asked)
		if err != nil {
			return err
		}
		if state.Manifest != nil {
			return p.planExport(ctx, *state.Manifest, r)
		}
		if err := p.update(ctx, r.ID, `progress = ?, error = ''`, state.Progress); err != nil {
			return err
		}
		if err := p.cfg.Wait(ctx, state.Again); err != nil {
			return err
		}
	}
}

// planExport plans to fetch the files of an export.
func (p *Puller) planExport(ctx context.Context, m fhirserver.Manifest, r *Run) error {
	var files []File
	for _, list := range []struct {
		kind  FileKind
		stage int
		files []fhirserver.File
	}{{Output, usualStage, m.Output}, {Deleted, deletedStage, m.Deleted}, {Errors, deletedStage, m.Errors}} {
		for _, f := range list.files {
			stage := list.stage
			if list.kind == Output {
				stage = cmp.Or(stages[f.Type], stage)
			}
			files = append(files, File{Kind: list.kind, Type: typeOf(f), url: f.URL, token: f.Token, stage: stage})
		}
	}
	r.Until = m.Time
	return p.keepPlan(ctx, files, r)
}

// typeOf is the type of a file as it is shown, empty for a name that is none.
func typeOf(f fhirserver.File) string {
	if fhir.IsType(f.Type) {
		return f.Type
	}
	return ""
}

// planSearch plans a search for every type, or for every filter of it.
func (p *Puller) planSearch(ctx context.Context, client *fhirserver.Client, s Settings, r *Run) error {
	var files []File
	for _, kind := range s.Export.Types {
		searches := slices.DeleteFunc(slices.Clone(s.Export.Filters), func(filter string) bool { return !strings.HasPrefix(filter, kind+"?") })
		if len(searches) == 0 {
			searches = []string{kind}
		}
		for _, search := range searches {
			at, err := client.SearchURL(search, r.Since, s.Count)
			if err != nil {
				return err
			}
			files = append(files, File{Kind: Searched, Type: kind, url: at, token: true, stage: cmp.Or(stages[kind], usualStage)})
		}
	}
	return p.keepPlan(ctx, files, r)
}

// keepPlan writes which files are to be fetched.
func (p *Puller) keepPlan(ctx context.Context, files []File, r *Run) error {
	err := p.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		for i, f := range files {
			f.number = i + 1
			if err := addFile(ctx, tx, r.ID, f); err != nil {
				return err
			}
		}
		return update(ctx, tx, r.ID, `state = ?, until = ?, progress = '', error = ''`, string(Fetching), optional(r.Until))
	})
	if err == nil {
		r.State = Fetching
	}
	return err
}
