-- +goose Up

-- One row is an answer with noise and what it cost: ρ of zero-concentrated
-- differential privacy in units of 10^-9.
CREATE TABLE release_privacy (
    query      TEXT PRIMARY KEY,
    researcher TEXT NOT NULL,
    trial      TEXT NOT NULL,
    rho        BIGINT NOT NULL
);
CREATE INDEX release_privacy_researcher ON release_privacy (researcher);
CREATE INDEX release_privacy_trial ON release_privacy (trial);
