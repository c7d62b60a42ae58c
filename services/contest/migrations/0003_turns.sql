-- Users take turns in judging, so that what waits is looked at by user; without
-- the rows themselves, which hold the programs.

DROP INDEX contest_submissions_to_judge;

CREATE INDEX contest_submissions_to_judge ON contest_submissions
  (user_id, submitted_at, id, lease_until, not_before) WHERE verdict IS NULL;
