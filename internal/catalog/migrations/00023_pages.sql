-- +goose Up
-- With automerge on, one in some hundred new lines waits until 500 pages of a large index of words have been merged: 30 ms
-- of processor time, and 10 MB written. Catalog.MergeWords does it instead, in small steps for which nobody waits.
INSERT INTO log_words (log_words, rank) VALUES ('automerge', 0);
INSERT INTO audit_words (audit_words, rank) VALUES ('automerge', 0);
