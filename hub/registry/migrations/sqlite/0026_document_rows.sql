-- +goose Up

-- Documents in the order in which they came, and not of their digests: a page of the file holds
-- several of them, and a transaction changes one such page and not one for each.
ALTER TABLE document RENAME TO document_by_digest;

-- One row is a public document, by the SHA-256 of its canonical bytes.
CREATE TABLE document (
    digest TEXT PRIMARY KEY NOT NULL,
    bytes  BLOB NOT NULL
);
INSERT INTO document (digest, bytes) SELECT digest, bytes FROM document_by_digest;
DROP TABLE document_by_digest;
