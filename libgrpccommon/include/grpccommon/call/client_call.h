// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpccommon/call/call_values.h"
#include "grpccommon/call/method.h"
#include "grpccommon/call/trace_context.h"
#include "grpccommon/log/logger.h"

namespace google::protobuf {
class MessageLite;
}

namespace grpccommon {

class ClientInterceptor;
class ServerCall;

namespace internal {
class ClientCallDriver;

/// Only the library's own call path makes calls.
class ClientCallKey {
 private:
  friend class ClientCallDriver;
  ClientCallKey() = default;
};
}  // namespace internal

/// Metadata to be sent: lower-case keys, ASCII values unless the key ends in
/// "-bin".
using MetadataList = std::vector<std::pair<std::string, std::string>>;

/// One try of a call at one endpoint.
class GRPCCOMMON_EXPORT ClientAttempt {
 public:
  ClientAttempt() = default;
  ClientAttempt(const ClientAttempt&) = delete;
  ClientAttempt& operator=(const ClientAttempt&) = delete;

  /// From 1.
  int number() const { return number_; }
  /// Whether earlier attempts of the call are still under way.
  bool hedged() const { return hedged_; }
  /// The address that was picked; empty on a channel that balances by itself.
  std::string_view endpoint() const { return endpoint_; }
  Clock::TimePoint started_at() const { return started_at_; }
  Clock::WallTime started_wall() const { return started_wall_; }

  const TraceContext& trace() const { return trace_; }
  void set_trace(const TraceContext& trace) { trace_ = trace; }

  /// Sent with this attempt alone; for interceptors during OnAttemptStart.
  void AddMetadata(std::string_view key, std::string_view value) {
    metadata_.emplace_back(key, value);
  }

  CallValues& values() { return values_; }
  const CallValues& values() const { return values_; }

 private:
  friend class internal::ClientCallDriver;
  int number_ = 0;
  bool hedged_ = false;
  std::string_view endpoint_;
  Clock::TimePoint started_at_;
  Clock::WallTime started_wall_;
  TraceContext trace_;
  MetadataList metadata_;
  CallValues values_;
};

/// What is known of one outgoing call, all its attempts included. Interceptors
/// fill it in and read it.
///
/// Lives until the last finish hook has run. The setters are for interceptors
/// during OnStart; readers on any thread are safe after it.
class GRPCCOMMON_EXPORT ClientCall {
 public:
  explicit ClientCall(internal::ClientCallKey key);
  ~ClientCall();
  ClientCall(const ClientCall&) = delete;
  ClientCall& operator=(const ClientCall&) = delete;

  const Method& method() const { return *method_; }
  /// The name that the service was looked up by; the target of a channel.
  std::string_view target() const { return target_; }
  /// The call that this one is made for; may be null.
  const ServerCall* parent() const { return parent_; }
  /// Whether the caller's own credentials are to be passed on.
  bool forward_credentials() const { return forward_credentials_; }
  /// Whether the connection is encrypted, so that credentials may be sent.
  bool secure() const { return secure_; }

  /// The parent's, else a new UUIDv7.
  std::string_view request_id() const { return request_id_; }
  /// The span of the whole call; its attempts have spans below it.
  const TraceContext& trace() const { return trace_; }
  void set_trace(const TraceContext& trace) { trace_ = trace; }

  Clock::TimePoint started_at() const { return started_at_; }
  Clock::WallTime started_wall() const { return started_wall_; }
  /// When the call must have ended. None only on a channel whose user set none,
  /// and for a stream that was to be unbounded.
  std::optional<Clock::TimePoint> deadline() const { return deadline_; }
  /// Negative when it has passed, `Clock::Duration::max()` without a deadline.
  Clock::Duration remaining() const;
  const Clock& clock() const { return *clock_; }

  /// The request of a unary or server-streaming call; null for the others.
  const google::protobuf::MessageLite* request() const { return request_; }

  /// Sent with every attempt.
  void AddMetadata(std::string_view key, std::string_view value) {
    metadata_.emplace_back(key, value);
  }
  const MetadataList& metadata() const { return metadata_; }

  /// Answers a unary call with a copy of `response`, which is of its type: with
  /// OK from the OnStart that calls this, nothing is sent. False for streams
  /// and for a message of another type.
  bool Answer(const google::protobuf::MessageLite& response);
  bool answered() const { return answer_ != nullptr; }

  /// Which interceptor refused the call; null while none has.
  const ClientInterceptor* refused_by() const { return refused_by_; }

  /// Attempts begun so far.
  int attempts() const { return attempts_.load(std::memory_order_relaxed); }
  /// The address of the attempt that decided the call, from OnFinish on.
  std::string_view endpoint() const { return endpoint_; }

  /// A logger whose lines carry request, trace and span id.
  Logger log() const;

  CallValues& values() { return values_; }
  const CallValues& values() const { return values_; }

  std::uint64_t messages_sent() const {
    return messages_sent_.load(std::memory_order_relaxed);
  }
  std::uint64_t messages_received() const {
    return messages_received_.load(std::memory_order_relaxed);
  }

 private:
  friend class internal::ClientCallDriver;
  const Method* method_ = nullptr;
  std::string_view target_;
  const ServerCall* parent_ = nullptr;
  bool forward_credentials_ = false;
  bool secure_ = false;
  std::string_view request_id_;
  char request_id_buffer_[36];
  TraceContext trace_;
  Clock::TimePoint started_at_;
  Clock::WallTime started_wall_;
  std::optional<Clock::TimePoint> deadline_;
  const Clock* clock_ = nullptr;
  const Logger* logger_ = nullptr;
  const google::protobuf::MessageLite* request_ = nullptr;
  std::unique_ptr<google::protobuf::MessageLite> answer_;
  const ClientInterceptor* refused_by_ = nullptr;
  MetadataList metadata_;
  CallValues values_;
  std::string endpoint_;
  std::atomic<int> attempts_{0};
  std::atomic<std::uint64_t> messages_sent_{0};
  std::atomic<std::uint64_t> messages_received_{0};
};

}  // namespace grpccommon
