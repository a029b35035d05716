-- +goose Up
-- What an entry of a journal tells programs, beside its sentence for people, and which service it is about.
ALTER TABLE journal ADD COLUMN kind TEXT NOT NULL DEFAULT '';       -- '' is for people only
ALTER TABLE journal ADD COLUMN service_id TEXT NOT NULL DEFAULT '';

-- Entries of before: their sentence says it, and their state has the services with their names then.
UPDATE journal SET kind = 'recovering' WHERE event = 'note'
  AND detail IN ('The server started again. Looking how far the restore got.', 'Looking again how far the restore got.');
UPDATE journal SET kind = said.kind, service_id = said.service_id
  FROM (SELECT j.operation_id, j.seq, json_extract(s.value, '$.id') AS service_id, CASE j.detail
      WHEN 'Halted ' || json_extract(s.value, '$.name') || '.' THEN 'halted'
      WHEN 'Resumed ' || json_extract(s.value, '$.name') || '.' THEN 'resumed'
      WHEN json_extract(s.value, '$.name') || ' was not running; it is left as it is.' THEN 'idle' END AS kind
    FROM journal j, json_each(CAST(j.state AS TEXT), '$.services') s WHERE j.event = 'note' AND j.state IS NOT NULL) AS said
  WHERE said.kind IS NOT NULL AND journal.operation_id = said.operation_id AND journal.seq = said.seq;
