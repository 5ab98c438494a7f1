-- +goose Up

-- One row is a round of a question that is answered in rounds. state is what this node
-- computed from the round before, of the first round nothing; unmasked is what it acted on
-- when it helped to unmask the round's sum: roster and survivors.
CREATE TABLE peer_round (
    query    TEXT NOT NULL,
    round    INTEGER NOT NULL,
    state    BYTEA NOT NULL,
    unmasked BYTEA,
    PRIMARY KEY (query, round)
);
