// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/status/error_table.h"

#include <gtest/gtest.h>

namespace grpccommon {
namespace {

enum class StoreError { kMissing, kLocked, kNew };

constexpr ErrorTable kStoreErrors(
    "store",
    std::array{
        ErrorRow<StoreError>{StoreError::kMissing, absl::StatusCode::kNotFound,
                             "RECORD_MISSING", "no such record"},
        ErrorRow<StoreError>{StoreError::kLocked,
                             absl::StatusCode::kUnavailable, "LOCKED",
                             "the store is locked"},
    });

TEST(ErrorTableTest, GivesAnErrorTheStatusOfItsRow) {
  const absl::Status status = kStoreErrors.ToStatus(StoreError::kLocked);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status.message(), "the store is locked");
  EXPECT_EQ(ReasonOf(status), "LOCKED");
}

TEST(ErrorTableTest, GivesAnErrorWithoutARowInternal) {
  const absl::Status status = kStoreErrors.ToStatus(StoreError::kNew);
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(ReasonOf(status), "UNMAPPED_ERROR");
}

}  // namespace
}  // namespace grpccommon
