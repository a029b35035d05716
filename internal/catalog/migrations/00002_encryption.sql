-- +goose Up
ALTER TABLE organizations ADD COLUMN encrypted_since BIGINT NOT NULL DEFAULT 0;   -- 0: new backups are not encrypted
ALTER TABLE operations ADD COLUMN recipients TEXT NOT NULL DEFAULT '[]';          -- JSON: public keys the file is encrypted for
CREATE TABLE recipients (
  id               TEXT PRIMARY KEY,
  organization_id  TEXT NOT NULL REFERENCES organizations(id),
  name             TEXT NOT NULL,
  public_key       TEXT NOT NULL,
  sealed_identity  BLOB,                         -- the secret key, where Safepoint keeps a copy
  challenge        BLOB,                         -- a word, encrypted for the public key; NULL once it was solved
  word_hash        TEXT NOT NULL DEFAULT '',     -- SHA-256 of that word
  created_at       BIGINT NOT NULL,
  created_by_name  TEXT NOT NULL,
  proven_at        BIGINT NOT NULL DEFAULT 0,    -- 0: nobody has shown yet that the secret key is there
  retired_at       BIGINT NOT NULL DEFAULT 0     -- old backups may still be made for it
);
CREATE UNIQUE INDEX recipients_key ON recipients (organization_id, public_key) WHERE retired_at = 0;

-- +goose Down
SELECT 1;
