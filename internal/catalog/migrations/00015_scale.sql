-- +goose Up
-- What keeps lists quick with a million rows: a place for each operation, counts that are kept while rows are written,
-- and indices of words. Triggers do it, so that no statement of the program can forget it.

-- The place of an operation in DB Logs: its time of creation, and the order of writing within one millisecond. Newest
-- first is ORDER BY place DESC; the first place of a moment is its milliseconds times 2^20.
ALTER TABLE operations ADD COLUMN place BIGINT NOT NULL DEFAULT 0;
UPDATE operations SET place = n.place
  FROM (SELECT id, created_at * 1048576 + row_number() OVER (PARTITION BY created_at ORDER BY id) AS place FROM operations) n WHERE n.id = operations.id;
CREATE UNIQUE INDEX operations_place ON operations (place);

-- One index for each way into DB Logs. All have what a filter asks for in them, so that rows which do not match are
-- passed over without being read.
DROP INDEX operations_log;
CREATE INDEX operations_log ON operations (organization_id, place, type, status, database_id) WHERE deleted_at = 0;
CREATE INDEX operations_log_status ON operations (organization_id, status, place, type, database_id) WHERE deleted_at = 0;
CREATE INDEX operations_log_type ON operations (organization_id, type, place, status, database_id) WHERE deleted_at = 0;
CREATE INDEX operations_log_database ON operations (organization_id, database_id, place, type, status) WHERE deleted_at = 0;
CREATE INDEX operations_log_schedule ON operations (schedule_id, place, organization_id, type, status, database_id) WHERE deleted_at = 0 AND schedule_id <> '';
-- everything a card's strip shows of the runs of one schedule
CREATE INDEX operations_runs_schedule ON operations (schedule_id, due_at, organization_id, status, id, created_at, started_at, finished_at, size)
  WHERE schedule_id <> '';
-- what wants a person, which every page asks for
CREATE INDEX operations_proven ON operations (organization_id, database_id, created_at, id)
  WHERE type = 'backup' AND status = 'succeeded' AND deleted_at = 0 AND deleting_at = 0 AND verified_at > 0;
CREATE INDEX operations_stuck ON operations (organization_id, created_at) WHERE needs_operator = 1;
CREATE INDEX operations_halts ON operations (organization_id, created_at, id) WHERE type = 'restore' AND (halted_at > 0 OR attention <> '[]');
CREATE INDEX operations_safety ON operations (organization_id, created_at) WHERE safety_failure <> '';
CREATE INDEX operations_good ON operations (schedule_id, due_at, id) WHERE schedule_id <> '' AND status = 'succeeded';

-- How many rows of DB Logs there are by week of creation (its number since 1970), for each database and, as '*', for all.
CREATE TABLE log_counts (
  organization_id  TEXT NOT NULL,
  database_id      TEXT NOT NULL,
  week             INTEGER NOT NULL,
  type             TEXT NOT NULL,
  status           TEXT NOT NULL,
  n                INTEGER NOT NULL,
  PRIMARY KEY (organization_id, database_id, week, type, status)
) WITHOUT ROWID;
-- How many backups of a database are kept, and their size in bytes.
CREATE TABLE kept_counts (
  organization_id  TEXT NOT NULL,
  database_id      TEXT NOT NULL,
  n                INTEGER NOT NULL,
  bytes            BIGINT NOT NULL,
  PRIMARY KEY (organization_id, database_id)
) WITHOUT ROWID;
INSERT INTO log_counts SELECT organization_id, '*', created_at / 604800000, type, status, count(*) FROM operations WHERE deleted_at = 0 GROUP BY 1, 3, 4, 5;
INSERT INTO log_counts SELECT organization_id, database_id, created_at / 604800000, type, status, count(*) FROM operations WHERE deleted_at = 0 GROUP BY 1, 2, 3, 4, 5;
INSERT INTO kept_counts SELECT organization_id, database_id, count(*), sum(size) FROM operations
  WHERE type = 'backup' AND status = 'succeeded' AND deleted_at = 0 AND deleting_at = 0 GROUP BY 1, 2;

-- The newest run of a schedule that ended, how it ended, and the newest that succeeded; '' where there is none.
ALTER TABLE schedules ADD COLUMN last_run TEXT NOT NULL DEFAULT '';
ALTER TABLE schedules ADD COLUMN last_status TEXT NOT NULL DEFAULT '';
ALTER TABLE schedules ADD COLUMN last_good TEXT NOT NULL DEFAULT '';
UPDATE schedules SET
  (last_run, last_status) = (SELECT coalesce(max(id), ''), coalesce(max(status), '') FROM (SELECT id, status FROM operations
    WHERE schedule_id = schedules.id AND schedule_id <> '' AND status NOT IN ('queued','running') ORDER BY due_at DESC LIMIT 1)),
  last_good = coalesce((SELECT id FROM operations WHERE schedule_id = schedules.id AND schedule_id <> '' AND status = 'succeeded' ORDER BY due_at DESC LIMIT 1), '');

