-- +goose Up

-- The one row is where the contracts of this network are on its chain.
CREATE TABLE deployment (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    document TEXT NOT NULL
);
