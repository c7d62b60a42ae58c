// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "call/client_call_driver.h"
#include "client/client_chain.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/call/client_call.h"
#include "grpccommon/call/method.h"
#include "grpccommon/log/logger.h"
#include "grpcpp/support/client_interceptor.h"

/// What runs a channel's ClientInterceptors on the calls of stock stubs, as a
/// gRPC interceptor: one object for each call, with its ClientCall inside.
namespace grpccommon::internal {

/// A method that was called on a channel.
struct ChannelMethod {
  Method method;
  std::unique_ptr<const MethodChain> chain;
  /// Why its calls fail: an interceptor cannot serve it, or its contract is out
  /// of range.
  absl::Status status;
  /// Its messages are protobuf's, unless a generic stub makes the call.
  bool typed = false;
};

/// The methods of a channel, each made at its first call. Thread-safe; a method
/// that was called lately is found without a lock.
class ChannelMethods {
 public:
  void Use(std::shared_ptr<ClientInterceptor> interceptor) {
    chain_.Add(std::move(interceptor));
  }

  /// `path` may be gone afterwards. Lives as long as this.
  const ChannelMethod& Find(const char* path, CallKind kind);

 private:
  using Key = std::pair<std::string, CallKind>;

  const ChannelMethod& Add(const char* path, CallKind kind);

  ClientChain chain_;
  // By the address of the path, which generated stubs never change.
  std::array<std::atomic<const ChannelMethod*>, 256> recent_{};
  Mutex mutex_;
  std::map<Key, std::unique_ptr<const ChannelMethod>> methods_
      ABSL_GUARDED_BY(mutex_);
};

/// What all calls on a channel share.
struct ChannelEnvironment {
  ChannelEnvironment(std::string t, bool s, const Logger& l, const Clock& c)
      : target(std::move(t)), secure(s), logger(l), clock(c) {}

  const std::string target;
  const bool secure;
  const Logger logger;
  const Clock& clock;
  ChannelMethods methods;
};

class ChannelCall : public grpc::experimental::Interceptor {
 public:
  /// Both are borrowed and outlive this.
  ChannelCall(grpc::experimental::ClientRpcInfo& info,
              ChannelEnvironment& environment);
  /// A call that was begun and not ended is cancelled.
  ~ChannelCall() override;

  void Intercept(grpc::experimental::InterceptorBatchMethods* batch) override;

 private:
  using Batch = grpc::experimental::InterceptorBatchMethods;

  // False: the call is over, with `local_status_`, and nothing is to be sent.
  bool Begin(Batch& batch);
  absl::Status Admit(Batch& batch);
  absl::Status StartAttempt(Batch& batch);
  void EndLocally(const absl::Status& status);
  // Of a call that is not sent: fills in what gRPC would have received.
  void FillIn(Batch& batch);
  // Notes what a batch tells, or fills it in, and returns the batches that may
  // go on now, in order: this one, and the one with the call's status once no
  // message is under way any more.
  std::array<Batch*, 2> Pass(Batch& batch);
  void SentLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ReceivedLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void End(grpc::Status& status);
  void EndLocked(grpc::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  grpc::experimental::ClientRpcInfo& info_;
  ChannelEnvironment& environment_;
  const ChannelMethod* const method_;
  bool begun_ = false;
  ClientCall call_{ClientCallDriver::Key()};
  ClientAttempt attempt_;
  std::size_t started_ = 0;
  std::size_t attempt_started_ = 0;
  bool local_ = false;
  grpc::Status local_status_;
  // The messages of a stream pass on other threads than its status comes on;
  // held while hooks run, so that none runs after the finish hooks.
  Mutex mutex_;
  // Messages that were begun to be sent or received and are not done.
  int under_way_ ABSL_GUARDED_BY(mutex_) = 0;
  // Brings the status; none before that came.
  Batch* last_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

class ChannelCallFactory
    : public grpc::experimental::ClientInterceptorFactoryInterface {
 public:
  explicit ChannelCallFactory(std::unique_ptr<ChannelEnvironment> environment)
      : environment_(std::move(environment)) {}
  grpc::experimental::Interceptor* CreateClientInterceptor(
      grpc::experimental::ClientRpcInfo* info) override {
    return new ChannelCall(*info, *environment_);
  }

 private:
  const std::unique_ptr<ChannelEnvironment> environment_;
};

}  // namespace grpccommon::internal
