-- +goose Up

-- One row is a run of a pull: one fetch of what a site's FHIR server has.
CREATE TABLE pull_run (
    run_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pull TEXT NOT NULL,                  -- name of the file with its settings
    asks TEXT NOT NULL,                  -- digest of what the settings ask for; since counts for the same only
    state TEXT NOT NULL,
    asked_at TIMESTAMP NOT NULL,         -- by the site or by the schedule
    ended_at TIMESTAMP,                  -- null while it goes on
    since TIMESTAMP,                     -- only what changed from then on is asked for; null for all
    until TIMESTAMP,                     -- as of when the data are, by the server's clock
    place TEXT NOT NULL DEFAULT '',      -- URL of the export's status
    progress TEXT NOT NULL DEFAULT '',   -- as the server puts it
    findings TEXT NOT NULL DEFAULT '{}', -- JSON: what was seen and not stored, with its number
    error TEXT NOT NULL DEFAULT ''       -- of the last attempt that failed
);
CREATE INDEX pull_run_by_pull ON pull_run (pull, run_id);
CREATE UNIQUE INDEX pull_run_open ON pull_run (pull) WHERE ended_at IS NULL; -- a pull has one at a time

-- One row is a file of an export, or of pages of a search, that a run fetches. Files are
-- fetched by stage and number.
CREATE TABLE pull_file (
    run_id BIGINT NOT NULL,
    number INTEGER NOT NULL,         -- from 1
    stage INTEGER NOT NULL,          -- patients first
    kind TEXT NOT NULL,              -- output, deleted, error or search
    type TEXT NOT NULL,              -- of FHIR, empty for several
    url TEXT NOT NULL,
    token INTEGER NOT NULL,          -- 1 if the file is given for a token only
    fetched_at TIMESTAMP,            -- null if not yet
    digest TEXT NOT NULL DEFAULT '', -- of the raw copy
    job_id BIGINT,                   -- that loads it; null for an empty file
    PRIMARY KEY (run_id, number)
);
