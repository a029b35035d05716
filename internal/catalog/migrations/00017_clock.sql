-- +goose Up
-- What the machine's clock said last, in milliseconds since 1970, and the last time it leapt ahead: from when to when.
CREATE TABLE clock (
  id         INTEGER PRIMARY KEY CHECK (id = 1),
  seen_at    BIGINT NOT NULL,
  ahead_from BIGINT NOT NULL DEFAULT 0,
  ahead_to   BIGINT NOT NULL DEFAULT 0
);
