// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpccommon/call/call_values.h"
#include "grpccommon/call/method.h"
#include "grpccommon/call/principal.h"
#include "grpccommon/call/server_interceptor.h"
#include "grpccommon/call/trace_context.h"
#include "grpccommon/log/logger.h"

namespace google::protobuf {
class Message;
}
namespace grpc {
class AuthContext;
class ServerContextBase;
}  // namespace grpc

namespace grpccommon {

class Refusal;

namespace internal {
class ServerCallDriver;

/// Only the library's own call path makes calls.
class ServerCallKey {
 private:
  friend class ServerCallDriver;
  ServerCallKey() = default;
};
}  // namespace internal

/// What is known of one running call. Interceptors fill it in and read it,
/// handlers get it by `ServerCall::Of(*context)`, outgoing calls take it as
/// their parent.
///
/// Lives until gRPC destroys the call's context, so a reactor may use it until
/// its OnDone. Readers on any thread are safe once the handler runs; the
/// setters are for interceptors during OnStart.
class GRPCCOMMON_EXPORT ServerCall {
 public:
  /// The call that `context` belongs to; null if its server is not ours or the
  /// service was registered unguarded. No lock, no lookup.
  static ServerCall* Of(const grpc::ServerContextBase& context);

  explicit ServerCall(internal::ServerCallKey) {}
  ~ServerCall();
  ServerCall(const ServerCall&) = delete;
  ServerCall& operator=(const ServerCall&) = delete;

  const Method& method() const { return *method_; }
  /// "/pkg.Service/Method" as the client sent it; differs from the method's
  /// only for generic services.
  std::string_view path() const { return path_; }

  /// From `x-request-id` if that is 1 to 128 letters, digits and `-_.:/+=@`,
  /// else a new UUIDv7.
  std::string_view request_id() const { return request_id_; }

  /// gRPC's form: "ipv4:127.0.0.1:4711", "ipv6:[::1]:4711", "unix:…".
  std::string_view peer() const;
  /// The peer without its port: "127.0.0.1", "::1"; the socket's name.
  std::string_view peer_address() const;

  /// First value of a metadata key that the client sent, without copying;
  /// empty if absent. Valid as long as the call.
  std::string_view metadata(std::string_view key) const;
  /// Calls `visit(key, value)` for each entry.
  template <typename Visit>
  void ForEachMetadata(Visit visit) const;

  /// The request of a unary or server-streaming call while it is admitted; null
  /// for client streams, and for raw and generic methods.
  const google::protobuf::Message* request() const { return request_; }

  const Principal& principal() const { return *principal_; }
  std::shared_ptr<const Principal> shared_principal() const {
    return principal_;  // Nobody's owns nothing: take no weak_ptr of it.
  }
  void set_principal(std::shared_ptr<const Principal> principal);

  const TraceContext& trace() const { return trace_; }
  void set_trace(TraceContext trace) { trace_ = std::move(trace); }

  /// When gRPC handed the call to us.
  Clock::TimePoint started_at() const { return started_at_; }
  Clock::WallTime started_wall() const { return started_wall_; }
  /// How long the call took once it has ended, has taken so far before.
  Clock::Duration duration() const;
  /// When the call must have ended: the client's deadline or the contract's
  /// timeout, whichever comes first. None: unbounded.
  std::optional<Clock::TimePoint> deadline() const { return deadline_; }
  /// Until the deadline; negative when it has passed, and
  /// `Clock::Duration::max()` without one.
  Clock::Duration remaining() const;
  const Clock& clock() const { return *clock_; }

  /// True once the client has gone or the deadline has passed. Not if refused.
  bool cancelled() const;

  /// True once a read of the client's stream has failed otherwise than by its
  /// end: the client has gone, an interceptor refused a message, or it was too
  /// large or did not parse. gRPC's `Read` returns false and `OnReadDone` gets
  /// it all the same, so a handler asks here whether it has got everything. An
  /// OK that it returns after it does not reach the client.
  bool read_failed() const {
    return read_failed_.load(std::memory_order_acquire);
  }

