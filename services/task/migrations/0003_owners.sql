-- An owner is known as callers are in every service (services/common/caller.h):
-- a user by the id that the user service gave, anybody else by
-- "issuer|subject". Until now it was the issuer's name and the subject with the
-- control character 31, which stands in the quotes below, between them.

UPDATE tasks SET owner = substr(owner, 15)
  WHERE substr(owner, 1, 14) = 'platform-user';

UPDATE tasks SET owner = substr(owner, 2)
  WHERE substr(owner, 1, 1) = '';

UPDATE tasks SET owner = replace(owner, '', '|')
  WHERE owner LIKE '%%';

UPDATE task_changes SET owner = substr(owner, 15)
  WHERE substr(owner, 1, 14) = 'platform-user';

UPDATE task_changes SET owner = substr(owner, 2)
  WHERE substr(owner, 1, 1) = '';

UPDATE task_changes SET owner = replace(owner, '', '|')
  WHERE owner LIKE '%%';
