// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "grpccommon/base/baton.h"
#include "grpccommon/base/export.h"
#include "grpccommon/base/mutex.h"
#include "grpcpp/support/status.h"

namespace grpc {
class ServerContextBase;
}
struct grpc_call;

namespace grpccommon::internal {

/// The status for the client of a callback that threw, whose text goes to the
/// call's log only. To be called in a catch clause, before the call is done.
GRPCCOMMON_EXPORT absl::Status ThrownStatus(
    const grpc::ServerContextBase& context, std::string_view where);

/// What the threads of one stream agree on: who may still call gRPC, and how
/// the call ends. StreamWriter, StreamReader and StreamBidi stand on it.
///
/// gRPC frees its side of a call once the status was handed over and nothing is
/// outstanding, so a thread that is just about to start a read or a write must
/// hold the status back: it is inside between `++inside_` and `Leave`, and the
/// last one out sends a status that came meanwhile.
class GRPCCOMMON_EXPORT StreamCore {
 public:
  StreamCore(const StreamCore&) = delete;
  StreamCore& operator=(const StreamCore&) = delete;

 protected:
  enum class End {
    /// Reads and writes may start.
    kOpen,
    /// The status is known and waits for the threads that are inside.
    kPending,
    /// The status is on its way, or was.
    kSent,
  };

  /// `context` is borrowed until the call is done.
  explicit StreamCore(const grpc::ServerContextBase& context)
      : context_(context) {}
  virtual ~StreamCore() = default;

  /// Hands the status to gRPC; called once, without the lock.
  virtual void SendStatus(grpc::Status status) = 0;

  /// Ends the call. True: the caller must call `SendEnd` after unlocking.
  bool CloseLocked(absl::Status status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SendEnd();
  /// Ends the call unless it has ended.
  void Close(absl::Status status);
  /// Undoes one `++inside_`.
  void Leave();

  /// See below.
  absl::Status ThrownStatus(std::string_view where) const;

  /// Runs the application's code; what it throws ends the call.
  void RunFenced(std::string_view where, const std::function<void()>& code);

  /// Whether a read failed for another reason than the client's being done with
  /// writing: it has gone, or an interceptor refused its message.
  bool Lost() const;

  /// Ends the call with code and text of `status` at once, past all that waits
  /// for the client to read, unless gRPC is done with it. Without the lock.
  void CancelCall(const absl::Status& status);

  /// Calls `callback` when gRPC is done with the call; at once if it is.
  void AddDoneCallback(std::function<void()> callback);
  /// To be called from OnDone.
  void RunDoneCallbacks();

  /// Between what is done to this object before the status is handed to gRPC,
  /// `Pass`, and OnDone, `Take`.
  Baton end_baton_;

  /// What a write gets that came too late.
  static absl::Status ClosedStatus(absl::StatusCode reason);

  mutable Mutex mutex_;
  int inside_ ABSL_GUARDED_BY(mutex_) = 0;
  End end_ ABSL_GUARDED_BY(mutex_) = End::kOpen;
  /// Why the stream takes no more messages; OK while it does.
  absl::StatusCode closed_ ABSL_GUARDED_BY(mutex_) = absl::StatusCode::kOk;

 private:
  grpc_call* CoreCall() const;

  const grpc::ServerContextBase& context_;
  absl::Status end_status_ ABSL_GUARDED_BY(mutex_);
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::function<void()>> done_callbacks_ ABSL_GUARDED_BY(mutex_);
};

/// When a stream may read its next message: not while it reads or handles one,
/// nor while somebody holds it up.
struct ReadState {
  bool reading = false;
  bool handling = false;
  bool paused = false;
  /// `Resume` came before the handler had returned kPause.
  bool resumed = false;
  /// The results of earlier messages wait for the client.
  bool full = false;
  bool ended = false;

  bool MayRead() const {
    return !reading && !handling && !paused && !full && !ended;
  }
};

/// The status that ends the stream of a client that reads too slowly.
GRPCCOMMON_EXPORT absl::Status SlowReaderStatus(
    std::uint64_t waiting, std::chrono::nanoseconds retry_delay,
    std::string_view resume_token);

}  // namespace grpccommon::internal
