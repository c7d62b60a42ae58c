// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "client/call_run.h"
#include "client/in_flight.h"
#include "client/replay_buffer.h"
#include "client/stream_inputs.h"
#include "grpccommon/base/baton.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/call/cancellation.h"
#include "grpccommon/client/client_core.h"
#include "grpcpp/support/client_callback.h"

namespace grpccommon::internal {

/// A stream of a caller with a reactor. All kinds are driven as bidirectional
/// ones: a server stream sends its request at once, a client stream reads its
/// response all the time.
///
/// What the caller starts waits here while no attempt can take it, and what
/// fails before the first message stays until another attempt has done it, or
/// there will be none. Keeps itself alive until OnDone.
class AsyncStreamCall : public AsyncStream,
                        public std::enable_shared_from_this<AsyncStreamCall>,
                        private KeptInputs,
                        private InFlight::Entry {
 public:
  /// Does nothing before StartCall.
  static AsyncStream* Open(StreamInputs inputs, const ClientMethod& method,
                           std::unique_ptr<StreamReactions> reactions);
  ~AsyncStreamCall() override;

  void StartCall() override;
  void Read(google::protobuf::MessageLite* message) override;
  void Write(const google::protobuf::MessageLite* message,
             grpc::WriteOptions options) override;
  void WritesDone() override;
  void AddHold(int holds) override;
  void RemoveHold() override;

 private:
  class Attempt;

  AsyncStreamCall(StreamInputs inputs, const ClientMethod& method,
                  std::unique_ptr<StreamReactions> reactions);

  void OnPlace(absl::StatusOr<Bulkhead::Permit> permit);
  void Act(const PlanStep& step, const grpc::Status& status,
           const std::shared_ptr<Attempt>& last);
  void OnTimer(const grpc::Status& status,
               const std::shared_ptr<Attempt>& last);
  // Picks that find nothing and waits that end at once do not grow the stack.
  void RequestSend();
  void SendOne();
  void Send(const std::shared_ptr<Attempt>& attempt);

  // Operations are handed to gRPC under the lock, as gRPC does it itself: it
  // never calls back from within.
  void ForwardRead() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StartRead(Attempt& attempt) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ForwardWrites() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ReleaseIfQuiet() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Quiet() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void OnMetadata(bool ok);
  void OnRead(Attempt& attempt, bool ok);
  void OnWrite(Attempt& attempt, bool ok);
  void OnWritesDone(Attempt& attempt, bool ok);
  void OnAttemptDone(const std::shared_ptr<Attempt>& attempt,
                     const grpc::Status& told);
  void OnReceived(Attempt& attempt);
  void AfterReaction();

  void Cancel();
  void CancelForShutdown() override;
  // The call ends so. `Drain` tells the caller.
  bool Decide(grpc::Status status, std::shared_ptr<Attempt> last);
  void DecideLater(grpc::Status status, std::shared_ptr<Attempt> last);
  void DrainLater();
  // Ends what the caller has started, and at last the call.
  void Drain();
  void Complete();

  CallRun run_;
  std::unique_ptr<StreamReactions> reactions_;
  std::optional<CancellationCallback> cancellation_;
  // From the start of a read to its reaction.
  Baton reading_;

  // Guards the run's plan between two attempts, too.
  Mutex mutex_;
  std::shared_ptr<AsyncStreamCall> self_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<Attempt> attempt_ ABSL_GUARDED_BY(mutex_);
  bool started_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool sending_ ABSL_GUARDED_BY(mutex_) = false;
  bool send_wanted_ ABSL_GUARDED_BY(mutex_) = false;

  // What the caller has started and was not told the end of.
  int holds_ ABSL_GUARDED_BY(mutex_) = 0;
  google::protobuf::MessageLite* read_ ABSL_GUARDED_BY(mutex_) = nullptr;
  const google::protobuf::MessageLite* write_ ABSL_GUARDED_BY(mutex_) = nullptr;
  grpc::WriteOptions write_options_ ABSL_GUARDED_BY(mutex_);
  bool write_sent_ ABSL_GUARDED_BY(mutex_) = false;  // perhaps in vain
  bool write_kept_ ABSL_GUARDED_BY(mutex_) = false;
  bool writes_done_ ABSL_GUARDED_BY(mutex_) = false;
  bool writes_done_untold_ ABSL_GUARDED_BY(mutex_) = false;
  bool metadata_told_ ABSL_GUARDED_BY(mutex_) = false;
  ReplayBuffer sent_ ABSL_GUARDED_BY(mutex_);

  std::optional<grpc::Status> status_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<Attempt> last_ ABSL_GUARDED_BY(mutex_);
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace grpccommon::internal
