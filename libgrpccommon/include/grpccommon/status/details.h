// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "grpccommon/base/export.h"

namespace google::protobuf {
class Message;
}

namespace grpccommon {

/// Attaches a detail, replacing one of the same type. Does nothing to an OK
/// status.
GRPCCOMMON_EXPORT void AddDetail(absl::Status& status,
                                 const google::protobuf::Message& detail);

/// Reads the detail of `detail`'s type; false if there is none that parses.
GRPCCOMMON_EXPORT bool GetDetail(const absl::Status& status,
                                 google::protobuf::Message& detail);

/// One broken rule: `field` is a path such as "items[2].price".
struct FieldViolation {
  std::string field;
  std::string description;
};

using ReasonMetadata =
    std::initializer_list<std::pair<std::string_view, std::string_view>>;

/// The domain of the reasons that this library itself gives.
inline constexpr std::string_view kErrorDomain = "grpccommon";

/// `google.rpc.ErrorInfo`: `reason` is a stable UPPER_SNAKE_CASE name that a
/// program may test for, `domain` says whose reason it is.
GRPCCOMMON_EXPORT absl::Status WithReason(absl::Status status,
                                          std::string_view reason,
                                          std::string_view domain,
                                          ReasonMetadata metadata = {});

/// The reason of a status; empty if it has none.
GRPCCOMMON_EXPORT std::string ReasonOf(const absl::Status& status);

/// `google.rpc.RetryInfo`: how long to wait before the next try.
GRPCCOMMON_EXPORT absl::Status WithRetryDelay(absl::Status status,
                                              std::chrono::nanoseconds delay);
GRPCCOMMON_EXPORT std::optional<std::chrono::nanoseconds> RetryDelayOf(
    const absl::Status& status);

/// The kinds of refusal; each says what the caller can do about it.
/// INVALID_ARGUMENT with BadRequest; the message names the first field.
GRPCCOMMON_EXPORT absl::Status InvalidFields(
    const std::vector<FieldViolation>& violations);
/// UNAUTHENTICATED; `message` says which credential is missing or wrong with
/// it, never its value.
GRPCCOMMON_EXPORT absl::Status Unauthenticated(std::string_view reason,
                                               std::string_view message);
/// PERMISSION_DENIED.
GRPCCOMMON_EXPORT absl::Status PermissionDenied(std::string_view reason,
                                                std::string_view message);
/// RESOURCE_EXHAUSTED with RetryInfo and QuotaFailure for `subject`.
GRPCCOMMON_EXPORT absl::Status Exhausted(std::string_view reason,
                                         std::string_view subject,
                                         std::string_view message,
                                         std::chrono::nanoseconds retry_delay);
/// UNAVAILABLE with RetryInfo.
GRPCCOMMON_EXPORT absl::Status Overloaded(std::string_view reason,
                                          std::string_view message,
                                          std::chrono::nanoseconds retry_delay);
/// NOT_FOUND with ResourceInfo.
GRPCCOMMON_EXPORT absl::Status NotFound(std::string_view type,
                                        std::string_view name);
/// ABORTED, reason VERSION_CONFLICT, with the current version in the reason's
/// metadata: what the caller has read was changed meanwhile, so they read it
/// again and decide anew.
GRPCCOMMON_EXPORT absl::Status VersionConflict(std::string_view type,
                                               std::string_view name,
                                               std::int64_t current_version);

}  // namespace grpccommon
