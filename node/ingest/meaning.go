package ingest

import (
	"context"
	"strconv"

	"github.com/trialmesh/trialmesh/node/mapping"
	"github.com/trialmesh/trialmesh/node/reference/variable"
)

// meaning is what gives the codes and values of a file their meaning: the versions of all
// reference data, fixed for one attempt, and the name that lineage has for them.
type meaning struct {
	name      string
	mapper    *mapping.Mapper
	variables *variable.List
}

// meaning returns what is in force now.
func (s *Service) meaning(ctx context.Context) (m meaning, err error) {
	version, err := s.cfg.Vocabulary.Version(ctx)
	if err != nil {
		return meaning{}, err
	}
	m = meaning{name: mapping.Version + " vocabulary " + version, mapper: mapping.New(s.cfg.Vocabulary), variables: variable.Shipped()}
	if tables := s.cfg.Tables.Version(); tables != "" {
		m.name += " tables " + tables
	}
	if s.cfg.Codes != nil {
		codes, err := s.cfg.Codes.Map(ctx)
		if err != nil {
			return meaning{}, err
		}
		m.mapper = m.mapper.With(codes)
		if codes.Version > 0 {
			m.name += " codes " + strconv.Itoa(codes.Version)
		}
	}
	if s.cfg.Variables != nil {
		if m.variables, err = s.cfg.Variables.List(ctx, 0); err != nil {
			return meaning{}, err
		}
		m.name += " variables " + strconv.Itoa(m.variables.Version)
	}
	return m, nil
}

// mapperName is what lineage calls the mapper with the reference data of now.
func (s *Service) mapperName(ctx context.Context) (string, error) {
	m, err := s.meaning(ctx)
	return m.name, err
}
