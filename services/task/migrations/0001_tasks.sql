-- The tasks as they are, and the latest changes as they happened. Each change
-- has a number, `sequence`, that only grows; a task is ordered by that of its
-- creation. Times are nanoseconds since 1970, UTC.

CREATE TABLE tasks (
  created_sequence BIGINT NOT NULL PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  owner TEXT NOT NULL,
  title TEXT NOT NULL CHECK (length(title) BETWEEN 1 AND 200),
  description TEXT NOT NULL CHECK (length(description) <= 10000),
  status SMALLINT NOT NULL CHECK (status BETWEEN 1 AND 4),
  priority SMALLINT NOT NULL CHECK (priority BETWEEN 1 AND 4),
  labels TEXT NOT NULL,
  metadata TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);

CREATE INDEX tasks_by_owner ON tasks (owner, created_sequence);

-- What watchers resume from. Old rows are deleted.
CREATE TABLE task_changes (
  sequence BIGINT NOT NULL PRIMARY KEY,
  type SMALLINT NOT NULL CHECK (type BETWEEN 1 AND 3),
  at BIGINT NOT NULL,
  created_sequence BIGINT NOT NULL,
  id TEXT NOT NULL,
  owner TEXT NOT NULL,
  title TEXT NOT NULL,
  description TEXT NOT NULL,
  status SMALLINT NOT NULL,
  priority SMALLINT NOT NULL,
  labels TEXT NOT NULL,
  metadata TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
