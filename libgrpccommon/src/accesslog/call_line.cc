// SPDX-License-Identifier: Apache-2.0
#include "accesslog/call_line.h"

#include "absl/strings/str_cat.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/string_view.h"

namespace grpccommon::internal {

[[gnu::hot]] CallEnd CallEndOf(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::OK:
      return CallEnd::kOk;
    case grpc::StatusCode::UNKNOWN:
    case grpc::StatusCode::INTERNAL:
    case grpc::StatusCode::DATA_LOSS:
      return CallEnd::kServerError;
    case grpc::StatusCode::UNAVAILABLE:
    case grpc::StatusCode::DEADLINE_EXCEEDED:
    case grpc::StatusCode::UNIMPLEMENTED:
      return CallEnd::kUnavailable;
    default:
      return CallEnd::kAboutRequest;
  }
}

std::string RenderMethodField(std::string_view path) {
  LogLine line;
  line.Add("grpc.method", path);
  const std::string_view object = line.Finish();
  return "," + std::string(object.substr(1, object.size() - 3));
}

absl::Status CheckAccessLogRules(
    std::initializer_list<std::pair<std::string_view, AccessLogRule>> rules,
    Clock::Duration slow_threshold, std::size_t max_field_bytes) {
  absl::Status valid;
  for (const auto& [name, rule] : rules) {
    valid.Update(
        CheckRange(absl::StrCat(ToAbsl(name), ".share"), rule.share, 0, 1));
  }
  valid.Update(CheckRange("slow_threshold", slow_threshold,
                          Clock::Duration::zero(), std::chrono::hours(1)));
  valid.Update(CheckRange("max_field_bytes",
                          static_cast<double>(max_field_bytes), 64, 64 << 10));
  return valid;
}

}  // namespace grpccommon::internal
