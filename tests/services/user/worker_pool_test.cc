// SPDX-License-Identifier: Apache-2.0
#include "services/user/worker_pool.h"

#include <atomic>
#include <future>
#include <memory>
#include <set>
#include <thread>

#include "gmock/gmock.h"
#include "grpccommon/status/details.h"
#include "grpccommon/testing/status_matchers.h"
#include "gtest/gtest.h"

namespace platform::user {
namespace {

using grpccommon::testing::HasReason;
using grpccommon::testing::StatusIs;
using ::testing::AllOf;

TEST(WorkerPoolTest, RunsAsManyAtATimeAsItHasThreads) {
  std::promise<void> first_runs;
  std::promise<void> second_runs;
  WorkerPool pool({.threads = 2, .max_waiting = 10});
  ASSERT_TRUE(pool.Run([&] {
                    first_runs.set_value();
                    second_runs.get_future().wait();
                  })
                  .ok());
  first_runs.get_future().wait();
  ASSERT_TRUE(pool.Run([&] { second_runs.set_value(); }).ok());
}

TEST(WorkerPoolTest, RefusesWhatMayNotWaitAndLosesNothing) {
  std::atomic<int> ran = 0;
  {
    std::promise<void> runs;
    std::promise<void> go;
    WorkerPool pool({.threads = 1, .max_waiting = 2});
    ASSERT_TRUE(pool.Run([&] {
                      runs.set_value();
                      go.get_future().wait();
                      ++ran;
                    })
                    .ok());
    runs.get_future().wait();
    const auto count = [&ran] { ++ran; };
    EXPECT_TRUE(pool.Run(count).ok());
    EXPECT_TRUE(pool.Run(count).ok());
    const absl::Status refused = pool.Run(count);
    EXPECT_THAT(refused, AllOf(StatusIs(absl::StatusCode::kResourceExhausted),
                               HasReason("PASSWORDS_BUSY")));
    EXPECT_TRUE(grpccommon::RetryDelayOf(refused).has_value());
    go.set_value();
  }
  EXPECT_EQ(ran, 3) << "the destructor runs what waits";
}

TEST(WorkerPoolTest, NeverRunsOnTheCallersThread) {
  std::promise<std::thread::id> id;
  WorkerPool pool;
  ASSERT_TRUE(pool.Run([&] { id.set_value(std::this_thread::get_id()); }).ok());
  EXPECT_NE(id.get_future().get(), std::this_thread::get_id());
}

}  // namespace
}  // namespace platform::user
