// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "grpc/grpc.h"
#include "grpc/grpc_security.h"
#include "grpccommon/testing/fake_clock.h"
#include "grpcpp/completion_queue.h"
#include "grpcpp/impl/call.h"
#include "grpcpp/impl/call_op_set_interface.h"
#include "server/long_handlers.h"

namespace grpccommon::internal {

/// A call of gRPC's core that goes nowhere, and the queue of what it completes.
class CoreCall {
 public:
  CoreCall() {
    grpc_channel_credentials* const credentials =
        grpc_insecure_credentials_create();
    channel_ = grpc_channel_create("127.0.0.1:1", credentials, nullptr);
    grpc_channel_credentials_release(credentials);
    call_ = grpc_channel_create_call(
        channel_, nullptr, GRPC_PROPAGATE_DEFAULTS, queue_.cq(),
        grpc_slice_from_static_string("/a/B"), nullptr,
        gpr_inf_future(GPR_CLOCK_REALTIME), nullptr);
  }
  ~CoreCall() {
    grpc_call_unref(call_);
    grpc_channel_destroy(channel_);
    queue_.Shutdown();
    RunQueue();
  }
  CoreCall(const CoreCall&) = delete;
  CoreCall& operator=(const CoreCall&) = delete;

  grpc_call* get() const { return call_; }
  grpc::internal::Call call() {
    return grpc::internal::Call(call_, nullptr, &queue_);
  }

  /// Runs the first of the reactions that are in the queue, if there is one.
  bool RunOne() {
    const grpc_event event = grpc_completion_queue_next(
        queue_.cq(), gpr_inf_past(GPR_CLOCK_REALTIME), nullptr);
    if (event.type != GRPC_OP_COMPLETE) return false;
    auto* const functor =
        static_cast<grpc_completion_queue_functor*>(event.tag);
    functor->functor_run(functor, event.success);
    return true;
  }
  /// Runs all of them, and those that come meanwhile.
  void RunQueue() {
    while (RunOne()) {
    }
  }

 private:
  grpc::CompletionQueue queue_;
  grpc_channel* channel_;
  grpc_call* call_;
};

/// A batch of which a test says what it starts.
class FakeBatch : public grpc::internal::CallOpSetInterface {
 public:
  bool FinalizeResult(void** /*tag*/, bool* /*status*/) override {
    return true;
  }
  void* core_cq_tag() override { return this; }
  void SetHijackingState() override {}
  void ContinueFillOpsAfterInterception() override {}
  void ContinueFinalizeResultAfterInterception() override {}
};

/// LongHandlers holds something back only for a thread that has had a call a
/// moment ago: this one has then, by the time that a fake clock begins with.
inline void HaveACallOnThisThread(CoreCall& core) {
  class Nothing : public FakeBatch {
    void FillOps(grpc::internal::Call* /*call*/) override {}
  } nothing;
  testing::FakeClock clock;
  testing::FakeScheduler scheduler(clock);
  LongHandlers handlers(clock, scheduler);
  HeldBatch batch(nothing, core.call());
  if (handlers.Enter(batch)) LongHandlers::Leave(batch);
}

}  // namespace grpccommon::internal
