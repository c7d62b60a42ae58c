// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "client/call_run.h"
#include "client/in_flight.h"
#include "google/protobuf/message_lite.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/call/cancellation.h"

namespace grpccommon::internal {

/// A call that its own thread drives: attempts are gRPC's blocking ones, so no
/// other thread takes part in it.
class BlockingUnaryCall : private InFlight::Entry {
 public:
  /// All arguments outlive this.
  BlockingUnaryCall(ServiceClient& client, const ClientMethod& method,
                    const CallOptions& options,
                    const google::protobuf::MessageLite& request);
  ~BlockingUnaryCall() override;

  /// Once. `response` is filled in with OK only.
  grpc::Status Run(google::protobuf::MessageLite& response);

 private:
  grpc::Status RunAttempts(google::protobuf::MessageLite& response);
  absl::Status TakePlace();
  absl::Status PickAndStart();
  absl::Status WaitForEndpoint();
  // False if the call was cancelled meanwhile.
  bool SleepUntil(Clock::TimePoint time);
  bool Watch(grpc::ClientContext* context);
  void Cancel();
  void CancelForShutdown() override { Cancel(); }

  ServiceClient& client_;
  const google::protobuf::MessageLite& request_;
  CallRun run_;
  // The latest, which the next one replaces.
  std::optional<RunningAttempt> attempt_;

  Mutex mutex_;
  CondVar wake_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::optional<CancellationCallback> cancellation_;
};

}  // namespace grpccommon::internal
