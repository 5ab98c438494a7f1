-- +goose Up

-- One row is a version of a saved study, by the SHA-256 of what it says.
CREATE TABLE study (
    digest        TEXT PRIMARY KEY,
    name          TEXT NOT NULL,
    version       TEXT NOT NULL,
    author        TEXT NOT NULL,
    document      TEXT NOT NULL,
    registered_at INTEGER NOT NULL,
    ledger_index  INTEGER NOT NULL,
    UNIQUE (name, version)
) WITHOUT ROWID;
CREATE INDEX study_author ON study (author);
CREATE INDEX study_age ON study (ledger_index);

-- One row is a question that was asked as one of a study.
CREATE TABLE study_question (
    query    TEXT PRIMARY KEY,
    study    TEXT NOT NULL,
    question TEXT NOT NULL -- its name in the study
) WITHOUT ROWID;
CREATE INDEX study_question_study ON study_question (study);
