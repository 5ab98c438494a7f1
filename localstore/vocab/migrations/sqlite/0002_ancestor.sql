-- +goose Up

-- One row says that a concept is another one or more general than it. CDM 5.4.
CREATE TABLE concept_ancestor (
    ancestor_concept_id INTEGER NOT NULL,
    descendant_concept_id INTEGER NOT NULL,
    min_levels_of_separation INTEGER NOT NULL,
    max_levels_of_separation INTEGER NOT NULL,
    PRIMARY KEY (ancestor_concept_id, descendant_concept_id)
) WITHOUT ROWID;

-- One row says that a drug has an RxNorm ingredient: those rows of concept_ancestor, to be
-- found from the drug.
CREATE TABLE drug_ingredient (
    drug_concept_id INTEGER NOT NULL,
    ingredient_concept_id INTEGER NOT NULL,
    PRIMARY KEY (drug_concept_id, ingredient_concept_id)
) WITHOUT ROWID;

-- For what maps to a concept.
CREATE INDEX concept_relationship_by_target ON concept_relationship (concept_id_2);
