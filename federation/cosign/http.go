package cosign

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/trialmesh/trialmesh/protocol/problem"
)

// addPath is where a C2SP tlog-witness takes checkpoints, below its prefix.
const addPath = "/add-checkpoint"

const sizeType = "text/x.tlog.size"

// NewHandler serves a cosigner as C2SP tlog-witness does, for a log that is not
// reached by a standing connection. Nobody else than the log can make it sign: what
// it takes is signed by the log's key.
func NewHandler(c *Cosigner) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+addPath, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxRequest))
		if err != nil {
			http.Error(w, "the request is too large, or broke off", http.StatusBadRequest)
			return
		}
		lines, err := c.Add(r.Context(), body)
		var at *SizeError
		switch {
		case errors.As(err, &at):
			w.Header().Set("Content-Type", sizeType)
			w.WriteHeader(http.StatusConflict)
			fmt.Fprintf(w, "%d\n", at.Size)
		case errors.Is(err, ErrForked):
			http.Error(w, ErrForked.Public, http.StatusConflict)
		case errors.Is(err, ErrProof):
			http.Error(w, ErrProof.Public, http.StatusUnprocessableEntity)
		case err != nil:
			document := problem.From(err)
			if document.Status == http.StatusUnprocessableEntity { // what C2SP means by it is ErrProof
				document.Status = http.StatusBadRequest
			}
			http.Error(w, document.Title, document.Status)
		default:
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, _ = w.Write(lines) // nothing can be said to a log that went away
		}
	})
	return mux
}

// AskHTTP sends a request to the tlog-witness at a URL prefix and returns its
// signature lines. It fails with a *[SizeError] if the witness is at another size.
func AskHTTP(ctx context.Context, client *http.Client, prefix string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(prefix, "/")+addPath, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("cosign: %w", err)
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("cosign: %w", err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, MaxNote+1))
	if err != nil {
		return nil, fmt.Errorf("cosign: %w", err)
	}
	sized := res.StatusCode == http.StatusConflict && res.Header.Get("Content-Type") == sizeType
	if res.StatusCode != http.StatusOK && !sized {
		return nil, fmt.Errorf("cosign: the witness answered with status %d", res.StatusCode)
	}
	return ParseAnswer(answer)
}
