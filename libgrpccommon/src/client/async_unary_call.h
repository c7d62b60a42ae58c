// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
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
  ~AsyncUnaryCall() override;

 private:
  struct Attempt {
    RunningAttempt running;
    // Where several may be under way; else the caller's own.
    std::unique_ptr<google::protobuf::MessageLite> response;
    bool superseded = false;
  };

  AsyncUnaryCall(std::shared_ptr<ServiceClient> client,
                 const ClientMethod& method, CallOptions options,
                 std::unique_ptr<AsyncMessages> messages);

  void Begin();
  void OnPlace(absl::StatusOr<Bulkhead::Permit> permit);
  void Act(const PlanStep& step);
  void SetTimer(Clock::TimePoint time);
  void OnTimer(std::uint64_t number);
  // Sends of one call never overlap, whoever asks for them.
  void RequestSend();
  void SendOne();
  void Send(std::shared_ptr<Attempt> attempt);
  void OnLocalFailure(const absl::Status& status);
  void OnAttemptDone(const std::shared_ptr<Attempt>& attempt,
                     grpc::Status status);
  void Cancel();
  void CancelForShutdown() override;
  void Complete(grpc::Status status, std::shared_ptr<Attempt> attempt);

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
  std::vector<std::shared_ptr<Attempt>> attempts_ ABSL_GUARDED_BY(mutex_);
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
