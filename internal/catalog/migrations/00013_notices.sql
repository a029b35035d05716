-- +goose Up
-- what an admin has dealt with: a notice of missed runs, up to the newest of them that was seen
CREATE TABLE dismissals (
  organization_id  TEXT NOT NULL REFERENCES organizations(id),
  schedule_id      TEXT NOT NULL REFERENCES schedules(id),
  until            BIGINT NOT NULL,   -- due time of the newest run it covers
  runs             INTEGER NOT NULL,  -- how many it covers
  at               BIGINT NOT NULL,
  by_id            TEXT NOT NULL,
  by_name          TEXT NOT NULL,
  PRIMARY KEY (organization_id, schedule_id, until)
);
CREATE INDEX operations_missed ON operations (organization_id, schedule_id, due_at) WHERE status = 'missed';
CREATE INDEX operations_needs ON operations (organization_id) WHERE needs_operator = 1;
-- what each day added to the storage and took from it
CREATE INDEX operations_added ON operations (finished_at, organization_id, size) WHERE type = 'backup' AND status = 'succeeded';
CREATE INDEX operations_dropped ON operations (deleted_at, organization_id, size) WHERE type = 'backup' AND status = 'succeeded' AND deleted_at > 0;
