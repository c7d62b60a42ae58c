// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/status/details.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/message.h"
#include "google/rpc/error_details.pb.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/base/utf8.h"
#include "status/type_url.h"
#include "status/wire.h"

namespace grpccommon {
namespace {

using internal::AppendBytesField;
using std::chrono::nanoseconds;
using std::chrono::seconds;

// A field of type string.
void AppendText(int number, std::string_view text, std::string& out) {
  if (IsUtf8(text)) {
    AppendBytesField(number, text, out);
  } else {
    AppendBytesField(number, RepairUtf8(text), out);
  }
}

// Attaches a detail that is serialised already.
template <typename Detail>
void SetDetail(absl::Status& status, std::string_view serialized) {
  static const std::string* const type_url =
      new std::string(internal::TypeUrl(*Detail::descriptor()));
  status.SetPayload(*type_url, absl::Cord(ToAbsl(serialized)));
}

absl::Status WithOwnReason(absl::StatusCode code, std::string_view reason,
                           std::string_view message) {
  return WithReason(absl::Status(code, ToAbsl(message)), reason, kErrorDomain);
}

}  // namespace

void AddDetail(absl::Status& status, const google::protobuf::Message& detail) {
  if (status.ok()) return;
  status.SetPayload(internal::TypeUrl(*detail.GetDescriptor()),
                    absl::Cord(detail.SerializeAsString()));
}

bool GetDetail(const absl::Status& status, google::protobuf::Message& detail) {
  const auto payload =
      status.GetPayload(internal::TypeUrl(*detail.GetDescriptor()));
  return payload.has_value() && detail.ParseFromString(std::string(*payload));
}

absl::Status WithReason(absl::Status status, std::string_view reason,
                        std::string_view domain, ReasonMetadata metadata) {
  std::string info;
  AppendText(1, reason, info);
  AppendText(2, domain, info);
  for (const auto& [key, value] : metadata) {
    std::string entry;
    AppendText(1, key, entry);
    AppendText(2, value, entry);
    AppendBytesField(3, entry, info);
  }
  SetDetail<google::rpc::ErrorInfo>(status, info);
  return status;
}

std::string ReasonOf(const absl::Status& status) {
  google::rpc::ErrorInfo info;
  return GetDetail(status, info) ? info.reason() : std::string();
}

absl::Status WithRetryDelay(absl::Status status, nanoseconds delay) {
  SetDetail<google::rpc::RetryInfo>(status,
                                    internal::SerializeRetryInfo(delay));
  return status;
}

std::optional<nanoseconds> RetryDelayOf(const absl::Status& status) {
  google::rpc::RetryInfo info;
  if (!GetDetail(status, info) || !info.has_retry_delay()) return std::nullopt;
  // The other side's numbers: kept from overflowing, and from the past.
  constexpr std::int64_t kMostSeconds =
      std::chrono::duration_cast<seconds>(nanoseconds::max()).count() - 1;
  const auto whole = seconds(
      std::clamp<std::int64_t>(info.retry_delay().seconds(), 0, kMostSeconds));
  const auto rest = nanoseconds(
      std::clamp<std::int32_t>(info.retry_delay().nanos(), 0, 999'999'999));
  return whole + rest;
}

absl::Status InvalidFields(const std::vector<FieldViolation>& violations) {
  std::string bad_request;
  for (const FieldViolation& violation : violations) {
    std::string entry;
    AppendText(1, violation.field, entry);
    AppendText(2, violation.description, entry);
    AppendBytesField(1, entry, bad_request);
  }
  std::string message = "the request is not valid";
  if (!violations.empty()) {
    message = absl::StrCat(violations.front().field, ": ",
                           violations.front().description);
    if (violations.size() > 1) {
      absl::StrAppend(&message, " (and ", violations.size() - 1, " more)");
    }
  }
  absl::Status status = WithOwnReason(absl::StatusCode::kInvalidArgument,
                                      "INVALID_FIELDS", message);
  SetDetail<google::rpc::BadRequest>(status, bad_request);
  return status;
}

absl::Status Unauthenticated(std::string_view reason,
                             std::string_view message) {
  return WithOwnReason(absl::StatusCode::kUnauthenticated, reason, message);
}

absl::Status PermissionDenied(std::string_view reason,
                              std::string_view message) {
  return WithOwnReason(absl::StatusCode::kPermissionDenied, reason, message);
}

absl::Status Exhausted(std::string_view reason, std::string_view subject,
                       std::string_view message, nanoseconds retry_delay) {
  std::string violation;
  AppendText(1, subject, violation);
  AppendText(2, message, violation);
  std::string failure;
  AppendBytesField(1, violation, failure);
  absl::Status status = WithRetryDelay(
      WithOwnReason(absl::StatusCode::kResourceExhausted, reason, message),
      retry_delay);
  SetDetail<google::rpc::QuotaFailure>(status, failure);
  return status;
}

absl::Status Overloaded(std::string_view reason, std::string_view message,
                        nanoseconds retry_delay) {
  return WithRetryDelay(
      WithOwnReason(absl::StatusCode::kUnavailable, reason, message),
      retry_delay);
}

absl::Status NotFound(std::string_view type, std::string_view name) {
  std::string info;
  AppendText(1, type, info);
  AppendText(2, name, info);
  absl::Status status = WithOwnReason(
      absl::StatusCode::kNotFound, "NOT_FOUND",
      absl::StrCat(ToAbsl(type), " \"", ToAbsl(name), "\" was not found"));
  SetDetail<google::rpc::ResourceInfo>(status, info);
  return status;
}

absl::Status VersionConflict(std::string_view type, std::string_view name,
                             std::int64_t current_version) {
  const std::string version = absl::StrCat(current_version);
  return WithReason(absl::AbortedError(absl::StrCat(
                        ToAbsl(type), " \"", ToAbsl(name), "\" has version ",
                        version, " now: read it again")),
                    "VERSION_CONFLICT", kErrorDomain,
                    {{"current_version", version}});
}

}  // namespace grpccommon
