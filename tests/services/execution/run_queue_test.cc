// SPDX-License-Identifier: Apache-2.0
#include "services/execution/run_queue.h"

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "grpccommon/status/details.h"
#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/testing/status_matchers.h"
#include "gtest/gtest.h"

namespace platform::execution {
namespace {

using grpccommon::RetryDelayOf;
using grpccommon::testing::FakeClock;
using grpccommon::testing::HasReason;
using grpccommon::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using namespace std::chrono_literals;

class RunQueueTest : public ::testing::Test {
 protected:
  void Make(const RunQueueOptions& options) {
    queue_ = *RunQueue::Create(options, clock_);
  }
  // Its name is noted when it starts.
  RunQueue::JobId Add(const std::string& caller, const std::string& name) {
    const RunQueue::JobId id = *queue_->Admit(caller, 1);
    queue_->Enqueue(id, [this, name] { started_.emplace_back(name); });
    return id;
  }

  FakeClock clock_;
  std::unique_ptr<RunQueue> queue_ = *RunQueue::Create({.parallel = 1}, clock_);
  std::vector<std::string> started_;
};

TEST_F(RunQueueTest, StartsAsManyAsMayRunAndTheNextWhenOneEnds) {
  Make({.parallel = 2});
  const auto first = Add("ada", "1");
  Add("ada", "2");
  Add("ada", "3");
  EXPECT_THAT(started_, ElementsAre("1", "2"));
  EXPECT_EQ(queue_->waiting(), 1u);
  EXPECT_EQ(queue_->running(), 2u);
  queue_->Release(first);
  EXPECT_THAT(started_, ElementsAre("1", "2", "3"));
  EXPECT_EQ(queue_->waiting(), 0u);
  queue_->Release(first);  // once only
  EXPECT_EQ(queue_->running(), 2u);
}

TEST_F(RunQueueTest, CallersTakeTurns) {
  std::vector<RunQueue::JobId> jobs = {Add("ada", "a1")};
  for (const char* name : {"a2", "a3", "a4"}) jobs.push_back(Add("ada", name));
  for (const char* name : {"b1", "b2"}) jobs.push_back(Add("bob", name));
  jobs.push_back(Add("eve", "e1"));
  for (const std::size_t next : {0, 1, 4, 6, 2, 5}) queue_->Release(jobs[next]);
  EXPECT_THAT(started_, ElementsAre("a1", "a2", "b1", "e1", "a3", "b2", "a4"));
}

TEST_F(RunQueueTest, OneWithAHundredJobsDoesNotHoldUpAnother) {
  const auto running = Add("ada", "a0");
  const auto next = Add("ada", "a1");
  for (int i = 2; i < 100; ++i) Add("ada", "a");
  EXPECT_EQ(queue_->Position(Add("bob", "b")), 1u);
  queue_->Release(running);
  queue_->Release(next);
  EXPECT_THAT(started_, ElementsAre("a0", "a1", "b"));
}

TEST_F(RunQueueTest, NobodyTakesEveryPlace) {
  Make({.parallel = 3, .max_running_per_caller = 2});
  const auto first = Add("ada", "a1");
  Add("ada", "a2");
  Add("ada", "a3");
  EXPECT_THAT(started_, ElementsAre("a1", "a2"));
  const auto other = Add("bob", "b1");
  Add("bob", "b2");
  EXPECT_THAT(started_, ElementsAre("a1", "a2", "b1"));
  // Ada is first in turn, and still has two.
  queue_->Release(other);
  EXPECT_THAT(started_, ElementsAre("a1", "a2", "b1", "b2"));
  queue_->Release(first);
  EXPECT_THAT(started_, ElementsAre("a1", "a2", "b1", "b2", "a3"));
}

TEST_F(RunQueueTest, AProcessMayTakeEveryPlace) {
  Make({.parallel = 2, .max_running_per_caller = 1});
  for (const char* name : {"c1", "c2"}) {
    queue_->Enqueue(*queue_->Admit("contest", 1, RunQueue::Share::kWhole),
                    [this, name] { started_.emplace_back(name); });
  }
  EXPECT_THAT(started_, ElementsAre("c1", "c2"));
}

TEST_F(RunQueueTest, TellsWhoStartsBefore) {
  Add("ada", "runs");
  const auto a1 = Add("ada", "a1");
  const auto a2 = Add("ada", "a2");
  const auto b1 = Add("bob", "b1");
  const auto b2 = Add("bob", "b2");
  const auto b3 = Add("bob", "b3");
  const auto e1 = Add("eve", "e1");
  EXPECT_THAT(queue_->Order(), ElementsAre(a1, b1, e1, a2, b2, b3));
  const auto order = queue_->Order();
  for (std::size_t i = 0; i < order.size(); ++i) {
    EXPECT_EQ(queue_->Position(order[i]), i);
  }
  // Admitted, but not enqueued.
  EXPECT_EQ(queue_->Position(*queue_->Admit("joe", 1)), 3u);
  EXPECT_EQ(queue_->Position(*queue_->Admit("bob", 1)), 6u);
}

TEST_F(RunQueueTest, WithdrawsWhatHasNotStarted) {
  const auto running = Add("ada", "a1");
  const auto second = Add("ada", "a2");
  Add("ada", "a3");
  EXPECT_FALSE(queue_->Withdraw(running));
  EXPECT_TRUE(queue_->Withdraw(second));
  EXPECT_FALSE(queue_->Withdraw(second));
  EXPECT_EQ(queue_->waiting(), 1u);
  queue_->Release(running);
  EXPECT_THAT(started_, ElementsAre("a1", "a3"));
}

TEST_F(RunQueueTest, WithdrawsWhatWasOnlyAdmitted) {
  const auto job = *queue_->Admit("ada", 1);
  EXPECT_TRUE(queue_->Withdraw(job));
  queue_->Enqueue(job, [] { FAIL(); });
  EXPECT_EQ(queue_->waiting(), 0u);
  EXPECT_EQ(queue_->running(), 0u);
}

TEST_F(RunQueueTest, RefusesMoreThanItHolds) {
  Make({.parallel = 1, .max_waiting = 3, .max_waiting_per_caller = 2});
  Add("ada", "runs");
  Add("ada", "a1");
  Add("ada", "a2");
  const auto mine = queue_->Admit("ada", 1);
  EXPECT_THAT(mine, AllOf(StatusIs(absl::StatusCode::kResourceExhausted),
                          HasReason("CALLER_QUEUE_FULL")));
  EXPECT_TRUE(RetryDelayOf(mine.status()).has_value());
  Add("bob", "b1");
  const auto all = queue_->Admit("eve", 1);
  EXPECT_THAT(all, AllOf(StatusIs(absl::StatusCode::kResourceExhausted),
                         HasReason("QUEUE_FULL")));
  EXPECT_TRUE(RetryDelayOf(all.status()).has_value());
}

TEST_F(RunQueueTest, AdmittedJobsThatAreNotEnqueuedTakePlacesToo) {
  Make({.parallel = 1, .max_waiting = 1, .max_waiting_per_caller = 1});
  ASSERT_TRUE(queue_->Admit("ada", 1).ok());
  EXPECT_FALSE(queue_->Admit("bob", 1).ok());
}

TEST_F(RunQueueTest, BoundsTheBytesThatWait) {
  Make({.parallel = 1, .max_waiting_bytes = 100});
  Add("ada", "runs");
  const auto large = queue_->Admit("ada", 1000);  // alone
  ASSERT_TRUE(large.ok());
  EXPECT_THAT(queue_->Admit("bob", 1), HasReason("QUEUE_FULL"));
  ASSERT_TRUE(queue_->Withdraw(*large));
  ASSERT_TRUE(queue_->Admit("ada", 50).ok());
  EXPECT_THAT(queue_->Admit("ada", 1), HasReason("CALLER_QUEUE_FULL"));
  EXPECT_TRUE(queue_->Admit("bob", 50).ok());
}

TEST_F(RunQueueTest, EstimatesTheDelayFromItsSpeed) {
  Make({.parallel = 2, .max_waiting = 100, .max_waiting_per_caller = 100});
  // A hundred runs of 4 s: their mean is near that.
  for (int i = 0; i < 100; ++i) {
    const auto job = Add("ada", "x");
    clock_.Advance(4s);
    queue_->Release(job);
  }
  for (int i = 0; i < 102; ++i) Add("ada", "x");
  const auto delay = *RetryDelayOf(queue_->Admit("ada", 1).status());
  EXPECT_GT(delay, 19s);  // ten of them, two at a time
  EXPECT_LE(delay, 20s);
}

TEST_F(RunQueueTest, AClosedQueueAdmitsNobodyAndKeepsWhatWaits) {
  const auto running = Add("ada", "a1");
  Add("ada", "a2");
  queue_->Close();
  EXPECT_THAT(queue_->Admit("bob", 1),
              StatusIs(absl::StatusCode::kUnavailable));
  queue_->Release(running);
  EXPECT_THAT(started_, ElementsAre("a1", "a2"));
}

TEST_F(RunQueueTest, JobsThatEndInTheirStartDoNotNest) {
  const auto running = Add("ada", "runs");
  int depth = 0;
  int deepest = 0;
  int ran = 0;
  for (int i = 0; i < 499; ++i) {
    const auto id = *queue_->Admit("ada", 1);
    queue_->Enqueue(id, [&, id] {
      deepest = std::max(deepest, ++depth);
      ++ran;
      queue_->Release(id);
      --depth;
    });
  }
  queue_->Release(running);
  EXPECT_EQ(ran, 499);
  EXPECT_EQ(deepest, 1);
}

TEST_F(RunQueueTest, RunsEachJobOnceAmongManyThreads) {
  Make(
      {.parallel = 3, .max_waiting = 10'000, .max_waiting_per_caller = 10'000});
  std::atomic<int> running = 0;
  std::atomic<int> most = 0;
  std::atomic<int> ran = 0;
  std::atomic<int> withdrawn = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) {
        const auto id = *queue_->Admit("caller" + std::to_string(t % 2), 1);
        queue_->Enqueue(id, [&, id] {
          const int now = ++running;
          int seen = most;
          while (seen < now && !most.compare_exchange_weak(seen, now)) {
          }
          ++ran;
          --running;
          queue_->Release(id);
        });
        if (i % 7 == 0 && queue_->Withdraw(id)) ++withdrawn;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ran + withdrawn, 2000);
  EXPECT_LE(most, 3);
  EXPECT_EQ(queue_->waiting(), 0u);
  EXPECT_EQ(queue_->running(), 0u);
  EXPECT_THAT(queue_->Order(), IsEmpty());
}

TEST(RunQueueOptionsTest, NamesWhatIsOutOfRange) {
  const auto refused = [](const RunQueueOptions& options) {
    return std::string(RunQueue::Create(options).status().message());
  };
  EXPECT_THAT(refused({.parallel = 0}), HasSubstr("parallel"));
  EXPECT_THAT(refused({.parallel = 257}), HasSubstr("parallel"));
  EXPECT_THAT(refused({.max_waiting = 0}), HasSubstr("max_waiting"));
  EXPECT_THAT(refused({.max_waiting = 5, .max_waiting_per_caller = 6}),
              HasSubstr("max_waiting_per_caller"));
  EXPECT_THAT(refused({.max_waiting_bytes = 0}),
              HasSubstr("max_waiting_bytes"));
}

}  // namespace
}  // namespace platform::execution
