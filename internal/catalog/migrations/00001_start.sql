-- +goose Up
-- Times are milliseconds since 1970 in UTC; 0 means "none". Identifiers are safepoint.NewID's.
CREATE TABLE instance (
  id                INTEGER PRIMARY KEY CHECK (id = 1),
  setup_code_hash   TEXT NOT NULL DEFAULT '',
  setup_code_until  BIGINT NOT NULL DEFAULT 0,
  key_check         TEXT NOT NULL DEFAULT '',  -- tells the sealing key from any other, without giving it away
  signing_key       TEXT NOT NULL DEFAULT '',  -- public half of the key that signs archives, base64
  created_at        BIGINT NOT NULL
);
CREATE TABLE organizations (
  id              TEXT PRIMARY KEY,
  name            TEXT NOT NULL,
  time_zone       TEXT NOT NULL,
  undo_window_ms  BIGINT NOT NULL,
  created_at      BIGINT NOT NULL,
  -- the halt, from the moment it is intended until everything runs again
  halted_since    BIGINT NOT NULL DEFAULT 0,
  halted_by       TEXT NOT NULL DEFAULT '',
  halted_reason   TEXT NOT NULL DEFAULT '',
  halted_until    BIGINT NOT NULL DEFAULT 0,
  state_since     BIGINT NOT NULL DEFAULT 0
);
CREATE TABLE users (
  id             TEXT PRIMARY KEY,
  email          TEXT NOT NULL UNIQUE,   -- lower case
  name           TEXT NOT NULL,
  password_hash  TEXT NOT NULL,          -- argon2id, PHC string; "" until the invitation is accepted
  theme          TEXT NOT NULL DEFAULT 'system',
  created_at     BIGINT NOT NULL
);
CREATE TABLE members (
  organization_id  TEXT NOT NULL REFERENCES organizations(id),
  user_id          TEXT NOT NULL REFERENCES users(id),
  role             TEXT NOT NULL CHECK (role IN ('admin','viewer')),
  created_at       BIGINT NOT NULL,
  PRIMARY KEY (organization_id, user_id)
);
CREATE TABLE sessions (
  token_hash       TEXT PRIMARY KEY,     -- SHA-256 of the cookie
  user_id          TEXT NOT NULL REFERENCES users(id),
  organization_id  TEXT NOT NULL,        -- the one looked at
  created_at       BIGINT NOT NULL,
  used_at          BIGINT NOT NULL,
  password_at      BIGINT NOT NULL,      -- when the password was last entered
  ip               TEXT NOT NULL DEFAULT '',
  agent            TEXT NOT NULL DEFAULT ''
);
-- one-time links: sign-in (demo), invitation
CREATE TABLE links (
  token_hash  TEXT PRIMARY KEY,
  kind        TEXT NOT NULL,             -- "signin", "invite"
  user_id     TEXT NOT NULL REFERENCES users(id),
  expires_at  BIGINT NOT NULL
);
CREATE TABLE tokens (
  id               TEXT PRIMARY KEY,
  organization_id  TEXT NOT NULL REFERENCES organizations(id),
  user_id          TEXT NOT NULL REFERENCES users(id),
  name             TEXT NOT NULL,
  secret_hash      TEXT NOT NULL UNIQUE,
  created_at       BIGINT NOT NULL,
  expires_at       BIGINT NOT NULL DEFAULT 0,
  last_used_at     BIGINT NOT NULL DEFAULT 0,
  password_at      BIGINT NOT NULL DEFAULT 0   -- when its maker had last entered the password
);
CREATE TABLE databases (
  id               TEXT PRIMARY KEY,
  organization_id  TEXT NOT NULL REFERENCES organizations(id),
  name             TEXT NOT NULL,
  engine           TEXT NOT NULL,
  host             TEXT NOT NULL DEFAULT '',
  port             INTEGER NOT NULL DEFAULT 0,
  username         TEXT NOT NULL DEFAULT '',
  dbname           TEXT NOT NULL DEFAULT '',
  tls              TEXT NOT NULL DEFAULT '',
  ca_cert          TEXT NOT NULL DEFAULT '',
  path             TEXT NOT NULL DEFAULT '',
  sealed_password  BLOB,
  server_version   TEXT NOT NULL DEFAULT '',
  created_at       BIGINT NOT NULL,
  created_by       TEXT NOT NULL,
  created_by_name  TEXT NOT NULL,
  updated_by_name  TEXT NOT NULL DEFAULT '',
  updated_at       BIGINT NOT NULL DEFAULT 0,
  version          INTEGER NOT NULL DEFAULT 1,
  removed_at       BIGINT NOT NULL DEFAULT 0   -- its backups stay listed
);
CREATE UNIQUE INDEX databases_name ON databases (organization_id, name) WHERE removed_at = 0;
CREATE TABLE services (
  id               TEXT PRIMARY KEY,
  organization_id  TEXT NOT NULL REFERENCES organizations(id),
  name             TEXT NOT NULL,
  kind             TEXT NOT NULL,
  position         INTEGER NOT NULL,
  timeout_ms       BIGINT NOT NULL,
  halt_url         TEXT NOT NULL DEFAULT '',
  resume_url       TEXT NOT NULL DEFAULT '',
  health_url       TEXT NOT NULL DEFAULT '',
  host             TEXT NOT NULL DEFAULT '',
  port             INTEGER NOT NULL DEFAULT 0,
  username         TEXT NOT NULL DEFAULT '',
  dbname           TEXT NOT NULL DEFAULT '',
  sealed_secret    BLOB,
  created_at       BIGINT NOT NULL,
  updated_by_name  TEXT NOT NULL DEFAULT '',
  updated_at       BIGINT NOT NULL DEFAULT 0,
  version          INTEGER NOT NULL DEFAULT 1
);
CREATE UNIQUE INDEX services_name ON services (organization_id, name);
CREATE TABLE schedules (
  id                TEXT PRIMARY KEY,
  organization_id   TEXT NOT NULL REFERENCES organizations(id),
  database_id       TEXT NOT NULL REFERENCES databases(id),
  name              TEXT NOT NULL,
  description       TEXT NOT NULL DEFAULT '',
  is_active         INTEGER NOT NULL DEFAULT 1,
  interval_ms       BIGINT NOT NULL,
  anchor            BIGINT NOT NULL,
  done_until        BIGINT NOT NULL DEFAULT 0,  -- last due time dealt with
  created_at        BIGINT NOT NULL,
  created_by        TEXT NOT NULL,
  created_by_name   TEXT NOT NULL,
  enabled_at        BIGINT NOT NULL,
  disabled_at       BIGINT NOT NULL DEFAULT 0,
  disabled_by_name  TEXT NOT NULL DEFAULT '',
  updated_by_name   TEXT NOT NULL DEFAULT '',
  updated_at        BIGINT NOT NULL DEFAULT 0,
  version           INTEGER NOT NULL DEFAULT 1,
  removed_at        BIGINT NOT NULL DEFAULT 0   -- went with its database
);
CREATE UNIQUE INDEX schedules_name ON schedules (organization_id, name) WHERE removed_at = 0;
CREATE TABLE operations (
  id               TEXT PRIMARY KEY,
  organization_id  TEXT NOT NULL REFERENCES organizations(id),
  database_id      TEXT NOT NULL,
  database_name    TEXT NOT NULL,
  engine           TEXT NOT NULL,
  type             TEXT NOT NULL CHECK (type IN ('backup','restore')),
  triggered_by     TEXT NOT NULL,
  status           TEXT NOT NULL,
  name             TEXT NOT NULL,
  schedule_id      TEXT NOT NULL DEFAULT '',
  due_at           BIGINT NOT NULL DEFAULT 0,
  created_at       BIGINT NOT NULL,
  started_at       BIGINT NOT NULL DEFAULT 0,
  finished_at      BIGINT NOT NULL DEFAULT 0,
  created_by       TEXT NOT NULL DEFAULT '',
  created_by_name  TEXT NOT NULL DEFAULT '',
  failure          TEXT NOT NULL DEFAULT '',   -- JSON of safepoint.Failure
  cancel_asked     INTEGER NOT NULL DEFAULT 0,
  progress         TEXT NOT NULL DEFAULT '',   -- JSON of safepoint.Progress
  -- the job: who runs it until when. A claim raises fence; a write with an older fence changes nothing
  node             TEXT NOT NULL DEFAULT '',
  lease_until      BIGINT NOT NULL DEFAULT 0,
  fence            BIGINT NOT NULL DEFAULT 0,
  -- a backup's file
  storage_key      TEXT NOT NULL DEFAULT '',
  size             BIGINT NOT NULL DEFAULT 0,
  raw_size         BIGINT NOT NULL DEFAULT 0,
  sha256           TEXT NOT NULL DEFAULT '',
  verified_at      BIGINT NOT NULL DEFAULT 0,
  tables           INTEGER NOT NULL DEFAULT 0,
  row_count        BIGINT NOT NULL DEFAULT 0,
  server_version   TEXT NOT NULL DEFAULT '',
  restore_id       TEXT NOT NULL DEFAULT '',   -- safety backups: the restore that made it
  deleting_at      BIGINT NOT NULL DEFAULT 0,  -- intent, before the file goes
  deleted_at       BIGINT NOT NULL DEFAULT 0,
  -- a restore
  source_id        TEXT NOT NULL DEFAULT '',
  source_name      TEXT NOT NULL DEFAULT '',
  source_at        BIGINT NOT NULL DEFAULT 0,
  safety_id        TEXT NOT NULL DEFAULT '',
  step             INTEGER NOT NULL DEFAULT 0,
  switched         INTEGER NOT NULL DEFAULT 0,
  halted_at        BIGINT NOT NULL DEFAULT 0,
  resumed_at       BIGINT NOT NULL DEFAULT 0,
  service_count    INTEGER NOT NULL DEFAULT 0,
  undo_until       BIGINT NOT NULL DEFAULT 0,
  undone_by        TEXT NOT NULL DEFAULT '',
  attention        TEXT NOT NULL DEFAULT '[]', -- JSON: names of services that would not resume
  needs_operator   INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX operations_due ON operations (schedule_id, due_at) WHERE schedule_id <> '';
CREATE INDEX operations_log ON operations (organization_id, created_at DESC, id DESC) WHERE deleted_at = 0;
-- the columns of the condition are in it so that sums need not look at the rows
CREATE INDEX operations_kept ON operations (organization_id, created_at DESC, id DESC, size, type, status, deleted_at, deleting_at)
  WHERE type = 'backup' AND status = 'succeeded' AND deleted_at = 0 AND deleting_at = 0;
CREATE INDEX operations_kept_database ON operations (organization_id, database_id, created_at DESC, id DESC, type, status, deleted_at, deleting_at)
  WHERE type = 'backup' AND status = 'succeeded' AND deleted_at = 0 AND deleting_at = 0;
-- everything a card's strip shows of a run
CREATE INDEX operations_runs ON operations (organization_id, due_at, schedule_id, status, id, created_at, started_at, finished_at, size)
  WHERE schedule_id <> '';
CREATE INDEX operations_restores ON operations (organization_id, created_at DESC, id DESC) WHERE type = 'restore';
CREATE INDEX operations_started ON operations (organization_id, started_at DESC);
CREATE INDEX operations_undo ON operations (undo_until) WHERE undo_until > 0;
CREATE INDEX operations_deleting ON operations (deleting_at) WHERE deleting_at > 0 AND deleted_at = 0;
CREATE INDEX operations_database ON operations (database_id, created_at DESC);
CREATE INDEX operations_open ON operations (status, organization_id, created_at, id);
CREATE TABLE journal (
  operation_id  TEXT NOT NULL REFERENCES operations(id),
  seq           INTEGER NOT NULL,
  at            BIGINT NOT NULL,
  step          INTEGER NOT NULL,
  event         TEXT NOT NULL,
  detail        TEXT NOT NULL DEFAULT '',
  state         BLOB,
  PRIMARY KEY (operation_id, seq)
);
CREATE TABLE audit (
  seq              INTEGER PRIMARY KEY,
  id               TEXT NOT NULL UNIQUE,
  organization_id  TEXT NOT NULL DEFAULT '',
  at               BIGINT NOT NULL,
  actor_id         TEXT NOT NULL DEFAULT '',
  actor_name       TEXT NOT NULL DEFAULT '',
  ip               TEXT NOT NULL DEFAULT '',
  via              TEXT NOT NULL DEFAULT '',
  action           TEXT NOT NULL,
  object_type      TEXT NOT NULL DEFAULT '',
  object_id        TEXT NOT NULL DEFAULT '',
  object_name      TEXT NOT NULL DEFAULT '',
  outcome          TEXT NOT NULL DEFAULT '',
  detail           TEXT NOT NULL DEFAULT ''
);
CREATE INDEX audit_org ON audit (organization_id, seq DESC);
CREATE INDEX audit_object ON audit (object_id, action);

-- +goose Down
SELECT 1;
