// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "grpccommon/accesslog/access_log.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/log/logger.h"
#include "grpcpp/support/status.h"

/// What the lines of the server's and of the client's calls have in common.
namespace grpccommon::internal {

/// What a call's code says of it, where nothing else is known.
enum class CallEnd { kOk, kAboutRequest, kUnavailable, kServerError };
CallEnd CallEndOf(grpc::StatusCode code);

/// `,"grpc.method":"…"`, as it stands in a line.
std::string RenderMethodField(std::string_view path);

inline std::int64_t Microseconds(Clock::Duration duration) {
  return std::chrono::duration_cast<std::chrono::microseconds>(duration)
      .count();
}

/// Errors: kInvalidArgument, naming the option that is out of range.
absl::Status CheckAccessLogRules(
    std::initializer_list<std::pair<std::string_view, AccessLogRule>> rules,
    Clock::Duration slow_threshold, std::size_t max_field_bytes);

/// A method's own level in place of the logger's; -1: the logger's.
inline int LevelNumber(std::optional<LogLevel> level) {
  return level.has_value() ? static_cast<int>(*level) : -1;
}
inline bool LevelEnabled(int own, LogLevel level, const Logger& logger) {
  if (own < 0) return logger.Enabled(level);
  return static_cast<int>(level) >= own && level != LogLevel::kOff;
}

}  // namespace grpccommon::internal
