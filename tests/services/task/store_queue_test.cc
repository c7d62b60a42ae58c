// SPDX-License-Identifier: Apache-2.0
#include "services/task/store_queue.h"

#include <atomic>
#include <future>

#include "gmock/gmock.h"
#include "grpccommon/status/details.h"
#include "gtest/gtest.h"
#include "services/task/temp_folder.h"

namespace platform::task {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

const Scope kAda{.owner = "ada"};

class StoreQueueTest : public ::testing::Test {
 protected:
  std::unique_ptr<StoreQueue> Open(StoreQueueOptions options = {}) {
    auto queue = StoreQueue::Open({.path = folder_ / "tasks.db"}, options);
    EXPECT_TRUE(queue.ok()) << queue.status();
    return *std::move(queue);
  }

  // Keeps the writing thread busy until the result is told to go on.
  std::promise<void> Block(StoreQueue& queue) {
    std::promise<void> go_on;
    std::promise<void> running;
    EXPECT_TRUE(
        queue
            .ReadBetweenWrites(
                [&running, wait = go_on.get_future().share()](TaskStore&) {
                  running.set_value();
                  wait.wait();
                })
            .ok());
    running.get_future().wait();
    return go_on;
  }

  StoreQueue::WriteJob CreateJob(const std::string& title) {
    return {.run =
                [this, title](TaskStore& store) {
                  ++runs_;
                  (void)store.Create("ada", {.title = title});
                },
            .done =
                [this, title](const absl::Status& committed) {
                  done_.push_back(
                      title + " " +
                      std::string(absl::StatusCodeToString(committed.code())));
                }};
  }

  std::int64_t Count() {
    return *(*TaskStore::Open({.path = folder_ / "tasks.db"}))->Count(kAda, "");
  }

  TempFolder folder_;
  std::atomic<int> runs_ = 0;
  std::vector<std::string> done_;  // the writing thread's
};

TEST_F(StoreQueueTest, AnswersInOrderAfterTheCommit) {
  {
    const auto queue = Open();
    for (const char* title : {"a", "b", "c"}) {
      ASSERT_TRUE(queue->Write(CreateJob(title)).ok());
    }
  }
  EXPECT_THAT(done_, ElementsAre("a OK", "b OK", "c OK"));
  EXPECT_EQ(Count(), 3);
}

TEST_F(StoreQueueTest, WhatWasAnsweredIsThere) {
  const auto queue = Open();
  for (int i = 1; i <= 20; ++i) {
    std::promise<absl::Status> committed;
    ASSERT_TRUE(queue
                    ->Write({.run =
                                 [](TaskStore& store) {
                                   (void)store.Create("ada", {.title = "x"});
                                 },
                             .done =
                                 [&](const absl::Status& status) {
                                   committed.set_value(status);
                                 }})
                    .ok());
    ASSERT_TRUE(committed.get_future().get().ok());
    std::promise<std::int64_t> count;
    ASSERT_TRUE(queue
                    ->Read([&](TaskStore& store) {
                      count.set_value(*store.Count(kAda, ""));
                    })
                    .ok());
    EXPECT_EQ(count.get_future().get(), i);
  }
}

TEST_F(StoreQueueTest, OneBadJobSpoilsNoOther) {
  {
    const auto queue = Open();
    std::promise<void> go_on = Block(*queue);
    ASSERT_TRUE(queue->Write(CreateJob("a")).ok());
    ASSERT_TRUE(queue->Write(CreateJob("")).ok());  // the table refuses it
    ASSERT_TRUE(queue->Write(CreateJob("c")).ok());
    go_on.set_value();
  }
  EXPECT_THAT(done_, ElementsAre("a OK", " INTERNAL", "c OK"));
  EXPECT_EQ(runs_, 6);  // together, then each by itself
  EXPECT_EQ(Count(), 2);
}

TEST_F(StoreQueueTest, RefusesMoreThanMayWait) {
  {
    const auto queue = Open({.max_waiting = 2});
    std::promise<void> go_on = Block(*queue);
    EXPECT_TRUE(queue->Write(CreateJob("a")).ok());
    EXPECT_TRUE(queue->Write(CreateJob("b")).ok());
    const absl::Status refused = queue->Write(CreateJob("c"));
    EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(grpccommon::ReasonOf(refused), "STORE_BUSY");
    EXPECT_TRUE(grpccommon::RetryDelayOf(refused).has_value());
    // Reading has a queue of its own.
    std::promise<void> read;
    EXPECT_TRUE(queue->Read([&](TaskStore&) { read.set_value(); }).ok());
    read.get_future().wait();
    go_on.set_value();
  }
  EXPECT_THAT(done_, SizeIs(2));
}

TEST_F(StoreQueueTest, ReadsBetweenTransactions) {
  {
    const auto queue = Open();
    std::promise<void> go_on = Block(*queue);
    ASSERT_TRUE(queue->Write(CreateJob("a")).ok());
    ASSERT_TRUE(queue
                    ->ReadBetweenWrites([this](TaskStore& store) {
                      done_.push_back("seen " +
                                      std::to_string(*store.Count(kAda, "")));
                    })
                    .ok());
    ASSERT_TRUE(queue->Write(CreateJob("b")).ok());
    go_on.set_value();
  }
  EXPECT_THAT(done_, ElementsAre("a OK", "seen 1", "b OK"));
}

TEST_F(StoreQueueTest, ACheckChangesNothing) {
  {
    const auto queue = Open();
    ASSERT_TRUE(queue->Write(CreateJob("a")).ok());
    queue->Check([this](const absl::Status& status) {
      done_.push_back("check " + status.ToString());
    });
    ASSERT_TRUE(queue->Write(CreateJob("b")).ok());
  }
  EXPECT_THAT(done_, ElementsAre("a OK", "check OK", "b OK"));
  const auto store = *TaskStore::Open({.path = folder_ / "tasks.db"});
  EXPECT_EQ(store->List(kAda, "", 0, 10)->sequence, 2);
}

TEST_F(StoreQueueTest, ACheckFailsWhereAWriteWouldBeRefused) {
  const auto queue = Open({.max_waiting = 1});
  std::promise<void> go_on = Block(*queue);
  ASSERT_TRUE(queue->Write(CreateJob("a")).ok());
  absl::Status checked;
  queue->Check([&checked](const absl::Status& status) { checked = status; });
  EXPECT_EQ(checked.code(), absl::StatusCode::kResourceExhausted);
  go_on.set_value();
}

TEST_F(StoreQueueTest, TellsWhyItCannotOpen) {
  const auto queue = StoreQueue::Open({.path = folder_ / "missing/tasks.db"});
  EXPECT_EQ(queue.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(queue.status().message()),
              HasSubstr("missing/tasks.db"));
}

}  // namespace
}  // namespace platform::task
