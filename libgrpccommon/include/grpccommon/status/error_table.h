// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string_view>

#include "absl/status/status.h"
#include "grpccommon/status/details.h"

namespace grpccommon {

/// One row: an application's own error, and the status that callers get for it.
template <typename Error>
struct ErrorRow {
  Error error;
  absl::StatusCode code;
  /// Stable UPPER_SNAKE_CASE, for `google.rpc.ErrorInfo`.
  std::string_view reason;
  std::string_view message;
};

/// Maps an application's error type to statuses in one place.
///
/// `constexpr`-constructible; an error without a row becomes INTERNAL with
/// reason "UNMAPPED_ERROR".
template <typename Error, std::size_t kRows>
class ErrorTable {
 public:
  constexpr ErrorTable(std::string_view domain,
                       std::array<ErrorRow<Error>, kRows> rows)
      : domain_(domain), rows_(rows) {}

  absl::Status ToStatus(const Error& error,
                        ReasonMetadata metadata = {}) const {
    for (const ErrorRow<Error>& row : rows_) {
      if (row.error == error) {
        return WithReason(
            absl::Status(row.code, {row.message.data(), row.message.size()}),
            row.reason, domain_, metadata);
      }
    }
    return WithReason(absl::InternalError("internal error"), "UNMAPPED_ERROR",
                      domain_);
  }

 private:
  std::string_view domain_;
  std::array<ErrorRow<Error>, kRows> rows_;
};

template <typename Error, std::size_t kRows>
ErrorTable(std::string_view, std::array<ErrorRow<Error>, kRows>)
    -> ErrorTable<Error, kRows>;

}  // namespace grpccommon
