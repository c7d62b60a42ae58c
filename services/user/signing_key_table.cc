// SPDX-License-Identifier: Apache-2.0
#include "services/user/signing_key_table.h"

#include "services/common/query.h"

namespace platform::user {

using common::Query;

absl::StatusOr<std::vector<StoredKey>> SigningKeyTable::List() {
  return database_.Run(
      [&](soci::session& sql) -> absl::StatusOr<std::vector<StoredKey>> {
        std::vector<StoredKey> keys;
        StoredKey key;
        Query query(sql,
                    "SELECT id, sealed, signs_from FROM signing_keys "
                    "ORDER BY signs_from, id");
        query.Into(key.id, key.sealed, key.signs_from);
        while (query.Next()) keys.push_back(key);
        return keys;
      });
}

absl::Status SigningKeyTable::Add(const StoredKey& key) {
  return database_.Run([&](soci::session& sql) -> absl::Status {
    Query(sql,
          "INSERT INTO signing_keys (id, sealed, signs_from) VALUES (:id, "
          ":sealed, :signs_from)")
        .Bind("id", key.id)
        .Bind("sealed", key.sealed)
        .Bind("signs_from", key.signs_from)
        .Run();
    return absl::OkStatus();
  });
}

absl::Status SigningKeyTable::Remove(std::string_view id) {
  return database_.Run([&](soci::session& sql) -> absl::Status {
    Query(sql, "DELETE FROM signing_keys WHERE id = :id").Bind("id", id).Run();
    return absl::OkStatus();
  });
}

}  // namespace platform::user
