-- Accounts, sessions, failed log-ins and signing keys. Times are nanoseconds
-- since 1970, UTC.

-- `roles` has the bit 1 << number of each role. Names and addresses are unique
-- whatever the case of their letters, by their …_key in small ones. A deleted
-- account keeps its name taken and nothing else.
CREATE TABLE users (
  sequence BIGINT NOT NULL PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  username TEXT NOT NULL,
  username_key TEXT NOT NULL UNIQUE,
  display_name TEXT NOT NULL,
  email TEXT NOT NULL,
  email_key TEXT UNIQUE,
  password_hash TEXT NOT NULL,
  roles SMALLINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  deleted_at BIGINT,
  version BIGINT NOT NULL
);

-- One for each log-in, with the SHA-256 of the refresh token that is its
-- latest.
CREATE TABLE sessions (
  id TEXT NOT NULL PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users (id),
  token_hash TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);

CREATE INDEX sessions_by_user ON sessions (user_id, created_at);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- By account (`known`), or by a pseudonym of a name that nobody has.
CREATE TABLE login_failures (
  key TEXT NOT NULL PRIMARY KEY,
  known SMALLINT NOT NULL,
  failures INTEGER NOT NULL,
  locked_until BIGINT NOT NULL,
  failed_at BIGINT NOT NULL,
  attempted_at BIGINT NOT NULL
);

CREATE INDEX login_failures_by_time ON login_failures (known, attempted_at);

-- `sealed` is the private key, under the key of the key file.
CREATE TABLE signing_keys (
  id TEXT NOT NULL PRIMARY KEY,
  sealed TEXT NOT NULL,
  signs_from BIGINT NOT NULL
);
