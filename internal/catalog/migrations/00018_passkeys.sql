-- +goose Up
-- With what people sign in beside their passwords. All of it is public: the secret never leaves the person's device.
CREATE TABLE passkeys (
  id             TEXT PRIMARY KEY,
  user_id        TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  name           TEXT NOT NULL,
  host           TEXT NOT NULL,           -- of the console's address when it was made
  credential_id  BLOB NOT NULL UNIQUE,    -- by which a device finds it
  public_key     BLOB NOT NULL,           -- in COSE's form
  sign_count     BIGINT NOT NULL,
  synced         INTEGER NOT NULL,        -- its maker may copy it to other devices of the person
  transports     TEXT NOT NULL,           -- how browsers reach the device, with commas between
  created_at     BIGINT NOT NULL,
  last_used_at   BIGINT NOT NULL DEFAULT 0,
  copied_at      BIGINT NOT NULL DEFAULT 0 -- when its count went back
);
CREATE INDEX passkeys_user ON passkeys (user_id);
-- the passkey that began a session: it ends with it
ALTER TABLE sessions ADD COLUMN passkey_id TEXT NOT NULL DEFAULT '';
