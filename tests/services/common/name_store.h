// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "services/common/database.h"
#include "services/common/query.h"

namespace platform::common {

inline constexpr std::string_view kTables[] = {
    "CREATE TABLE names (name TEXT NOT NULL PRIMARY KEY);\n"};

/// A store for tests: names, of which there is one of each.
class NameStore {
 public:
  static absl::StatusOr<std::unique_ptr<NameStore>> Open(const std::string& url,
                                                         bool read_only) {
    auto database = Database::Open({.url = url,
                                    .service = "names",
                                    .migrations = kTables,
                                    .read_only = read_only});
    if (!database.ok()) return database.status();
    return std::make_unique<NameStore>(*std::move(database));
  }
  explicit NameStore(std::unique_ptr<Database> database)
      : database_(std::move(database)) {}

  Database& database() { return *database_; }

  absl::Status Add(const std::string& name) {
    return database_->Run([&](soci::session& sql) {
      Query(sql, "INSERT INTO names (name) VALUES (:name)")
          .Bind("name", name)
          .Run();
      return absl::OkStatus();
    });
  }
  int Count() {
    const absl::StatusOr<int> count =
        database_->Run([](soci::session& sql) -> absl::StatusOr<int> {
          int number = 0;
          Query(sql, "SELECT count(*) FROM names").Into(number).Next();
          return number;
        });
    return count.value_or(-1);
  }

 private:
  const std::unique_ptr<Database> database_;
};

}  // namespace platform::common
