// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "call/read_mark.h"
#include "client/client_method.h"
#include "client/endpoint_set.h"
#include "grpccommon/breaker/bulkhead.h"
#include "grpccommon/breaker/circuit_breaker.h"
#include "grpccommon/call/client_call.h"
#include "grpccommon/client/call_options.h"
#include "grpccommon/retry/attempt_plan.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/status.h"

namespace grpccommon::internal {

class ServiceClient;

/// How a call ends that its caller, its parent or a shutdown calls off.
inline grpc::Status Cancelled() {
  return {grpc::StatusCode::CANCELLED, "the call was cancelled"};
}

/// One attempt on its way.
struct RunningAttempt {
  ClientAttempt info;
  EndpointSet::Pick pick;
  CircuitBreaker::Permit permit;
  CircuitBreaker::Permit endpoint_permit;
  /// Where there is no parent, in place; else made by gRPC.
  std::optional<grpc::ClientContext> own_context;
  std::unique_ptr<grpc::ClientContext> child_context;
  std::size_t started_hooks = 0;
  /// When it got its endpoint, and when it ended.
  Clock::TimePoint picked_at;
  Clock::TimePoint ended_at;
  /// From when on the server has made the caller wait.
  Clock::TimePoint waiting_since;
  /// Whether a stream has had its first message.
  bool delivered = false;
  bool ended = false;

  /// Around each read of a stream. One that fails over bytes that are no
  /// message, which gRPC passes for the end, cancels the attempt. True: read
  /// on, for gRPC gives no status while messages are left unread, and what
  /// comes is to be dropped.
  void BeforeRead(google::protobuf::MessageLite& message);
  bool AfterRead(bool ok);
  /// `status`, of the attempt's end, unless a read failed so.
  grpc::Status Judged(grpc::Status status) const;

  grpc::ClientContext& context() {
    return child_context != nullptr ? *child_context : *own_context;
  }

 private:
  ReadMark read_mark_;
  bool unreadable_ = false;
};

/// What blocking, callback and streaming calls have in common: how a call
/// begins, how its attempts begin and end, and how it ends. Sends and waits for
/// nothing itself.
///
///   Begin → (StartAttempt → gRPC → EndAttempt)… → Finish
///
/// A stream's attempt that delivers has an OnFirstMessage before its end.
///
/// For one thread at a time, but EndAttempt and StartAttempt of different
/// attempts: they meet only in `plan`, which the caller guards.
class CallRun {
 public:
  /// `request` is null for client streams. All arguments outlive this.
  CallRun(ServiceClient& client, const ClientMethod& method,
          const CallOptions& options,
          const google::protobuf::MessageLite* request);
  ~CallRun();
  CallRun(const CallRun&) = delete;
  CallRun& operator=(const CallRun&) = delete;

  /// Works out the deadline and asks the interceptors. Not OK: refused. With OK
  /// and `answer`, answered.
  absl::Status Begin();
  const google::protobuf::MessageLite* answer() const;

  /// Takes a connected endpoint that no earlier attempt had, if there is one.
  /// False if there is none at all: wait for one. The error ends the call.
  absl::StatusOr<bool> TryPick(RunningAttempt& attempt);

  /// Asks breaker and interceptors, and makes the context. The error ends the
  /// call; the attempt was not begun then.
  absl::Status StartAttempt(RunningAttempt& attempt, bool hedged);

  /// The server of a stream does its work: endpoint and breakers know enough.
  void OnFirstMessage(RunningAttempt& attempt);

  /// Messages of a stream, counted once, however often they were sent.
  void OnMessageSent();
  void OnMessageReceived();

  /// Tells everyone who shares in it how the attempt went. `superseded`: we
  /// cancelled it, for another one had decided the call.
  AttemptEnd EndAttempt(RunningAttempt& attempt, const grpc::Status& status,
                        bool superseded = false);

  /// Runs the finish hooks and fills in the caller's CallInfo; `last` is the
  /// attempt that decided, null if none was made. Once, also for a call that
  /// Begin refused.
  grpc::Status Finish(grpc::Status status, RunningAttempt* last);

  ClientCall& call() { return call_; }
  /// From Begin on.
  AttemptPlan& plan() { return *plan_; }
  const ClientMethod& method() const { return method_; }
  const CallOptions& options() const { return options_; }
  ServiceClient& client() { return client_; }
  /// The end of time for a stream that is not bounded.
  Clock::TimePoint deadline() const {
    return call_.deadline().value_or(Clock::TimePoint::max());
  }
  /// A parent that was cancelled takes its calls with it.
  bool parent_cancelled() const;

  Bulkhead::Permit bulkhead_permit;

 private:
  absl::Status SetDeadline();
  void MakeContext(RunningAttempt& attempt);

  ServiceClient& client_;
  const ClientMethod& method_;
  const CallOptions& options_;
  ClientCall call_;
  // Made with the deadline.
  std::optional<AttemptPlan> plan_;
  std::size_t started_hooks_ = 0;
  // Endpoints that this call has tried, or found closed by their breaker.
  std::vector<std::shared_ptr<ClientEndpoint>> tried_;
};

}  // namespace grpccommon::internal