-- Names, in pieces of three letters. An organization has three letters of its own, of the range that Unicode leaves to
-- private use, before each of its names: what it looks for is looked for among its own.
ALTER TABLE organizations ADD COLUMN letters TEXT NOT NULL DEFAULT '';
UPDATE organizations SET letters = char(57344 + rowid % 6400, 57344 + rowid / 6400 % 6400, 57344 + rowid / 40960000);
CREATE VIRTUAL TABLE log_words USING fts5 (words, content='', contentless_delete=1, detail=none, tokenize='trigram');
INSERT INTO log_words (rowid, words) SELECT o.place, g.letters || ' ' || o.name || '  ' FROM operations o JOIN organizations g ON g.id = o.organization_id ORDER BY o.place;
-- which pieces there are, and where: for texts of one or two letters
CREATE VIRTUAL TABLE log_pieces USING fts5vocab (log_words, instance);

-- The audit log: counts by day with the first and the last line of each, and words of who and of what.
CREATE TABLE audit_counts (
  organization_id  TEXT NOT NULL,
  day              INTEGER NOT NULL,   -- since 1970
  n                INTEGER NOT NULL,
  first_seq        INTEGER NOT NULL,
  last_seq         INTEGER NOT NULL,
  PRIMARY KEY (organization_id, day)
) WITHOUT ROWID;
INSERT INTO audit_counts SELECT organization_id, at / 86400000, count(*), min(seq), max(seq) FROM audit GROUP BY 1, 2;
DROP INDEX audit_org;
CREATE INDEX audit_org ON audit (organization_id, seq, at);
CREATE VIRTUAL TABLE audit_words USING fts5 (who, what, content='', contentless_delete=1, detail=column, tokenize='trigram');
INSERT INTO audit_words (rowid, who, what)
  SELECT a.seq, coalesce(g.letters, '') || ' ' || a.actor_name || '  ', a.action || '  ' || a.object_name || '  ' || a.object_id || '  '
  FROM audit a LEFT JOIN organizations g ON g.id = a.organization_id ORDER BY a.seq;
CREATE VIRTUAL TABLE audit_pieces USING fts5vocab (audit_words, instance);

