package api

import (
	"github.com/gin-gonic/gin"

	"github.com/trialmesh/trialmesh/node/cdshooks"
)

// routeCDS mounts the CDS Hooks service, which describes itself at /cds-services and not
// in the OpenAPI document. EHRs have no bearer token of the node: each request of theirs
// is signed.
func (s *server) routeCDS() {
	if s.cfg.CDS == nil {
		return
	}
	answer := func(c *gin.Context) { s.cfg.CDS.ServeHTTP(c.Writer, c.Request) }
	s.router.Any(cdshooks.Path, answer)
	s.router.Any(cdshooks.Path+"/*path", answer)
}
