// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "client/call_run.h"
#include "client/in_flight.h"
#include "google/protobuf/message_lite.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/call/cancellation.h"

namespace grpccommon::internal {

/// What calls have in common that their own threads drive: attempts are gRPC's
/// blocking ones, so no other thread takes part in them.
class BlockingCall : protected InFlight::Entry {
 protected:
  /// All arguments outlive this.
  BlockingCall(ServiceClient& client, const ClientMethod& method,
               const CallOptions& options,
               const google::protobuf::MessageLite* request);
  ~BlockingCall() override;

  /// To be called once the run has begun: obeys the caller's cancellation, and
  /// waits for a place.
  absl::Status Enter();
  /// No cancellation comes from here on.
  void StopListening() { cancellation_.reset(); }

  /// Waits for an endpoint. `attempt` is new.
  absl::Status PickAndStart(RunningAttempt& attempt);
  /// False if the call was cancelled meanwhile.
  bool SleepUntil(Clock::TimePoint time);
  /// Lets a cancellation find the attempt; false if one has come already. Null
  /// before the context goes.
  bool Watch(grpc::ClientContext* context);
  void Cancel();

  ServiceClient& client_;
  CallRun run_;

 private:
  absl::Status WaitForEndpoint();
  void CancelForShutdown() override { Cancel(); }

  Mutex mutex_;
  CondVar wake_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::optional<CancellationCallback> cancellation_;
};

}  // namespace grpccommon::internal
