// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpccommon/base/random.h"
#include "grpccommon/call/selector.h"
#include "grpccommon/call/server_interceptor.h"
#include "grpccommon/log/logger.h"

namespace grpccommon {

/// What becomes of the calls that ended in one way.
struct AccessLogRule {
  /// How many of them are logged, in [0, 1].
  double share = 1.0;
  LogLevel level = LogLevel::kInfo;
};

/// Which messages are logged, as JSON with the contract's secret fields
/// redacted. Off by default: a message may hold what no contract marks.
struct AccessLogPayloads {
  /// The request of unary and server-streaming calls, in the call's line.
  bool requests = false;
  /// The reply of unary and client-streaming calls, in the call's line.
  bool replies = false;
  /// The messages of streams, each in a line of its own.
  bool stream_messages = false;
  /// Of each message, in bytes, in [16, 1 MiB]; a longer one is cut.
  std::size_t max_bytes = 4096;
  Selector methods;
};

struct AccessLogOptions {
  AccessLogRule ok;
  /// A unary call that ended well after `slow_threshold` or more.
  AccessLogRule slow = {.level = LogLevel::kWarning};
  /// An interceptor refused the call.
  AccessLogRule refused;
  /// Other codes that are about the request, and CANCELLED.
  AccessLogRule client_error;
  /// UNAVAILABLE, DEADLINE_EXCEEDED, UNIMPLEMENTED.
  AccessLogRule unavailable = {.level = LogLevel::kWarning};
  /// UNKNOWN, INTERNAL, DATA_LOSS, and a handler that threw.
  AccessLogRule server_error = {.level = LogLevel::kError};
  /// In [0, 1 h]; zero: no call is slow. Streams never are, being open for long
  /// is what they are for.
  Clock::Duration slow_threshold = std::chrono::seconds(1);
  /// Texts that others choose (path, peer, principal, messages) are cut at this
  /// many bytes, in [64, 64 KiB].
  std::size_t max_field_bytes = 1024;
  AccessLogPayloads payloads;
};

/// Writes one line for each call when it ends, refused ones included: `msg`
/// "call" with the fields listed in docs/accesslog.md.
///
/// Thread-safe. Never blocks the call: a full queue drops the line and counts
/// it (LogSink::dropped). Allocates nothing for a line without payloads.
class GRPCCOMMON_EXPORT AccessLog : public ServerInterceptor {
 public:
  /// Errors: kInvalidArgument, naming the option that is out of range.
  static absl::StatusOr<std::unique_ptr<AccessLog>> Create(
      AccessLogOptions options, Logger logger, Random random = UniformRandom);
  ~AccessLog() override;

  /// From now on, lines of these methods are written from `level` on, in place
  /// of the logger's own level, which nullopt restores. `LogLevel::kOff` writes
  /// none. For any time after the methods were registered.
  void SetLevel(const Selector& methods, std::optional<LogLevel> level);

  std::string_view name() const override { return "access_log"; }
  Stage stage() const override { return Stage::kObserve; }
  absl::StatusOr<Hooks> Register(const Method& method) override;
  absl::Status OnStart(ServerCall& call) override;
  absl::Status OnReceived(ServerCall& call,
                          const google::protobuf::Message* message) override;
  void OnSent(ServerCall& call,
              const google::protobuf::Message* message) override;
  void OnFinish(ServerCall& call, grpc::Status& status) override;

 private:
  struct MethodState;
  AccessLog(AccessLogOptions options, Logger logger, Random random);

  bool Enabled(const MethodState& method, LogLevel level) const;
  const AccessLogRule& RuleFor(const ServerCall& call,
                               const grpc::Status& status, bool slow) const;
  void AddIdentity(const ServerCall& call, const MethodState& method,
                   internal::LineFields& fields) const;
  void AddOutcome(const ServerCall& call, const MethodState& method,
                  const grpc::Status& status, Clock::Duration duration,
                  bool slow, internal::LineFields& fields) const;
  void LogMessage(const ServerCall& call, std::string_view direction,
                  std::uint64_t number,
                  const google::protobuf::Message* message);
  std::string_view Cut(std::string_view text) const;

  const AccessLogOptions options_;
  const Logger logger_;
  const Random random_;
  // By Method::index; filled before the server starts.
  std::vector<std::unique_ptr<MethodState>> methods_;
};

}  // namespace grpccommon
