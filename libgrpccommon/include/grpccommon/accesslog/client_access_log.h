// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>

#include "absl/status/statusor.h"
#include "grpccommon/accesslog/access_log.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpccommon/base/random.h"
#include "grpccommon/call/client_interceptor.h"
#include "grpccommon/call/selector.h"
#include "grpccommon/log/logger.h"

namespace grpccommon {

/// By default failures and slow calls are logged, and calls that went well are
/// not: the server that answered them has its line of each, with the same
/// request id, and a handler that makes five calls would write six lines.
struct ClientAccessLogOptions {
  AccessLogRule ok = {.share = 0.0};
  /// A unary call that ended well after `slow_threshold` or more.
  AccessLogRule slow = {.level = LogLevel::kWarning};
  /// An interceptor of this client refused the call; nothing was sent.
  AccessLogRule refused = {.level = LogLevel::kWarning};
  /// Other codes that are about the request, and CANCELLED.
  AccessLogRule client_error;
  /// UNAVAILABLE, DEADLINE_EXCEEDED, UNIMPLEMENTED.
  AccessLogRule unavailable = {.level = LogLevel::kWarning};
  /// UNKNOWN, INTERNAL, DATA_LOSS.
  AccessLogRule server_error = {.level = LogLevel::kWarning};
  /// In [0, 1 h]; zero: no call is slow. Streams never are.
  Clock::Duration slow_threshold = std::chrono::seconds(1);
  /// Texts that others choose are cut at this many bytes, in [64, 64 KiB].
  std::size_t max_field_bytes = 1024;
};

/// Writes one line for each outgoing call when it ends, `msg` "outgoing call"
/// with the fields listed in docs/accesslog.md; attempts have spans and metrics
/// instead. Never messages or metadata.
///
/// Thread-safe. Never blocks the call, and allocates nothing for a line.
class GRPCCOMMON_EXPORT ClientAccessLog : public ClientInterceptor {
 public:
  /// Errors: kInvalidArgument, naming the option that is out of range.
  static absl::StatusOr<std::unique_ptr<ClientAccessLog>> Create(
      const ClientAccessLogOptions& options, const Logger& logger,
      Random random = UniformRandom);
  ~ClientAccessLog() override;

  /// From now on, lines of these methods are written from `level` on, in place
  /// of the logger's own level, which nullopt restores. `LogLevel::kOff` writes
  /// none. Holds for methods that are called by now.
  void SetLevel(const Selector& methods, std::optional<LogLevel> level);

  std::string_view name() const override { return "access_log"; }
  Stage stage() const override { return Stage::kObserve; }
  absl::StatusOr<ClientHooks> Register(const Method& method) override;

 private:
  struct Impl;
  class OfMethod;
  explicit ClientAccessLog(std::shared_ptr<Impl> impl);
  const std::shared_ptr<Impl> impl_;
};

}  // namespace grpccommon