-- +goose StatementBegin
CREATE TRIGGER organizations_letters AFTER INSERT ON organizations BEGIN
  UPDATE organizations SET letters = char(57344 + new.rowid % 6400, 57344 + new.rowid / 6400 % 6400, 57344 + new.rowid / 40960000) WHERE id = new.id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER operations_inserted AFTER INSERT ON operations BEGIN
  UPDATE operations SET place = (SELECT coalesce(max(p.place), new.created_at * 1048576) + 1 FROM operations p
    WHERE p.place > new.created_at * 1048576 AND p.place < (new.created_at + 1) * 1048576) WHERE id = new.id;
  INSERT INTO log_words (rowid, words) SELECT o.place, g.letters || ' ' || o.name || '  '
    FROM operations o JOIN organizations g ON g.id = o.organization_id WHERE o.id = new.id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER operations_renamed AFTER UPDATE OF name ON operations WHEN old.name <> new.name BEGIN
  DELETE FROM log_words WHERE rowid = new.place;
  INSERT INTO log_words (rowid, words) SELECT new.place, g.letters || ' ' || new.name || '  ' FROM organizations g WHERE g.id = new.organization_id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER operations_deleted AFTER DELETE ON operations BEGIN
  DELETE FROM log_words WHERE rowid = old.place;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER log_counts_insert AFTER INSERT ON operations
  WHEN new.deleted_at = 0 BEGIN
  INSERT INTO log_counts VALUES (new.organization_id, '*', new.created_at / 604800000, new.type, new.status, 1)
    ON CONFLICT DO UPDATE SET n = n + 1;
  INSERT INTO log_counts VALUES (new.organization_id, new.database_id, new.created_at / 604800000, new.type, new.status, 1)
    ON CONFLICT DO UPDATE SET n = n + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER log_counts_update_old AFTER UPDATE OF status, deleted_at, type, created_at, database_id, organization_id ON operations
  WHEN old.deleted_at = 0 AND (old.status <> new.status OR old.deleted_at <> new.deleted_at OR old.type <> new.type OR old.created_at <> new.created_at
    OR old.database_id <> new.database_id OR old.organization_id <> new.organization_id) BEGIN
  UPDATE log_counts SET n = n - 1 WHERE organization_id = old.organization_id AND database_id IN ('*', old.database_id)
    AND week = old.created_at / 604800000 AND type = old.type AND status = old.status;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER log_counts_update_new AFTER UPDATE OF status, deleted_at, type, created_at, database_id, organization_id ON operations
  WHEN new.deleted_at = 0 AND (old.status <> new.status OR old.deleted_at <> new.deleted_at OR old.type <> new.type OR old.created_at <> new.created_at
    OR old.database_id <> new.database_id OR old.organization_id <> new.organization_id) BEGIN
  INSERT INTO log_counts VALUES (new.organization_id, '*', new.created_at / 604800000, new.type, new.status, 1)
    ON CONFLICT DO UPDATE SET n = n + 1;
  INSERT INTO log_counts VALUES (new.organization_id, new.database_id, new.created_at / 604800000, new.type, new.status, 1)
    ON CONFLICT DO UPDATE SET n = n + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER log_counts_delete AFTER DELETE ON operations
  WHEN old.deleted_at = 0 BEGIN
  UPDATE log_counts SET n = n - 1 WHERE organization_id = old.organization_id AND database_id IN ('*', old.database_id)
    AND week = old.created_at / 604800000 AND type = old.type AND status = old.status;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER kept_counts_insert AFTER INSERT ON operations
  WHEN new.type = 'backup' AND new.status = 'succeeded' AND new.deleted_at = 0 AND new.deleting_at = 0 BEGIN
  INSERT INTO kept_counts VALUES (new.organization_id, new.database_id, 1, new.size)
    ON CONFLICT DO UPDATE SET n = n + 1, bytes = bytes + excluded.bytes;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER kept_counts_update_old AFTER UPDATE OF type, status, deleted_at, deleting_at, size, database_id, organization_id ON operations
  WHEN old.type = 'backup' AND old.status = 'succeeded' AND old.deleted_at = 0 AND old.deleting_at = 0 BEGIN
  UPDATE kept_counts SET n = n - 1, bytes = bytes - old.size WHERE organization_id = old.organization_id AND database_id = old.database_id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER kept_counts_update_new AFTER UPDATE OF type, status, deleted_at, deleting_at, size, database_id, organization_id ON operations
  WHEN new.type = 'backup' AND new.status = 'succeeded' AND new.deleted_at = 0 AND new.deleting_at = 0 BEGIN
  INSERT INTO kept_counts VALUES (new.organization_id, new.database_id, 1, new.size)
    ON CONFLICT DO UPDATE SET n = n + 1, bytes = bytes + excluded.bytes;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER kept_counts_delete AFTER DELETE ON operations
  WHEN old.type = 'backup' AND old.status = 'succeeded' AND old.deleted_at = 0 AND old.deleting_at = 0 BEGIN
  UPDATE kept_counts SET n = n - 1, bytes = bytes - old.size WHERE organization_id = old.organization_id AND database_id = old.database_id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER schedules_last_insert AFTER INSERT ON operations
  WHEN new.schedule_id <> '' AND new.status NOT IN ('queued','running') BEGIN
  UPDATE schedules SET
    (last_run, last_status) = (SELECT coalesce(max(id), ''), coalesce(max(status), '') FROM (SELECT id, status FROM operations
      WHERE schedule_id = new.schedule_id AND schedule_id <> '' AND status NOT IN ('queued','running') ORDER BY due_at DESC LIMIT 1)),
    last_good = coalesce((SELECT id FROM operations WHERE schedule_id = new.schedule_id AND schedule_id <> '' AND status = 'succeeded' ORDER BY due_at DESC LIMIT 1), '')
  WHERE id = new.schedule_id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER schedules_last_update AFTER UPDATE OF status ON operations
  WHEN new.schedule_id <> '' AND old.status <> new.status BEGIN
  UPDATE schedules SET
    (last_run, last_status) = (SELECT coalesce(max(id), ''), coalesce(max(status), '') FROM (SELECT id, status FROM operations
      WHERE schedule_id = new.schedule_id AND schedule_id <> '' AND status NOT IN ('queued','running') ORDER BY due_at DESC LIMIT 1)),
    last_good = coalesce((SELECT id FROM operations WHERE schedule_id = new.schedule_id AND schedule_id <> '' AND status = 'succeeded' ORDER BY due_at DESC LIMIT 1), '')
  WHERE id = new.schedule_id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER schedules_last_delete AFTER DELETE ON operations
  WHEN old.schedule_id <> '' BEGIN
  UPDATE schedules SET
    (last_run, last_status) = (SELECT coalesce(max(id), ''), coalesce(max(status), '') FROM (SELECT id, status FROM operations
      WHERE schedule_id = old.schedule_id AND schedule_id <> '' AND status NOT IN ('queued','running') ORDER BY due_at DESC LIMIT 1)),
    last_good = coalesce((SELECT id FROM operations WHERE schedule_id = old.schedule_id AND schedule_id <> '' AND status = 'succeeded' ORDER BY due_at DESC LIMIT 1), '')
  WHERE id = old.schedule_id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_inserted AFTER INSERT ON audit BEGIN
  INSERT INTO audit_counts VALUES (new.organization_id, new.at / 86400000, 1, new.seq, new.seq)
    ON CONFLICT DO UPDATE SET n = n + 1, first_seq = min(first_seq, excluded.first_seq), last_seq = max(last_seq, excluded.last_seq);
  INSERT INTO audit_words (rowid, who, what) VALUES (new.seq,
    coalesce((SELECT letters FROM organizations WHERE id = new.organization_id), '') || ' ' || new.actor_name || '  ',
    new.action || '  ' || new.object_name || '  ' || new.object_id || '  ');
END;
-- +goose StatementEnd
