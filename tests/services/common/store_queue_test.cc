// SPDX-License-Identifier: Apache-2.0
#include "services/common/store_queue.h"

#include <atomic>
#include <future>

#include "gmock/gmock.h"
#include "grpccommon/status/details.h"
#include "gtest/gtest.h"
#include "services/common/name_store.h"
#include "services/common/test_database.h"

namespace platform::common {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class StoreQueueTest : public DatabaseTest {
 protected:
  using Queue = StoreQueue<NameStore>;

  std::unique_ptr<Queue> Open(StoreQueueOptions options = {}) {
    auto queue = Queue::Create(
        [this](bool read_only) { return NameStore::Open(url(), read_only); },
        options);
    EXPECT_TRUE(queue.ok()) << queue.status();
    return *std::move(queue);
  }

  // Keeps the writing thread busy until the result is told to go on.
  static std::promise<void> Block(Queue& queue) {
    std::promise<void> go_on;
    std::promise<void> running;
    EXPECT_TRUE(
        queue
            .ReadBetweenWrites(
                [&running, wait = go_on.get_future().share()](NameStore&) {
                  running.set_value();
                  wait.wait();
                })
            .ok());
    running.get_future().wait();
    return go_on;
  }

  Queue::WriteJob AddJob(const std::string& name,
                         const absl::Status& result = absl::OkStatus()) {
    return {.run =
                [this, name, result](NameStore& store) {
                  ++runs_;
                  (void)store.Add(name);
                  return result;
                },
            .done =
                [this, name](const absl::Status& committed) {
                  done_.push_back(
                      name + " " +
                      std::string(absl::StatusCodeToString(committed.code())));
                }};
  }

  int Count() { return (*NameStore::Open(url(), true))->Count(); }

