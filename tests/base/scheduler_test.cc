// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/base/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <optional>
#include <thread>
#include <vector>

#include "grpccommon/base/mutex.h"
#include "grpccommon/testing/fake_clock.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

TEST(SchedulerTest, RunsATaskNotBeforeItsTime) {
  const std::unique_ptr<Scheduler> scheduler = CreateScheduler();
  const Clock::TimePoint due = SteadyClock().Now() + 5ms;
  std::promise<Clock::TimePoint> ran;
  scheduler->RunAfter(5ms, [&] { ran.set_value(SteadyClock().Now()); });
  EXPECT_GE(ran.get_future().get(), due);
}

TEST(SchedulerTest, RunsTasksInOrderOfTheirTimeAndThenOfTheirArrival) {
  const std::unique_ptr<Scheduler> scheduler = CreateScheduler();
  std::vector<int> order;  // only touched by the scheduler's thread
  std::promise<void> done;
  std::promise<void> planned;
  // Holds the thread until all others are planned.
  scheduler->RunAfter(0s, [&] { planned.get_future().wait(); });
  scheduler->RunAfter(30ms, [&] {
    order.push_back(4);
    done.set_value();
  });
  scheduler->RunAfter(20ms, [&] { order.push_back(3); });
  scheduler->RunAfter(0s, [&] { order.push_back(1); });
  scheduler->RunAfter(0s, [&] { order.push_back(2); });
  planned.set_value();
  done.get_future().wait();
  EXPECT_THAT(order, ElementsAre(1, 2, 3, 4));
}

TEST(SchedulerTest, AnEarlierTaskOvertakesOneThatIsWaitedFor) {
  const std::unique_ptr<Scheduler> scheduler = CreateScheduler();
  scheduler->RunAfter(1h, [] { ADD_FAILURE() << "an hour early"; });
  std::promise<void> ran;
  scheduler->RunAfter(1ms, [&] { ran.set_value(); });
  ran.get_future().wait();
}

TEST(SchedulerTest, ACancelledTaskDoesNotRun) {
  const std::unique_ptr<Scheduler> scheduler = CreateScheduler();
  const auto id =
      scheduler->RunAfter(20ms, [] { ADD_FAILURE() << "was cancelled"; });
  EXPECT_TRUE(scheduler->Cancel(id));
  EXPECT_FALSE(scheduler->Cancel(id));
  std::promise<void> later;
  scheduler->RunAfter(30ms, [&] { later.set_value(); });
  later.get_future().wait();
}

TEST(SchedulerTest, CancelWaitsForATaskThatRuns) {
  const std::unique_ptr<Scheduler> scheduler = CreateScheduler();
  std::promise<void> running;
  std::promise<void> go_on;
  std::atomic<bool> ended{false};
  const auto id = scheduler->RunAfter(0s, [&] {
    running.set_value();
    go_on.get_future().wait();
    ended = true;
  });
  running.get_future().wait();
  std::thread releasing([&] { go_on.set_value(); });
  EXPECT_FALSE(scheduler->Cancel(id));
  EXPECT_TRUE(ended);
  releasing.join();
}

TEST(SchedulerTest, ATaskMayCancelItselfAndPlanOthers) {
  const std::unique_ptr<Scheduler> scheduler = CreateScheduler();
  std::promise<Scheduler::TaskId> own_id;
  std::promise<void> ran;
  own_id.set_value(scheduler->RunAfter(1ms, [&] {
    EXPECT_FALSE(scheduler->Cancel(own_id.get_future().get()));
    scheduler->RunAfter(0s, [&] { ran.set_value(); });
  }));
  ran.get_future().wait();
}

TEST(SchedulerTest, DropsPendingTasksWhenItIsDestroyed) {
  std::unique_ptr<Scheduler> scheduler = CreateScheduler();
  auto owned = std::make_shared<int>(1);
  scheduler->RunAfter(1h, [owned] { ADD_FAILURE() << "an hour early"; });
  scheduler.reset();
  EXPECT_EQ(owned.use_count(), 1);
}

TEST(SchedulerTest, TasksOfManyThreadsAllRun) {
  const std::unique_ptr<Scheduler> scheduler = CreateScheduler();
  constexpr int kThreads = 4;
  constexpr int kTasks = 500;
  std::atomic<int> ran{0};
  std::promise<void> done;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kTasks; ++i) {
        scheduler->RunAfter(std::chrono::microseconds(i % 7), [&] {
          if (++ran == kThreads * kTasks) done.set_value();
        });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  done.get_future().wait();
}

TEST(PeriodicTaskTest, RunsOnceAnIntervalUntilDestroyed) {
  testing::FakeClock clock;
  testing::FakeScheduler scheduler(clock);
  int runs = 0;
  std::optional<PeriodicTask> task(std::in_place, scheduler, 10s,
                                   [&runs] { ++runs; });
  clock.Advance(10s - 1ns);
  EXPECT_EQ(runs, 0);
  clock.Advance(1ns);
  EXPECT_EQ(runs, 1);
  clock.Advance(30s);
  EXPECT_EQ(runs, 4);
  task.reset();
  EXPECT_EQ(scheduler.pending(), 0u);
  clock.Advance(1min);
  EXPECT_EQ(runs, 4);
}

TEST(PeriodicTaskTest, DestructionWaitsForARunningOne) {
  const std::unique_ptr<Scheduler> scheduler = CreateScheduler();
  for (int round = 0; round < 50; ++round) {
    // Destroyed state would be seen by a run that outlives the destructor.
    auto alive = std::make_unique<std::atomic<int>>(1);
    std::promise<void> ran;
    std::atomic<bool> first{true};
    std::optional<PeriodicTask> task(std::in_place, *scheduler, 10us, [&] {
      EXPECT_EQ(*alive, 1);
      if (first.exchange(false)) ran.set_value();
    });
    ran.get_future().wait();
    task.reset();
    *alive = 0;
  }
}

TEST(SchedulerTest, ThereIsNoTaskZeroToWaitFor) {
  const std::unique_ptr<Scheduler> scheduler = CreateScheduler();
  EXPECT_FALSE(scheduler->Cancel(0));
}

}  // namespace
}  // namespace grpccommon
