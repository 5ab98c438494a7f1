-- +goose Up

-- One row is a round of a question that is answered in rounds, with the public state at
-- which its sum is taken.
CREATE TABLE question_round (
    query TEXT NOT NULL,
    round INTEGER NOT NULL,
    state BLOB NOT NULL,
    PRIMARY KEY (query, round)
) WITHOUT ROWID;
