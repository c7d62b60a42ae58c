-- Submissions that cannot be judged end as well: how often the execution service
-- answered without a verdict, and why there was none in the end.

ALTER TABLE contest_submissions ADD COLUMN failures BIGINT NOT NULL DEFAULT 0;

ALTER TABLE contest_submissions ADD COLUMN not_judged SMALLINT NOT NULL DEFAULT 0;
