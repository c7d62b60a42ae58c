// SPDX-License-Identifier: Apache-2.0
#include "server/long_handlers.h"

#include <gtest/gtest.h>

#include <optional>

#include "grpc/grpc.h"
#include "grpc/grpc_security.h"
#include "grpccommon/testing/fake_clock.h"

namespace grpccommon::internal {
namespace {

using namespace std::chrono_literals;

// Counts how often it is started.
class CountedBatch : public grpc::internal::CallOpSetInterface {
 public:
  void FillOps(grpc::internal::Call*) override { ++started; }
  bool FinalizeResult(void**, bool*) override { return true; }
  void* core_cq_tag() override { return this; }
  void SetHijackingState() override {}
  void ContinueFillOpsAfterInterception() override {}
  void ContinueFinalizeResultAfterInterception() override {}

  int started = 0;
};

class LongHandlersTest : public ::testing::Test {
 protected:
  LongHandlersTest() {
    grpc_init();
    queue_ = grpc_completion_queue_create_for_next(nullptr);
    grpc_channel_credentials* const credentials =
        grpc_insecure_credentials_create();
    channel_ = grpc_channel_create("127.0.0.1:1", credentials, nullptr);
    grpc_channel_credentials_release(credentials);
    core_call_ = grpc_channel_create_call(
        channel_, nullptr, GRPC_PROPAGATE_DEFAULTS, queue_,
        grpc_slice_from_static_string("/a/B"), nullptr,
        gpr_inf_future(GPR_CLOCK_REALTIME), nullptr);
    // This thread has just had a call, whatever the test before has left.
    testing::FakeClock clock;
    testing::FakeScheduler scheduler(clock);
    LongHandlers handlers(clock, scheduler);
    HeldBatch before(ops_, call());
    if (handlers.Enter(before)) LongHandlers::Leave(before);
  }
  ~LongHandlersTest() override {
    grpc_call_unref(core_call_);
    grpc_channel_destroy(channel_);
    grpc_completion_queue_destroy(queue_);
    grpc_shutdown();
  }

  grpc::internal::Call call() {
    return grpc::internal::Call(core_call_, nullptr, nullptr);
  }

  grpc_completion_queue* queue_ = nullptr;
  grpc_channel* channel_ = nullptr;
  grpc_call* core_call_ = nullptr;
  testing::FakeClock clock_;
  testing::FakeScheduler scheduler_{clock_};
  std::optional<LongHandlers> handlers_{std::in_place, clock_, scheduler_};
  CountedBatch ops_;
};

TEST_F(LongHandlersTest, WhoeverLeavesSoonStartsItsBatchItself) {
  HeldBatch batch(ops_, call());
  ASSERT_TRUE(handlers_->Enter(batch));
  clock_.Advance(50ms);
  EXPECT_TRUE(LongHandlers::Leave(batch));
  clock_.Advance(1s);
  EXPECT_EQ(ops_.started, 0);
}

TEST_F(LongHandlersTest, TheSecondSweepStartsTheBatchOnce) {
  HeldBatch batch(ops_, call());
  ASSERT_TRUE(handlers_->Enter(batch));
  clock_.Advance(99ms);
  EXPECT_EQ(ops_.started, 0);
  clock_.Advance(1ms);
  EXPECT_EQ(ops_.started, 1);
  clock_.Advance(1s);
  EXPECT_FALSE(LongHandlers::Leave(batch));
  EXPECT_EQ(ops_.started, 1);
}

TEST_F(LongHandlersTest, ABatchIsLeftWhenItsServerIsGoneToo) {
  HeldBatch batch(ops_, call());
  ASSERT_TRUE(handlers_->Enter(batch));
  clock_.Advance(100ms);
  handlers_.reset();
  EXPECT_FALSE(LongHandlers::Leave(batch));
}

TEST_F(LongHandlersTest, TheNextHandlerOfAThreadIsNotTakenForTheLast) {
  std::optional<HeldBatch> batch;
  // A call each 10 ms, across the sweep at 50 ms.
  for (int i = 0; i < 6; ++i) {
    if (batch.has_value()) {
      ASSERT_TRUE(LongHandlers::Leave(*batch));
    }
    batch.emplace(ops_, call());
    ASSERT_TRUE(handlers_->Enter(*batch));
    clock_.Advance(10ms);
  }
  clock_.Advance(89ms);
  EXPECT_EQ(ops_.started, 0);
  clock_.Advance(1ms);
  EXPECT_EQ(ops_.started, 1);
  EXPECT_FALSE(LongHandlers::Leave(*batch));
}

TEST_F(LongHandlersTest, AThreadWithFewCallsHoldsNothingBack) {
  HeldBatch batch(ops_, call());
  ASSERT_TRUE(handlers_->Enter(batch));
  ASSERT_TRUE(LongHandlers::Leave(batch));
  clock_.Advance(21ms);
  EXPECT_FALSE(handlers_->Enter(batch));
  clock_.Advance(20ms);
  EXPECT_TRUE(handlers_->Enter(batch));
  EXPECT_TRUE(LongHandlers::Leave(batch));
}

TEST_F(LongHandlersTest, AThreadHoldsBackOneBatch) {
  HeldBatch outer(ops_, call());
  HeldBatch inner(ops_, call());
  ASSERT_TRUE(handlers_->Enter(outer));
  EXPECT_FALSE(handlers_->Enter(inner));
  EXPECT_TRUE(LongHandlers::Leave(outer));
  EXPECT_TRUE(handlers_->Enter(inner));
  EXPECT_TRUE(LongHandlers::Leave(inner));
}

TEST_F(LongHandlersTest, NobodySweepsForLongWhenHandlersHaveLeft) {
  EXPECT_EQ(scheduler_.pending(), 0u);
  HeldBatch batch(ops_, call());
  ASSERT_TRUE(handlers_->Enter(batch));
  EXPECT_EQ(scheduler_.pending(), 1u);
  clock_.Advance(50ms);
  EXPECT_EQ(scheduler_.pending(), 1u);
  EXPECT_TRUE(LongHandlers::Leave(batch));
  clock_.Advance(50ms);
  EXPECT_EQ(scheduler_.pending(), 0u);
}

}  // namespace
}  // namespace grpccommon::internal
