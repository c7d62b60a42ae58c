// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "client/blocking_call.h"
#include "client/replay_buffer.h"
#include "client/stream_inputs.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/client/client_core.h"
#include "grpcpp/support/sync_stream.h"

namespace grpccommon::internal {

/// A stream of a caller that blocks. All kinds are driven as bidirectional
/// ones: a server stream sends its request at once, a client stream reads its
/// response in `Finish`.
///
/// One thread may write while another reads. Only the reading one, which is the
/// only one of a client stream, ends attempts and begins new ones; meanwhile
/// what is written is kept.
class BlockingStreamCall : public BlockingStream,
                           private KeptInputs,
                           private BlockingCall {
 public:
  /// Waits for an endpoint, and sends what there is to be sent.
  BlockingStreamCall(StreamInputs inputs, const ClientMethod& method);
  /// Cancels the call unless it has been finished.
  ~BlockingStreamCall() override;

  void WaitForInitialMetadata() override;
  bool NextMessageSize(std::uint32_t* size) override;
  bool Read(google::protobuf::MessageLite& message) override;
  bool Write(const google::protobuf::MessageLite& message,
             grpc::WriteOptions options) override;
  bool WritesDone() override;
  grpc::Status Finish() override;

 private:
  using Stream = grpc::ClientReaderWriter<google::protobuf::MessageLite,
                                          google::protobuf::MessageLite>;
  struct Attempt {
    RunningAttempt running;
    std::unique_ptr<Stream> stream;
    bool has_metadata = false;
  };

  absl::Status Open();
  // True once an attempt runs; false when there will be none, and the status
  // is known: `status` of `last` if the plan says so.
  bool Proceed(PlanStep step, const grpc::Status& status,
               const std::shared_ptr<Attempt>& last);
  void Send(const std::shared_ptr<Attempt>& attempt);
  bool ReadNext(Attempt& attempt, google::protobuf::MessageLite& message);
  void OnReceived(Attempt& attempt);
  void OnWritesDone(Attempt& attempt);
  // An attempt that is over, or whose end the caller waits for. True if another
  // one has taken its place.
  bool Settle(const std::shared_ptr<Attempt>& attempt);
  void Decide(grpc::Status status, std::shared_ptr<Attempt> attempt);
  std::shared_ptr<Attempt> Current();

  Mutex mutex_;
  CondVar settled_;
  // Null while none runs: between two, and once the status is known.
  std::shared_ptr<Attempt> current_ ABSL_GUARDED_BY(mutex_);
  std::optional<grpc::Status> status_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<Attempt> last_ ABSL_GUARDED_BY(mutex_);
  bool writes_done_ ABSL_GUARDED_BY(mutex_) = false;
  ReplayBuffer sent_ ABSL_GUARDED_BY(mutex_);
  bool finished_ = false;
};

}  // namespace grpccommon::internal
