package api

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/trialmesh/trialmesh/federation/front"
	"github.com/trialmesh/trialmesh/protocol/canonical"
	"github.com/trialmesh/trialmesh/protocol/message"
	"github.com/trialmesh/trialmesh/protocol/problem"
)

const (
	consentsPath = "/v1/consents"

	maxLine   = 64 << 10 // bytes of one consent
	maxListed = 1000     // problems that an answer lists
)

// Consent is a signed message about consent with the patient it is of. One
// stands on each line of a request.
type Consent struct {
	Patient string           `json:"patient" doc:"Id of the patient's FHIR resource at this site"`
	Consent message.Envelope `json:"consent" doc:"A grant, a refusal or a withdrawal that the participant signed"`
}

// Recorded is the answer to a list of consents. All that have no problem are
// durable.
type Recorded struct {
	Recorded int              `json:"recorded" doc:"How many were new"`
	Known    int              `json:"known" doc:"How many were on record before"`
	Refused  int              `json:"refused" doc:"How many have a problem, listed or not"`
	Problems []ConsentProblem `json:"problems" nullable:"false"`
}

// ConsentProblem says why a line was not recorded.
type ConsentProblem struct {
	Line int `json:"line" doc:"From 1"`
	problem.Document
}

var (
	errLine    = problem.New(problem.Invalid, "the line is not a patient with a signed consent")
	errTooLong = problem.New(problem.TooLarge, "the line is longer than a consent can be")
)

func (s *server) routeConsents() {
	s.router.POST(consentsPath, s.authorized(s.recordConsents))
	one := &huma.MediaType{Schema: s.router.Schema(Consent{})}
	s.document(huma.Operation{
		OperationID: "recordConsents", Method: http.MethodPost, Path: consentsPath, Summary: "Record signed consents", Tags: []string{"consents"},
		Description: "One JSON object to a line. The answer comes when all are durable; a bad line keeps no other out. Sending a line again is harmless.",
		Security:    []map[string][]string{{bearer: {}}},
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/x-ndjson": one}},
	}, http.StatusOK, "application/json", s.router.Schema(Recorded{}))
}

// recordConsents records line by line, so that a list of any length needs the
// memory of one line.
func (s *server) recordConsents(c *gin.Context) error {
	answer := Recorded{Problems: []ConsentProblem{}}
	lines := bufio.NewReaderSize(c.Request.Body, maxLine)
	for number := 1; ; number++ {
		line, err := readLine(lines)
		if errors.Is(err, io.EOF) {
			break
		}
		changed := false
		switch {
		case errors.Is(err, errTooLong):
		case err != nil:
			return front.BodyError(err)
		case len(line) == 0:
			continue
		default:
			var one Consent
			if one, err = parseConsent(line); err == nil {
				changed, err = s.cfg.Consents.RecordConsent(c.Request.Context(), one.Patient, one.Consent)
			}
		}
		refused, is := errors.AsType[*problem.Error](err)
		switch {
		case err == nil && changed:
			answer.Recorded++
		case err == nil:
			answer.Known++
		case is && refused.Kind != problem.Unavailable && refused.Kind != problem.Internal:
			answer.refuse(number, err)
		default:
			return retry(err) // what came before is durable; sending all again is harmless
		}
	}
	c.JSON(http.StatusOK, answer)
	return nil
}

// parseConsent reads one line; its only error is errLine.
func parseConsent(line []byte) (Consent, error) {
	var one Consent
	clean, err := canonical.Transform(line)
	if err != nil {
		return one, errLine
	}
	dec := json.NewDecoder(bytes.NewReader(clean))
	dec.DisallowUnknownFields()
	if dec.Decode(&one) != nil || one.Patient == "" {
		return one, errLine
	}
	return one, nil
}

func (r *Recorded) refuse(line int, err error) {
	r.Refused++
	if len(r.Problems) < maxListed {
		r.Problems = append(r.Problems, ConsentProblem{line, problem.From(err)})
	}
}

// readLine returns the next line without the white space around it, errTooLong
// for one that is skipped, or io.EOF.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		if errors.Is(err, io.EOF) && len(line) > 0 {
			err = nil
		}
		return bytes.TrimSpace(line), err
	}
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = r.ReadSlice('\n')
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return nil, errTooLong
}