  /// Sends metadata with the status. For interceptors and unary handlers. Keys
  /// are lower-case letters, digits and -_., values printable ASCII unless the
  /// key ends in "-bin"; others, over which gRPC ends the process, are left out
  /// and the key is logged as an error.
  void AddTrailingMetadata(std::string_view key, std::string_view value);
  /// Sends metadata before the first message, to the same rules.
  void AddInitialMetadata(std::string_view key, std::string_view value);

  /// A logger whose lines carry request, trace and span id.
  Logger log() const;

  /// gRPC's side of the call, for outgoing calls that share its fate.
  const grpc::ServerContextBase& context() const { return *context_; }

  /// What TLS proved of the client.
  std::shared_ptr<const grpc::AuthContext> auth_context() const;

  /// Values of any type, for interceptors to hand to each other and to the
  /// handler.
  CallValues& values() { return values_; }
  const CallValues& values() const { return values_; }

  std::uint64_t messages_received() const {
    return messages_received_.load(std::memory_order_relaxed);
  }
  std::uint64_t messages_sent() const {
    return messages_sent_.load(std::memory_order_relaxed);
  }
  /// Serialised, before compression.
  std::uint64_t bytes_received() const {
    return bytes_received_.load(std::memory_order_relaxed);
  }
  std::uint64_t bytes_sent() const {
    return bytes_sent_.load(std::memory_order_relaxed);
  }

  /// Which interceptor refused the call; null while none has.
  const ServerInterceptor* refused_by() const {
    return refused_by_.load(std::memory_order_acquire);
  }
  /// How long the chain took before the handler could start.
  Clock::Duration admission_time() const { return admission_time_; }
  /// What the handler threw; empty if it did not. Never sent to the client.
  std::string_view exception() const { return exception_; }

 private:
  friend class internal::ServerCallDriver;
  void VisitMetadata(const std::function<void(std::string_view,
                                              std::string_view)>& visit) const;

  // Tells a pointer to us from another library's in the same place of gRPC's
  // call; must come first.
  const void* tag_ = nullptr;
  void* owner_ = nullptr;

  const Method* method_ = nullptr;
  grpc::ServerContextBase* context_ = nullptr;
  std::string_view path_;
  std::string_view request_id_;
  char request_id_buffer_[36];
  const google::protobuf::Message* request_ = nullptr;
  std::shared_ptr<const Principal> principal_;
  TraceContext trace_;
  const Clock* clock_ = nullptr;
  const Logger* logger_ = nullptr;
  Clock::TimePoint started_at_;
  Clock::WallTime started_wall_;
  // The epoch until it has ended.
  std::atomic<Clock::TimePoint> ended_at_{Clock::TimePoint()};
  std::optional<Clock::TimePoint> deadline_;
  Clock::Duration admission_time_{0};
  CallValues values_;
  // From gRPC's allocator, as gRPC hands it over.
  mutable std::atomic<char*> peer_{nullptr};
  std::string exception_;
  // What RefuseFor was given.
  const Refusal* refusal_ = nullptr;
  Clock::Duration retry_delay_{0};
  std::atomic<std::uint64_t> messages_received_{0};
  std::atomic<std::uint64_t> messages_sent_{0};
  std::atomic<std::uint64_t> bytes_received_{0};
  std::atomic<std::uint64_t> bytes_sent_{0};
  std::atomic<const ServerInterceptor*> refused_by_{nullptr};
  std::atomic<bool> cancelled_{false};
  std::atomic<bool> read_failed_{false};
};

template <typename Visit>
void ServerCall::ForEachMetadata(Visit visit) const {
  VisitMetadata([&visit](std::string_view key, std::string_view value) {
    visit(key, value);
  });
}

}  // namespace grpccommon
