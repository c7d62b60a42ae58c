-- Problems, their test cases, and what people do with them. Times are
-- nanoseconds since 1970, UTC; flags are 0 or 1; lists are JSON arrays of
-- texts; bytes are base64url.

-- The number of the latest problem. It only grows, so that no page token leads
-- to a number that is given again.
CREATE TABLE problem_sequence (
  latest BIGINT NOT NULL
);

INSERT INTO problem_sequence (latest) VALUES (0);

CREATE TABLE problems (
  id TEXT PRIMARY KEY,
  number BIGINT NOT NULL UNIQUE,
  slug TEXT NOT NULL UNIQUE,
  title TEXT NOT NULL,
  statement TEXT NOT NULL,
  difficulty SMALLINT NOT NULL,
  tags TEXT NOT NULL,
  cpu_time BIGINT NOT NULL,
  memory_bytes BIGINT NOT NULL,
  output_bytes BIGINT NOT NULL,
  checker_kind SMALLINT NOT NULL,
  checker_tolerance DOUBLE PRECISION NOT NULL,
  languages TEXT NOT NULL,
  published SMALLINT NOT NULL,
  author_id TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  version BIGINT NOT NULL,
  tests_version BIGINT NOT NULL,
  test_count BIGINT NOT NULL DEFAULT 0,
  test_bytes BIGINT NOT NULL DEFAULT 0,
  likes BIGINT NOT NULL DEFAULT 0,
  bookmarks BIGINT NOT NULL DEFAULT 0,
  submissions BIGINT NOT NULL DEFAULT 0,
  accepted BIGINT NOT NULL DEFAULT 0,
  solvers BIGINT NOT NULL DEFAULT 0
);

CREATE INDEX problems_by_author ON problems (author_id, number);

-- The tags once more, to look for.
CREATE TABLE problem_tags (
  problem_id TEXT NOT NULL REFERENCES problems (id) ON DELETE CASCADE,
  tag TEXT NOT NULL,
  PRIMARY KEY (tag, problem_id)
);

CREATE INDEX problem_tags_by_problem ON problem_tags (problem_id);

CREATE TABLE problem_test_cases (
  id TEXT PRIMARY KEY,
  problem_id TEXT NOT NULL REFERENCES problems (id) ON DELETE CASCADE,
  position BIGINT NOT NULL,
  sample SMALLINT NOT NULL,
  bytes BIGINT NOT NULL,
  input TEXT NOT NULL,
  expected_output TEXT NOT NULL
);

CREATE INDEX problem_test_cases_in_order
  ON problem_test_cases (problem_id, position);

CREATE TABLE problem_likes (
  problem_id TEXT NOT NULL REFERENCES problems (id) ON DELETE CASCADE,
  user_id TEXT NOT NULL,
  PRIMARY KEY (problem_id, user_id)
);

CREATE TABLE problem_bookmarks (
  problem_id TEXT NOT NULL REFERENCES problems (id) ON DELETE CASCADE,
  user_id TEXT NOT NULL,
  PRIMARY KEY (problem_id, user_id)
);

-- Which submissions have been counted, and who has solved a problem.
CREATE TABLE problem_verdicts (
  submission_id TEXT PRIMARY KEY,
  problem_id TEXT NOT NULL REFERENCES problems (id) ON DELETE CASCADE
);

CREATE INDEX problem_verdicts_by_problem ON problem_verdicts (problem_id);

CREATE TABLE problem_solvers (
  problem_id TEXT NOT NULL REFERENCES problems (id) ON DELETE CASCADE,
  user_id TEXT NOT NULL,
  PRIMARY KEY (problem_id, user_id)
);