  std::atomic<int> runs_ = 0;
  std::vector<std::string> done_;  // the writing thread's
};
PLATFORM_INSTANTIATE_ON_DATABASES(StoreQueueTest);

TEST_P(StoreQueueTest, AnswersInOrderAfterTheCommit) {
  {
    const auto queue = Open();
    for (const char* name : {"a", "b", "c"}) {
      ASSERT_TRUE(queue->Write(AddJob(name)).ok());
    }
  }
  EXPECT_THAT(done_, ElementsAre("a OK", "b OK", "c OK"));
  EXPECT_EQ(Count(), 3);
}

TEST_P(StoreQueueTest, WhatWasAnsweredIsThere) {
  const auto queue = Open();
  for (int i = 1; i <= 20; ++i) {
    std::promise<absl::Status> committed;
    ASSERT_TRUE(queue
                    ->Write({.run =
                                 [i](NameStore& store) {
                                   return store.Add(std::to_string(i));
                                 },
                             .done =
                                 [&](const absl::Status& status) {
                                   committed.set_value(status);
                                 }})
                    .ok());
    ASSERT_TRUE(committed.get_future().get().ok());
    std::promise<int> count;
    ASSERT_TRUE(
        queue->Read([&](NameStore& store) { count.set_value(store.Count()); })
            .ok());
    EXPECT_EQ(count.get_future().get(), i);
  }
}

TEST_P(StoreQueueTest, OneBadJobSpoilsNoOther) {
  {
    const auto queue = Open();
    std::promise<void> go_on = Block(*queue);
    ASSERT_TRUE(queue->Write(AddJob("a")).ok());
    ASSERT_TRUE(queue->Write(AddJob("a")).ok());  // the table refuses it
    ASSERT_TRUE(queue->Write(AddJob("b", absl::NotFoundError("no"))).ok());
    ASSERT_TRUE(queue->Write(AddJob("c")).ok());
    go_on.set_value();
  }
  EXPECT_THAT(done_,
              ElementsAre("a OK", "a ALREADY_EXISTS", "b NOT_FOUND", "c OK"));
  EXPECT_EQ(runs_, 4);
  EXPECT_EQ(Count(), 2);
}

TEST_P(StoreQueueTest, WhatAJobDidIsUndoneWithItsError) {
  {
    const auto queue = Open();
    ASSERT_TRUE(queue->Write(AddJob("a", absl::NotFoundError("no"))).ok());
  }
  EXPECT_THAT(done_, ElementsAre("a NOT_FOUND"));
  EXPECT_EQ(Count(), 0);
}

TEST_P(StoreQueueTest, RunsEachAloneWhenTheTransactionFails) {
  {
    const auto queue = Open();
    std::promise<void> go_on = Block(*queue);
    ASSERT_TRUE(queue->Write(AddJob("a")).ok());
    // Ends the transaction that both are in, as a full disk does.
    ASSERT_TRUE(queue
                    ->Write({.run =
                                 [this](NameStore& store) {
                                   ++runs_;
                                   store.database().Rollback();
                                   return absl::OkStatus();
                                 },
                             .done =
                                 [this](const absl::Status& committed) {
                                   done_.emplace_back(
                                       committed.ok() ? "? OK" : "? failed");
                                 }})
                    .ok());
    ASSERT_TRUE(queue->Write(AddJob("c")).ok());
    go_on.set_value();
  }
  EXPECT_THAT(done_, ElementsAre("a OK", "? failed", "c OK"));
  EXPECT_EQ(runs_, 5);
  EXPECT_EQ(Count(), 2);
}

TEST_P(StoreQueueTest, RefusesMoreThanMayWait) {
  {
    const auto queue = Open({.max_waiting = 2});
    std::promise<void> go_on = Block(*queue);
    EXPECT_TRUE(queue->Write(AddJob("a")).ok());
    EXPECT_TRUE(queue->Write(AddJob("b")).ok());
    const absl::Status refused = queue->Write(AddJob("c"));
    EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(grpccommon::ReasonOf(refused), "STORE_BUSY");
    EXPECT_TRUE(grpccommon::RetryDelayOf(refused).has_value());
    // Reading has a queue of its own.
    std::promise<void> read;
    EXPECT_TRUE(queue->Read([&](NameStore&) { read.set_value(); }).ok());
    read.get_future().wait();
    go_on.set_value();
  }
  EXPECT_THAT(done_, SizeIs(2));
}

TEST_P(StoreQueueTest, ReadsBetweenTransactions) {
  {
    const auto queue = Open();
    std::promise<void> go_on = Block(*queue);
    ASSERT_TRUE(queue->Write(AddJob("a")).ok());
    ASSERT_TRUE(queue
                    ->ReadBetweenWrites([this](NameStore& store) {
                      done_.push_back("seen " + std::to_string(store.Count()));
                    })
                    .ok());
    ASSERT_TRUE(queue->Write(AddJob("b")).ok());
    go_on.set_value();
  }
  EXPECT_THAT(done_, ElementsAre("a OK", "seen 1", "b OK"));
}

TEST_P(StoreQueueTest, ACheckChangesNothing) {
  {
    const auto queue = Open();
    ASSERT_TRUE(queue->Write(AddJob("a")).ok());
    queue->Check([this](const absl::Status& status) {
      done_.push_back("check " + status.ToString());
    });
    ASSERT_TRUE(queue->Write(AddJob("b")).ok());
  }
  EXPECT_THAT(done_, ElementsAre("a OK", "check OK", "b OK"));
  EXPECT_EQ(Count(), 2);
}

TEST_P(StoreQueueTest, ACheckFailsWhereAWriteWouldBeRefused) {
  const auto queue = Open({.max_waiting = 1});
  std::promise<void> go_on = Block(*queue);
  ASSERT_TRUE(queue->Write(AddJob("a")).ok());
  absl::Status checked;
  queue->Check([&checked](const absl::Status& status) { checked = status; });
  EXPECT_EQ(checked.code(), absl::StatusCode::kResourceExhausted);
  go_on.set_value();
}

TEST_P(StoreQueueTest, TellsWhyItCannotOpen) {
  const auto queue = Queue::Create([this](bool read_only) {
    return NameStore::Open(folder_ / "missing/test.db", read_only);
  });
  EXPECT_EQ(queue.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(queue.status().message()),
              HasSubstr("missing/test.db"));
}

}  // namespace
}  // namespace platform::common
