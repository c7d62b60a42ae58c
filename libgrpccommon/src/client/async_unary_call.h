// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "client/call_run.h"
#include "client/in_flight.h"
#include "google/protobuf/message_lite.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/call/cancellation.h"
#include "grpccommon/client/client_core.h"

namespace grpccommon::internal {

/// A call that gRPC's callbacks and timers drive; also of a caller that blocks,
/// where attempts run side by side. Keeps itself alive until its last attempt,
/// superseded ones included, has ended.
class AsyncUnaryCall : public std::enable_shared_from_this<AsyncUnaryCall>,
                       private InFlight::Entry {
 public:
  /// `method` belongs to `client`.
  static void Start(std::shared_ptr<ServiceClient> client,
                    const ClientMethod& method, CallOptions options,
                    std::unique_ptr<AsyncMessages> messages);

 private:
  struct Private {};

 public:
  /// For Start only.
  AsyncUnaryCall(Private, std::shared_ptr<ServiceClient> client,
                 const ClientMethod& method, CallOptions options,
                 std::unique_ptr<AsyncMessages> messages);
  ~AsyncUnaryCall() override;

 private:
  struct Attempt {
    RunningAttempt running;
    // Where several may be under way; else the caller's own.
    std::unique_ptr<google::protobuf::MessageLite> response;
    bool superseded = false;
    // While gRPC has it: then its callback is one pointer, which gRPC copies
    // several times and std::function keeps in place.
    std::shared_ptr<AsyncUnaryCall> call;
    std::shared_ptr<Attempt> self;
  };
  // One, but for hedging.
  using Attempts = absl::InlinedVector<std::shared_ptr<Attempt>, 1>;
  // What is still to be undone of a call that has its result.
  struct Leftovers {
    Attempts attempts;
    Scheduler::TaskId timer = 0;
  };

  void Begin();
  void OnPlace(absl::StatusOr<Bulkhead::Permit> permit, Clock::TimePoint now);
  void Act(const PlanStep& step);
  void SetTimer(Clock::TimePoint time);
  void OnTimer(std::uint64_t number);
  // Sends of one call never overlap, whoever asks for them.
  void RequestSend();
  bool TakeSend(bool& hedged) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SendOne(bool hedged);
  void Send(std::shared_ptr<Attempt> attempt, bool hedged);
  void OnLocalFailure(const absl::Status& status);
  void OnAttemptDone(const std::shared_ptr<Attempt>& attempt,
                     const grpc::Status& status);
  void Cancel();
  void CancelForShutdown() override;
  // Nothing if somebody else has completed the call.
  void Complete(grpc::Status status, const std::shared_ptr<Attempt>& attempt);
  // Whoever takes them hands them to Conclude.
  Leftovers TakeLeftovers() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Conclude(const Leftovers& leftovers, grpc::Status status,
                const std::shared_ptr<Attempt>& attempt);

  const std::shared_ptr<ServiceClient> client_;
  const CallOptions options_;
  const std::unique_ptr<AsyncMessages> messages_;
  CallRun run_;
  std::optional<CancellationCallback> cancellation_;

  // Guards the run's plan, too.
  Mutex mutex_;
  bool completed_ ABSL_GUARDED_BY(mutex_) = false;
  bool sending_ ABSL_GUARDED_BY(mutex_) = false;
  int sends_wanted_ ABSL_GUARDED_BY(mutex_) = 0;
  Attempts attempts_ ABSL_GUARDED_BY(mutex_);
  // The latest that ended.
  std::shared_ptr<Attempt> last_ ABSL_GUARDED_BY(mutex_);
  grpc::Status last_status_ ABSL_GUARDED_BY(mutex_);
  std::uint64_t timer_number_ ABSL_GUARDED_BY(mutex_) = 0;
  Scheduler::TaskId timer_ ABSL_GUARDED_BY(mutex_) = 0;
};

/// Runs such a call and waits for its end.
absl::Status CallAndWait(ServiceClient& client, const ClientMethod& method,
                         const CallOptions& options,
                         const google::protobuf::MessageLite& request,
                         google::protobuf::MessageLite& response,
                         MoveMessage move);

}  // namespace grpccommon::internal
