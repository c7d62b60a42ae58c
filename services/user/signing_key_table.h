// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/common/database.h"
#include "services/user/key_schedule.h"

namespace platform::user {

/// The signing keys, sealed. Changes are made in a transaction. Errors of every
/// method: those of Database.
class SigningKeyTable {
 public:
  /// The database is borrowed.
  explicit SigningKeyTable(common::Database& database) : database_(database) {}

  /// In the order in which they sign.
  absl::StatusOr<std::vector<StoredKey>> List();
  absl::Status Add(const StoredKey& key);
  absl::Status Remove(std::string_view id);

 private:
  common::Database& database_;
};

}  // namespace platform::user
