// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "grpc/support/alloc.h"
#include "grpc/support/string_util.h"
#include "grpccommon/base/export.h"
#include "grpccommon/call/server_call.h"
#include "grpcpp/server_context.h"

namespace grpccommon::internal {

/// The hands on a ServerCall: the server's call path drives real ones, testing
/// drives fakes. Exported for those, which link the one library from outside.
class GRPCCOMMON_EXPORT ServerCallDriver {
 public:
  static ServerCallKey Key() { return ServerCallKey(); }

  /// Lets `ServerCall::Of(context)` find `call`, until Unbind. `owner` is what
  /// the call is part of.
  static void Bind(ServerCall& call, grpc::ServerContextBase& context,
                   void* owner);
  static void Unbind(ServerCall& call);
  static void* owner(const ServerCall& call) { return call.owner_; }

  /// Fills in what every call has. All arguments outlive the call.
  static void Start(ServerCall& call, const Method& method,
                    std::string_view path,
                    const google::protobuf::Message* request,
                    const Clock& clock, const Logger& logger);

  static void set_request(ServerCall& call,
                          const google::protobuf::Message* request) {
    call.request_ = request;
  }
  static void set_peer(ServerCall& call, const std::string& peer) {
    gpr_free(call.peer_.exchange(gpr_strdup(peer.c_str())));
  }
  static void set_deadline(ServerCall& call, Clock::TimePoint deadline) {
    call.deadline_ = deadline;
  }
  static void set_admission_time(ServerCall& call, Clock::Duration time) {
    call.admission_time_ = time;
  }
  /// What the hooks that run at the call's end take for its end.
  static void set_ended_at(ServerCall& call, Clock::TimePoint time) {
    call.ended_at_.store(time, std::memory_order_relaxed);
  }
  static void set_refused_by(ServerCall& call,
                             const ServerInterceptor* interceptor) {
    call.refused_by_.store(interceptor, std::memory_order_release);
  }
  static void set_refusal(ServerCall& call, const Refusal& refusal,
                          Clock::Duration delay) {
    call.refusal_ = &refusal;
    call.retry_delay_ = delay;
  }
  /// What the client gets if an interceptor refuses the call with `status`.
  static grpc::Status StatusOfRefusal(const ServerCall& call,
                                      const absl::Status& status);
  static void set_exception(ServerCall& call, std::string_view text) {
    call.exception_ = text;
  }
  static void set_cancelled(ServerCall& call) {
    call.cancelled_.store(true, std::memory_order_release);
  }
  static void set_read_failed(ServerCall& call) {
    call.read_failed_.store(true, std::memory_order_release);
  }
  static void CountReceived(ServerCall& call, std::uint64_t bytes) {
    call.messages_received_.fetch_add(1, std::memory_order_relaxed);
    call.bytes_received_.fetch_add(bytes, std::memory_order_relaxed);
  }
  static void CountSent(ServerCall& call, std::uint64_t bytes) {
    call.messages_sent_.fetch_add(1, std::memory_order_relaxed);
    call.bytes_sent_.fetch_add(bytes, std::memory_order_relaxed);
  }
};

}  // namespace grpccommon::internal
