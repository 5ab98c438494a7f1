package api

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/trialmesh/trialmesh/node/fhirapi"
)

// routeFHIR mounts the FHIR API, which describes itself at /fhir/metadata and not in
// the OpenAPI document. Where tokens are given can be read without one.
func (s *server) routeFHIR() {
	if s.cfg.FHIR == nil {
		return
	}
	answer := s.authorized(func(c *gin.Context) error {
		s.cfg.FHIR.ServeHTTP(c.Writer, c.Request)
		return nil
	})
	s.router.Any(fhirapi.Path, answer)
	s.router.Any(fhirapi.Path+"/*path", func(c *gin.Context) {
		if c.Param("path") == smartPath && c.Request.Method == http.MethodGet {
			s.smart(c)
			return
		}
		answer(c)
	})
}
