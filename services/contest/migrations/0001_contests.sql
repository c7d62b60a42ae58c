-- Contests, who takes part, what they submit and what it is worth. Times are
-- nanoseconds since 1970, UTC. A contest's `sequence` numbers the changes of its
-- board: rows that the board is made of have the number of their latest change,
-- so that whoever knows the board as of one number can read what came after.

CREATE TABLE contests (
  id TEXT PRIMARY KEY,
  title TEXT NOT NULL,
  description TEXT NOT NULL,
  starts_at BIGINT NOT NULL,
  ends_at BIGINT NOT NULL,
  freeze_at BIGINT,
  penalty BIGINT NOT NULL,
  results_revealed SMALLINT NOT NULL,
  author_id TEXT NOT NULL,
  participant_count BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  version BIGINT NOT NULL,
  sequence BIGINT NOT NULL,
  -- The latest change of the rules, after which the board is read anew.
  rules_sequence BIGINT NOT NULL,
  -- When the latest change of the board was made.
  changed_at BIGINT NOT NULL,
  announcement_count BIGINT NOT NULL
);

CREATE INDEX contests_by_start ON contests (starts_at, id);

CREATE TABLE contest_problems (
  contest_id TEXT NOT NULL REFERENCES contests (id),
  position BIGINT NOT NULL,
  label TEXT NOT NULL,
  problem_id TEXT NOT NULL,
  title TEXT NOT NULL,
  -- Separated by spaces.
  languages TEXT NOT NULL,
  PRIMARY KEY (contest_id, position)
);

CREATE TABLE contest_participants (
  contest_id TEXT NOT NULL REFERENCES contests (id),
  user_id TEXT NOT NULL,
  team_name TEXT NOT NULL,
  registered_at BIGINT NOT NULL,
  sequence BIGINT NOT NULL,
  PRIMARY KEY (contest_id, user_id)
);

CREATE INDEX contest_participants_by_change
  ON contest_participants (contest_id, sequence);

CREATE TABLE contest_submissions (
  id TEXT PRIMARY KEY,
  contest_id TEXT NOT NULL,
  user_id TEXT NOT NULL,
  -- The sequence of the change that it was.
  number BIGINT NOT NULL,
  label TEXT NOT NULL,
  problem_id TEXT NOT NULL,
  language TEXT NOT NULL,
  idempotency_key TEXT,
  submitted_at BIGINT NOT NULL,
  -- Once it is judged.
  verdict SMALLINT,
  passed_count BIGINT NOT NULL DEFAULT 0,
  test_count BIGINT NOT NULL DEFAULT 0,
  cpu_time BIGINT NOT NULL DEFAULT 0,
  wall_time BIGINT NOT NULL DEFAULT 0,
  memory_bytes BIGINT NOT NULL DEFAULT 0,
  judged_at BIGINT,
  -- Whether the problem service knows.
  reported SMALLINT NOT NULL DEFAULT 0,
  -- Until then: which process judges it, and until when that holds, and when
  -- it is to be tried at the earliest.
  lease_holder TEXT NOT NULL DEFAULT '',
  lease_token TEXT NOT NULL DEFAULT '',
  lease_until BIGINT NOT NULL DEFAULT 0,
  attempts BIGINT NOT NULL DEFAULT 0,
  not_before BIGINT NOT NULL DEFAULT 0,
  compiler_output TEXT NOT NULL DEFAULT '',
  source TEXT NOT NULL,
  FOREIGN KEY (contest_id, user_id)
    REFERENCES contest_participants (contest_id, user_id)
);

CREATE UNIQUE INDEX contest_submissions_by_number
  ON contest_submissions (contest_id, number);

CREATE UNIQUE INDEX contest_submissions_by_key
  ON contest_submissions (contest_id, user_id, idempotency_key);

CREATE INDEX contest_submissions_by_user
  ON contest_submissions (contest_id, user_id, label, number);

CREATE INDEX contest_submissions_to_judge
  ON contest_submissions (submitted_at) WHERE verdict IS NULL;

CREATE INDEX contest_submissions_to_report
  ON contest_submissions (judged_at) WHERE verdict IS NOT NULL AND reported = 0;

CREATE INDEX contest_submissions_by_judged ON contest_submissions (judged_at);

-- What each team has achieved on each problem: what it is worth, and what the
-- others see of that during the freeze. Made from the submissions.
CREATE TABLE contest_scores (
  contest_id TEXT NOT NULL,
  user_id TEXT NOT NULL,
  label TEXT NOT NULL,
  solved_at BIGINT,
  solved_number BIGINT,
  wrong BIGINT NOT NULL,
  pending BIGINT NOT NULL,
  shown_solved_at BIGINT,
  shown_solved_number BIGINT,
  shown_wrong BIGINT NOT NULL,
  shown_pending BIGINT NOT NULL,
  sequence BIGINT NOT NULL,
  PRIMARY KEY (contest_id, user_id, label),
  FOREIGN KEY (contest_id, user_id)
    REFERENCES contest_participants (contest_id, user_id)
);

CREATE INDEX contest_scores_by_change ON contest_scores (contest_id, sequence);

CREATE TABLE contest_announcements (
  contest_id TEXT NOT NULL REFERENCES contests (id),
  number BIGINT NOT NULL,
  text TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  author_id TEXT NOT NULL,
  PRIMARY KEY (contest_id, number)
);
