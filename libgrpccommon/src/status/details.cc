// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/status/details.h"

#include <algorithm>
#include <limits>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/message.h"
#include "google/rpc/error_details.pb.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/base/utf8.h"
#include "status/type_url.h"

namespace grpccommon {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;

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
  google::rpc::ErrorInfo info;
  info.set_reason(RepairUtf8(reason));
  info.set_domain(RepairUtf8(domain));
  for (const auto& [key, value] : metadata) {
    (*info.mutable_metadata())[RepairUtf8(key)] = RepairUtf8(value);
  }
  AddDetail(status, info);
  return status;
}

std::string ReasonOf(const absl::Status& status) {
  google::rpc::ErrorInfo info;
  return GetDetail(status, info) ? info.reason() : std::string();
}

absl::Status WithRetryDelay(absl::Status status, nanoseconds delay) {
  delay = std::max(delay, nanoseconds::zero());
  const seconds whole = std::chrono::duration_cast<seconds>(delay);
  google::rpc::RetryInfo info;
  info.mutable_retry_delay()->set_seconds(whole.count());
  info.mutable_retry_delay()->set_nanos(
      static_cast<std::int32_t>((delay - whole).count()));
  AddDetail(status, info);
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
  google::rpc::BadRequest bad_request;
  for (const FieldViolation& violation : violations) {
    auto& added = *bad_request.add_field_violations();
    added.set_field(RepairUtf8(violation.field));
    added.set_description(RepairUtf8(violation.description));
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
  AddDetail(status, bad_request);
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
  google::rpc::QuotaFailure failure;
  auto& violation = *failure.add_violations();
  violation.set_subject(RepairUtf8(subject));
  violation.set_description(RepairUtf8(message));
  absl::Status status = WithRetryDelay(
      WithOwnReason(absl::StatusCode::kResourceExhausted, reason, message),
      retry_delay);
  AddDetail(status, failure);
  return status;
}

absl::Status Overloaded(std::string_view reason, std::string_view message,
                        nanoseconds retry_delay) {
  return WithRetryDelay(
      WithOwnReason(absl::StatusCode::kUnavailable, reason, message),
      retry_delay);
}

absl::Status NotFound(std::string_view type, std::string_view name) {
  google::rpc::ResourceInfo info;
  info.set_resource_type(RepairUtf8(type));
  info.set_resource_name(RepairUtf8(name));
  absl::Status status = WithOwnReason(
      absl::StatusCode::kNotFound, "NOT_FOUND",
      absl::StrCat(ToAbsl(type), " \"", ToAbsl(name), "\" was not found"));
  AddDetail(status, info);
  return status;
}

}  // namespace grpccommon
