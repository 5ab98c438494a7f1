-- +goose Up

-- One row is a program that the site lets use the API with tokens of its own.
CREATE TABLE access_client (
    client_id TEXT NOT NULL PRIMARY KEY,
    scopes TEXT NOT NULL,            -- what a token of it may allow at most
    keys TEXT NOT NULL,              -- its public keys as a JSON Web Key Set, empty if keys_url has them
    keys_url TEXT NOT NULL,          -- where it publishes them, empty if keys has them
    token_seconds INTEGER NOT NULL,  -- how long a token of it holds
    added_at TIMESTAMPTZ NOT NULL,
    changed_at TIMESTAMPTZ NOT NULL    -- when its keys were last replaced
);

-- One row is a token that was given. Those of a client go with it.
CREATE TABLE access_token (
    hash TEXT NOT NULL PRIMARY KEY,  -- SHA-256 of its text, in 64 hexadecimal digits
    client_id TEXT NOT NULL,
    scopes TEXT NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX access_token_by_client ON access_token (client_id);

-- One row is an assertion that was used, for as long as it could be used again.
CREATE TABLE access_assertion (
    client_id TEXT NOT NULL,
    jti TEXT NOT NULL,               -- SHA-256 of its jti, in 64 hexadecimal digits
    expires_at TIMESTAMPTZ NOT NULL,   -- its exp
    PRIMARY KEY (client_id, jti)
);
