package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/trialmesh/trialmesh/node/reference"
	"github.com/trialmesh/trialmesh/node/reference/codemap"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

const codesPath = "/v1/codes"

var errVersion = problem.New(problem.Invalid, "a version is a number")

// CodeEntry says which standard concept a code means at this site. The names are those
// of SOURCE_TO_CONCEPT_MAP of OMOP CDM 5.4.
type CodeEntry struct {
	Code          string `json:"source_code"`
	Vocabulary    string `json:"source_vocabulary_id"`
	Description   string `json:"source_code_description"`
	SourceConcept int64  `json:"source_concept_id"`
	Target        int64  `json:"target_concept_id" doc:"0 for a code that is known to have none"`
	TargetIn      string `json:"target_vocabulary_id"`
	From          string `json:"valid_start_date" format:"date"`
	To            string `json:"valid_end_date" format:"date"`
	Invalid       string `json:"invalid_reason" doc:"D or U for an entry that is not used"`
}

// Codes is a page of one version of the site's maps.
type Codes struct {
	Version int         `json:"version" doc:"0 if nothing was imported"`
	Total   int         `json:"total"`
	Codes   []CodeEntry `json:"codes" nullable:"false"`
}

// UnmappedCode is a code without a standard concept in what is stored.
type UnmappedCode struct {
	Vocabulary string `json:"source_vocabulary_id" doc:"OMOP's name of its system, else the system as sent; None if it is not known"`
	Code       string `json:"source_code"`
	Name       string `json:"source_code_description,omitempty" doc:"As the vocabulary has it"`
	Table      string `json:"table"`
	Unit       bool   `json:"unit" doc:"It is a unit"`
	Rows       int64  `json:"rows"`
	Persons    int64  `json:"persons"`
}

// UnmappedCodes is a page of them, by frequency.
type UnmappedCodes struct {
	Total int            `json:"total"`
	Codes []UnmappedCode `json:"codes" nullable:"false"`
}

func (s *server) routeCodes() {
	tags := []string{"reference"}
	get(s, huma.Operation{
		OperationID: "codes", Path: codesPath, Summary: "The site's maps of its own codes", Tags: tags,
		Description: "They are asked after the vocabulary, for codes that it does not map to a standard concept.",
	}, s.listCodes)
	get(s, huma.Operation{OperationID: "codeVersions", Path: codesPath + "/versions", Summary: "Versions of the maps", Tags: tags}, func(ctx context.Context, _ *struct{}) (*body[Versions], error) {
		return versionsOf(s.cfg.Codes.Versions(ctx))
	})
	get(s, huma.Operation{
		OperationID: "unmappedCodes", Path: codesPath + "/unmapped", Summary: "Codes without a standard concept", Tags: tags,
		Description: "What is stored without a standard concept, by frequency. A value that is no code of a known system may be what somebody wrote about a patient: it is listed only if it is of 11 or more patients.",
	}, s.listUnmapped)
	s.router.GET(codesPath+"/export", s.authorized(s.exportCodes))
	s.document(huma.Operation{
		OperationID: "exportCodes", Method: http.MethodGet, Path: codesPath + "/export", Summary: "The maps as a file that can be edited and imported", Tags: tags,
		Security:   []map[string][]string{{bearer: {}}},
		Parameters: []*huma.Param{{Name: "version", In: "query", Description: "Of this version; the newest if absent", Schema: &huma.Schema{Type: huma.TypeInteger}}},
	}, http.StatusOK, "text/csv", &huma.Schema{Type: huma.TypeString})
	s.router.POST(codesPath, s.authorized(func(c *gin.Context) error { return s.importFile(c, s.cfg.Codes.Import) }))
	s.document(huma.Operation{
		OperationID: "importCodes", Method: http.MethodPost, Path: codesPath, Summary: "Map codes", Tags: tags,
		Description: "The body is CSV with the columns of SOURCE_TO_CONCEPT_MAP, as Usagi exports it. Its rows take the place of all rows of the same source vocabularies; targets have to be standard concepts of the vocabulary that is loaded. A file with a fault changes nothing.",
		Security:    []map[string][]string{{bearer: {}}}, Parameters: []*huma.Param{replaceParam("Drop the rows of all other source vocabularies too")},
		RequestBody: fileBody("text/csv"),
	}, http.StatusOK, "application/json", s.router.Schema(Version{}))
}

func (s *server) listCodes(ctx context.Context, in *struct {
	Vocabulary string `query:"vocabulary" maxLength:"256" doc:"Only of this source vocabulary"`
	Version    int    `query:"version" minimum:"0" doc:"Of this version; the newest if absent"`
	Paging
},
) (*body[Codes], error) {
	number, list, err := s.cfg.Codes.Entries(ctx, in.Version)
	if err != nil {
		return nil, err
	}
	var fit []CodeEntry
	for _, e := range list {
		if in.Vocabulary == "" || in.Vocabulary == e.Vocabulary {
			fit = append(fit, entryOf(e))
		}
	}
	return &body[Codes]{Codes{Version: number, Total: len(fit), Codes: part(in.Paging, fit)}}, nil
}

func entryOf(e codemap.Entry) CodeEntry {
	return CodeEntry{
		Code: e.Code, Vocabulary: e.Vocabulary, Description: e.Description, SourceConcept: e.SourceConcept, Target: e.Target,
		TargetIn: e.TargetIn, From: e.From.String(), To: e.To.String(), Invalid: e.Invalid,
	}
}

func (s *server) listUnmapped(ctx context.Context, in *struct{ Paging }) (*body[UnmappedCodes], error) {
	all, err := s.cfg.Codes.Unmapped(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]UnmappedCode, len(all))
	for i, u := range all {
		list[i] = UnmappedCode(u)
	}
	return &body[UnmappedCodes]{UnmappedCodes{Total: len(list), Codes: part(in.Paging, list)}}, nil
}

func (s *server) exportCodes(c *gin.Context) error {
	number := 0
	if text := c.Query("version"); text != "" {
		var err error
		if number, err = strconv.Atoi(text); err != nil || number < 1 {
			return errVersion
		}
	}
	file, err := s.cfg.Codes.File(c.Request.Context(), number)
	if err != nil {
		return err
	}
	c.Data(http.StatusOK, "text/csv; charset=utf-8", file)
	return nil
}

// maxReference bounds the file of a list, in bytes.
const maxReference = reference.MaxFile
