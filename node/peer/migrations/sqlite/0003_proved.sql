-- +goose Up

-- The envelope of the proof of a question's figures, NULL until it is made.
ALTER TABLE peer_question ADD COLUMN proved BLOB;
