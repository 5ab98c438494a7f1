-- +goose Up

-- One row is an EHR that may call the service, by the issuer of its tokens. keys is a JSON
-- Web Key Set with its public keys, key_urls a JSON list of the addresses of such sets.
-- added_at is in Unix seconds.
CREATE TABLE cds_client (
    issuer          TEXT PRIMARY KEY,
    keys            BYTEA NOT NULL,
    key_urls        BYTEA NOT NULL,
    require_patient BOOLEAN NOT NULL,
    added_at        BIGINT NOT NULL
);

-- One row is a token that was used, until it has expired (Unix seconds). token is the
-- SHA-256 of its issuer and id.
CREATE TABLE cds_token (
    token      BYTEA PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
CREATE INDEX cds_token_by_end ON cds_token (expires_at);

-- One row is a card that was answered, and what became of it: outcome is empty until there
-- is feedback, reason the code of why it was overridden. It names no patient. Times are in
-- Unix milliseconds.
CREATE TABLE cds_card (
    card       TEXT PRIMARY KEY,
    service    TEXT NOT NULL,
    trial      TEXT NOT NULL,
    issuer     TEXT NOT NULL,
    shown_at   BIGINT NOT NULL,
    outcome    TEXT NOT NULL,
    reason     TEXT NOT NULL,
    outcome_at BIGINT NOT NULL
);
