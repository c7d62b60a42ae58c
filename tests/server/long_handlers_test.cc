// SPDX-License-Identifier: Apache-2.0
#include "server/long_handlers.h"

#include <gtest/gtest.h>

#include <optional>

#include "grpccommon/testing/fake_clock.h"
#include "server/core_call.h"

namespace grpccommon::internal {
namespace {

using namespace std::chrono_literals;

// Counts how often it is started.
class CountedBatch : public FakeBatch {
 public:
  void FillOps(grpc::internal::Call* /*call*/) override { ++started; }

  int started = 0;
};

class LongHandlersTest : public ::testing::Test {
 protected:
  LongHandlersTest() { HaveACallOnThisThread(core_call_); }

  grpc::internal::Call call() { return core_call_.call(); }

  CoreCall core_call_;
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
