-- +goose Up
-- What pages of a large organization still read too much for.

-- The restores and the kept backups of one database, newest first: among those of all, the last of one that is seldom
-- restored or backed up is far away. The status is in them for SQLite's sake, which counts how many columns a condition
-- names, and else goes through all that ever succeeded.
CREATE INDEX operations_restored ON operations (organization_id, database_id, status, created_at DESC, id DESC)
  WHERE type = 'restore' AND status = 'succeeded';
DROP INDEX operations_kept;
CREATE INDEX operations_kept ON operations (organization_id, status, created_at DESC, id DESC)
  WHERE type = 'backup' AND status = 'succeeded' AND deleted_at = 0 AND deleting_at = 0;
DROP INDEX operations_kept_database;
CREATE INDEX operations_kept_database ON operations (organization_id, database_id, status, created_at DESC, id DESC)
  WHERE type = 'backup' AND status = 'succeeded' AND deleted_at = 0 AND deleting_at = 0;

-- The runs of one database with all that its charts show, so that no row is read.
DROP INDEX operations_database;
CREATE INDEX operations_database ON operations (database_id, created_at DESC, id, organization_id, type, status, triggered_by, started_at, finished_at, size);

-- What is under way in the audit log, which is little.
CREATE INDEX audit_open ON audit (action, seq) WHERE outcome = '';

-- How many bytes of backups came and went, by day of UTC since 1970.
CREATE TABLE storage_days (
  day              INTEGER NOT NULL,
  organization_id  TEXT NOT NULL,
  bytes            BIGINT NOT NULL,   -- added less removed
  PRIMARY KEY (day, organization_id)
) WITHOUT ROWID;
INSERT INTO storage_days SELECT day, organization_id, sum(bytes) FROM (
  SELECT finished_at / 86400000 AS day, organization_id, size AS bytes FROM operations WHERE type = 'backup' AND status = 'succeeded'
  UNION ALL
  SELECT deleted_at / 86400000, organization_id, -size FROM operations WHERE type = 'backup' AND status = 'succeeded' AND deleted_at > 0) GROUP BY 1, 2;
DROP INDEX operations_added;
DROP INDEX operations_dropped;

-- +goose StatementBegin
CREATE TRIGGER storage_days_insert AFTER INSERT ON operations
  WHEN new.type = 'backup' AND new.status = 'succeeded' BEGIN
  INSERT INTO storage_days VALUES (new.finished_at / 86400000, new.organization_id, new.size)
    ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes;
  INSERT INTO storage_days SELECT new.deleted_at / 86400000, new.organization_id, -new.size WHERE new.deleted_at > 0
    ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER storage_days_update_old AFTER UPDATE OF type, status, finished_at, deleted_at, size, organization_id ON operations
  WHEN old.type = 'backup' AND old.status = 'succeeded' BEGIN
  INSERT INTO storage_days VALUES (old.finished_at / 86400000, old.organization_id, -old.size)
    ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes;
  INSERT INTO storage_days SELECT old.deleted_at / 86400000, old.organization_id, old.size WHERE old.deleted_at > 0
    ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER storage_days_update_new AFTER UPDATE OF type, status, finished_at, deleted_at, size, organization_id ON operations
  WHEN new.type = 'backup' AND new.status = 'succeeded' BEGIN
  INSERT INTO storage_days VALUES (new.finished_at / 86400000, new.organization_id, new.size)
    ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes;
  INSERT INTO storage_days SELECT new.deleted_at / 86400000, new.organization_id, -new.size WHERE new.deleted_at > 0
    ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER storage_days_delete AFTER DELETE ON operations
  WHEN old.type = 'backup' AND old.status = 'succeeded' BEGIN
  INSERT INTO storage_days VALUES (old.finished_at / 86400000, old.organization_id, -old.size)
    ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes;
  INSERT INTO storage_days SELECT old.deleted_at / 86400000, old.organization_id, old.size WHERE old.deleted_at > 0
    ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes;
END;
-- +goose StatementEnd
