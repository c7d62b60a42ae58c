-- The number of the latest change, kept or not: counted in the transaction that
-- makes the change, so that numbers come in the order of commits and without
-- gaps. One row.

CREATE TABLE task_sequence (
  id SMALLINT NOT NULL PRIMARY KEY CHECK (id = 1),
  latest BIGINT NOT NULL
);

INSERT INTO task_sequence (id, latest)
  SELECT 1, coalesce(max(sequence), 0) FROM task_changes;
