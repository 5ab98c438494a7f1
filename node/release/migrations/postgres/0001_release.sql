-- +goose Up

-- One row is a question this node judged: what it released, or the rule by
-- which it refused. It is never deleted: forgetting it would loosen the guard.
CREATE TABLE release (
    query       TEXT PRIMARY KEY,
    sequence    BIGINT NOT NULL UNIQUE,
    source      TEXT NOT NULL, -- query whose answer this repeats, or the query
    question    TEXT NOT NULL,
    trial       TEXT NOT NULL,
    researcher  TEXT NOT NULL,
    limits      TEXT NOT NULL,
    rule        TEXT NOT NULL,
    public      TEXT NOT NULL,
    measure     TEXT NOT NULL,
    words       BYTEA,
    used        BYTEA,
    released_at BIGINT NOT NULL
);
CREATE INDEX release_question ON release (question, rule);
CREATE INDEX release_source ON release (source);
CREATE INDEX release_researcher ON release (researcher, trial, rule);

-- One row is a set of persons that a number was about, released or withheld.
-- cell -1 is the union of the question's released cells.
CREATE TABLE release_set (
    query    TEXT NOT NULL,
    measure  TEXT NOT NULL,
    cell     BIGINT NOT NULL,
    size     BIGINT NOT NULL,
    members  BYTEA NOT NULL,
    withheld BIGINT NOT NULL, -- 1 or 0
    limits   TEXT NOT NULL, -- under which it was decided, if it was
    PRIMARY KEY (query, measure, cell)
);
CREATE INDEX release_set_size ON release_set (measure, size);

-- One row is a sum that this node helped to unmask.
CREATE TABLE release_sum (
    query TEXT PRIMARY KEY,
    sites TEXT NOT NULL -- sorted names, a JSON array
);

-- One row is what this node acted on in a step of a masked sum.
CREATE TABLE release_guard (
    session TEXT NOT NULL,
    step    TEXT NOT NULL,
    value   TEXT NOT NULL,
    PRIMARY KEY (session, step)
);
