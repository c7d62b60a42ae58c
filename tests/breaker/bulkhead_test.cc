// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/breaker/bulkhead.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "grpccommon/status/details.h"
#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/testing/status_matchers.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using ::grpccommon::testing::FakeClock;
using ::grpccommon::testing::FakeScheduler;
using ::grpccommon::testing::HasReason;
using ::grpccommon::testing::IsOk;
using ::grpccommon::testing::MessageIs;
using ::grpccommon::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

using Permit = Bulkhead::Permit;

constexpr Clock::TimePoint kNoDeadline = Clock::TimePoint::max();

class BulkheadTest : public ::testing::Test {
 protected:
  Bulkhead* Create(const BulkheadOptions& options) {
    bulkheads_.push_back(
        *Bulkhead::Create("users", options, clock_, [] { return 0.5; }));
    return bulkheads_.back().get();
  }

  // Puts what `done` is told into `results_`, with the number of who waits.
  Bulkhead::Done Keep(int who) {
    return [this, who](absl::StatusOr<Permit> result) {
      results_.emplace_back(who, std::move(result));
    };
  }
  std::vector<int> Answered() const {
    std::vector<int> answered;
    for (const auto& [who, result] : results_) answered.push_back(who);
    return answered;
  }

  FakeClock clock_;
  FakeScheduler scheduler_{clock_};
  std::vector<std::unique_ptr<Bulkhead>> bulkheads_;
  std::vector<std::pair<int, absl::StatusOr<Permit>>> results_;
};

TEST_F(BulkheadTest, AdmitsUpToItsLimitAndAgainAfterOneIsBack) {
  Bulkhead* const bulkhead = Create({.max_in_flight = 2});
  Permit first = bulkhead->TryAcquire();
  Permit second = bulkhead->TryAcquire();
  EXPECT_TRUE(first);
  EXPECT_TRUE(second);
  EXPECT_FALSE(bulkhead->TryAcquire());
  EXPECT_EQ(bulkhead->stats().in_flight, 2);
  EXPECT_EQ(bulkhead->stats().refused_total, 1u);
  first.Release();
  EXPECT_FALSE(first);
  first.Release();
  EXPECT_EQ(bulkhead->stats().in_flight, 1);
  EXPECT_TRUE(bulkhead->TryAcquire());
}

TEST_F(BulkheadTest, PermitsMoveAndGiveBackWhatTheyReplace) {
  Bulkhead* const bulkhead = Create({.max_in_flight = 2});
  {
    Permit first = bulkhead->TryAcquire();
    Permit second = bulkhead->TryAcquire();
    first = std::move(second);
    EXPECT_FALSE(second);  // NOLINT(bugprone-use-after-move): is empty
    EXPECT_EQ(bulkhead->stats().in_flight, 1);
    Permit& same = first;
    first = std::move(same);
    EXPECT_TRUE(first);
    const Permit third(std::move(first));
    EXPECT_EQ(bulkhead->stats().in_flight, 1);
  }
  EXPECT_EQ(bulkhead->stats().in_flight, 0);
}

TEST_F(BulkheadTest, AnswersAtOnceWhenAPlaceIsFree) {
  Bulkhead* const bulkhead = Create({.max_in_flight = 1});
  EXPECT_THAT(bulkhead->Acquire(kNoDeadline), IsOk());
  bulkhead->AcquireAsync(kNoDeadline, scheduler_, Keep(1));
  ASSERT_THAT(Answered(), ElementsAre(1));
  EXPECT_THAT(results_[0].second, IsOk());
  EXPECT_EQ(scheduler_.pending(), 0u);
}

TEST_F(BulkheadTest, GivesAFreePlaceEvenAfterTheDeadline) {
  Bulkhead* const bulkhead = Create({.max_in_flight = 1});
  EXPECT_THAT(bulkhead->Acquire(Clock::TimePoint::min()), IsOk());
}

TEST_F(BulkheadTest, HandsPlacesOverInTheOrderOfArrival) {
  Bulkhead* const bulkhead = Create({.max_in_flight = 1, .max_waiting = 3});
  Permit holder = bulkhead->TryAcquire();
  for (int who = 1; who <= 3; ++who) {
    bulkhead->AcquireAsync(kNoDeadline, scheduler_, Keep(who));
  }
  EXPECT_EQ(bulkhead->stats().waiting, 3);
  EXPECT_EQ(scheduler_.pending(), 3u);
  holder.Release();
  ASSERT_THAT(Answered(), ElementsAre(1));
  EXPECT_FALSE(bulkhead->TryAcquire()) << "overtook two";
  EXPECT_EQ(bulkhead->stats().in_flight, 1);
  results_[0].second->Release();
  results_[1].second->Release();
  EXPECT_THAT(Answered(), ElementsAre(1, 2, 3));
  EXPECT_EQ(bulkhead->stats().waiting, 0);
  EXPECT_EQ(scheduler_.pending(), 0u);
}

TEST_F(BulkheadTest, RefusesThoseWhoFindNoPlaceToWait) {
  const auto bulkhead =
      Create({.max_in_flight = 1, .max_waiting = 1, .retry_delay = 200ms});
  const Permit holder = bulkhead->TryAcquire();
  bulkhead->AcquireAsync(kNoDeadline, scheduler_, Keep(1));
  bulkhead->AcquireAsync(kNoDeadline, scheduler_, Keep(2));
  ASSERT_THAT(Answered(), ElementsAre(2));
  EXPECT_THAT(results_[0].second,
              AllOf(StatusIs(absl::StatusCode::kResourceExhausted),
                    HasReason("BULKHEAD_FULL"),
                    MessageIs("users has 1 calls in flight and 1 waiting, its "
                              "limits; try again later, or elsewhere")));
  EXPECT_EQ(RetryDelayOf(results_[0].second.status()), 200ms);
  EXPECT_THAT(bulkhead->Acquire(kNoDeadline), HasReason("BULKHEAD_FULL"));
  EXPECT_EQ(bulkhead->stats().refused_total, 2u);
}

TEST_F(BulkheadTest, SpreadsTheTimeOfTheNextTry) {
  double random = 0;
  const auto bulkhead = *Bulkhead::Create(
      "users", {.max_in_flight = 1, .max_waiting = 0, .retry_delay = 100ms},
      clock_, [&random] { return random; });
  const Permit holder = bulkhead->TryAcquire();
  EXPECT_EQ(RetryDelayOf(bulkhead->Acquire(kNoDeadline).status()), 50ms);
  random = 0.75;
  EXPECT_EQ(RetryDelayOf(bulkhead->Acquire(kNoDeadline).status()), 125ms);
}

TEST_F(BulkheadTest, LetsNobodyWaitWhereThatIsNotWanted) {
  for (const BulkheadOptions& options :
       {BulkheadOptions{.max_in_flight = 1, .max_waiting = 0},
        BulkheadOptions{.max_in_flight = 1, .max_wait = 0ms}}) {
    Bulkhead* const bulkhead = Create(options);
    const Permit holder = bulkhead->TryAcquire();
    EXPECT_THAT(bulkhead->Acquire(kNoDeadline), HasReason("BULKHEAD_FULL"));
    results_.clear();
    bulkhead->AcquireAsync(kNoDeadline, scheduler_, Keep(1));
    ASSERT_THAT(Answered(), ElementsAre(1));
    EXPECT_THAT(results_[0].second, HasReason("BULKHEAD_FULL"));
    EXPECT_EQ(bulkhead->stats().waiting, 0);
  }
}

TEST_F(BulkheadTest, GivesUpAfterTheLongestWait) {
  Bulkhead* const bulkhead = Create({.max_in_flight = 1, .max_wait = 50ms});
  Permit holder = bulkhead->TryAcquire();
  bulkhead->AcquireAsync(kNoDeadline, scheduler_, Keep(1));
  clock_.Advance(50ms - 1ns);
  EXPECT_THAT(Answered(), IsEmpty());
  clock_.Advance(1ns);
  ASSERT_THAT(Answered(), ElementsAre(1));
  EXPECT_THAT(
      results_[0].second,
      AllOf(StatusIs(absl::StatusCode::kResourceExhausted),
            HasReason("BULKHEAD_TIMEOUT"), MessageIs(HasSubstr("users")),
            MessageIs(HasSubstr("try again"))));
  EXPECT_EQ(RetryDelayOf(results_[0].second.status()), 100ms);
  EXPECT_EQ(bulkhead->stats().waiting, 0);
  EXPECT_EQ(bulkhead->stats().timed_out_total, 1u);
  holder.Release();
  EXPECT_TRUE(bulkhead->TryAcquire());
}

TEST_F(BulkheadTest, GivesUpAtTheDeadline) {
  Bulkhead* const bulkhead = Create({.max_in_flight = 1, .max_wait = 50ms});
  const Permit holder = bulkhead->TryAcquire();
  bulkhead->AcquireAsync(clock_.Now() + 20ms, scheduler_, Keep(1));
  clock_.Advance(20ms - 1ns);
  EXPECT_THAT(Answered(), IsEmpty());
  clock_.Advance(1ns);
  ASSERT_THAT(Answered(), ElementsAre(1));
  EXPECT_THAT(
      results_[0].second,
      AllOf(StatusIs(absl::StatusCode::kDeadlineExceeded),
            HasReason("BULKHEAD_TIMEOUT"), MessageIs(HasSubstr("deadline"))));
}

TEST_F(BulkheadTest, DoesNotQueueACallWhoseDeadlineHasPassed) {
  Bulkhead* const bulkhead = Create({.max_in_flight = 1});
  const Permit holder = bulkhead->TryAcquire();
  bulkhead->AcquireAsync(clock_.Now() - 1ns, scheduler_, Keep(1));
  ASSERT_THAT(Answered(), ElementsAre(1));
  EXPECT_THAT(results_[0].second,
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(bulkhead->Acquire(Clock::TimePoint::min()),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_EQ(scheduler_.pending(), 0u);
}

TEST_F(BulkheadTest, ForgetsACancelledWaiter) {
  Bulkhead* const bulkhead = Create({.max_in_flight = 1});
  Permit holder = bulkhead->TryAcquire();
  const auto first = bulkhead->AcquireAsync(kNoDeadline, scheduler_, Keep(1));
  bulkhead->AcquireAsync(kNoDeadline, scheduler_, Keep(2));
  EXPECT_TRUE(bulkhead->Cancel(first));
  EXPECT_FALSE(bulkhead->Cancel(first));
  EXPECT_EQ(scheduler_.pending(), 1u);
  EXPECT_EQ(bulkhead->stats().waiting, 1);
  holder.Release();
  EXPECT_THAT(Answered(), ElementsAre(2));
}

TEST_F(BulkheadTest, CannotCancelWhatWasAnswered) {
  Bulkhead* const bulkhead = Create({.max_in_flight = 1, .max_wait = 10ms});
  const auto admitted =
      bulkhead->AcquireAsync(kNoDeadline, scheduler_, Keep(1));
  EXPECT_FALSE(bulkhead->Cancel(admitted));
  const auto expired = bulkhead->AcquireAsync(kNoDeadline, scheduler_, Keep(2));
  clock_.Advance(10ms);
  EXPECT_FALSE(bulkhead->Cancel(expired));
}

TEST_F(BulkheadTest, FreesThePlaceWhenTheLastWaiterHasGone) {
  Bulkhead* const bulkhead = Create({.max_in_flight = 1});
  Permit holder = bulkhead->TryAcquire();
  const auto waiter = bulkhead->AcquireAsync(kNoDeadline, scheduler_, Keep(1));
  EXPECT_TRUE(bulkhead->Cancel(waiter));
  holder.Release();
  EXPECT_EQ(bulkhead->stats().in_flight, 0);
  EXPECT_TRUE(bulkhead->TryAcquire());
}

TEST_F(BulkheadTest, GivesBackAPlaceThatIsNotTaken) {
  Bulkhead* const bulkhead = Create({.max_in_flight = 1});
  Permit holder = bulkhead->TryAcquire();
  for (int who = 1; who <= 3; ++who) {
    bulkhead->AcquireAsync(kNoDeadline, scheduler_,
                           [](absl::StatusOr<Permit>) {});
  }
  holder.Release();
  EXPECT_EQ(bulkhead->stats().in_flight, 0);
  EXPECT_EQ(bulkhead->stats().waiting, 0);
}

TEST_F(BulkheadTest, ChainsOfCallsDoNotGrowTheStack) {
  constexpr int kCalls = 100'000;
  const auto scheduler = CreateScheduler();
  Bulkhead* const bulkhead =
      Create({.max_in_flight = 1, .max_waiting = kCalls, .max_wait = 1h});
  int done = 0;
  Permit holder = bulkhead->TryAcquire();
  for (int i = 0; i < kCalls; ++i) {
    bulkhead->AcquireAsync(kNoDeadline, *scheduler,
                           [&done](absl::StatusOr<Permit> permit) {
                             done += permit.ok();
                             permit->Release();  // hands over to the next
                           });
  }
  holder.Release();
  EXPECT_EQ(done, kCalls);
  // Each call starts the next one, and there always is a place.
  std::function<void()> start = [&] {
    bulkhead->AcquireAsync(kNoDeadline, *scheduler,
                           [&](absl::StatusOr<Permit> permit) {
                             permit->Release();
                             if (--done > 0) start();
                           });
  };
  start();
  EXPECT_EQ(done, 0);
}

TEST_F(BulkheadTest, BlocksUntilAPlaceComesFree) {
  Bulkhead* const bulkhead = Create({.max_in_flight = 1, .max_wait = 1h});
  Permit holder = bulkhead->TryAcquire();
  std::thread other(
      [&bulkhead] { EXPECT_THAT(bulkhead->Acquire(kNoDeadline), IsOk()); });
  while (bulkhead->stats().waiting == 0) std::this_thread::yield();
  holder.Release();
  other.join();
  EXPECT_EQ(bulkhead->stats().in_flight, 0);
}

TEST_F(BulkheadTest, BlocksNoLongerThanItMay) {
  const auto bulkhead =
      *Bulkhead::Create("users", {.max_in_flight = 1, .max_wait = 1ms});
  const Permit holder = bulkhead->TryAcquire();
  EXPECT_THAT(bulkhead->Acquire(kNoDeadline),
              AllOf(StatusIs(absl::StatusCode::kResourceExhausted),
                    HasReason("BULKHEAD_TIMEOUT")));
  EXPECT_THAT(bulkhead->Acquire(SteadyClock().Now() + 500us),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_EQ(bulkhead->stats().waiting, 0);
  EXPECT_EQ(bulkhead->stats().timed_out_total, 2u);
}

TEST_F(BulkheadTest, RefusesOptionsThatAreOutOfRange) {
  const std::vector<std::pair<BulkheadOptions, std::string>> cases = {
      {{.max_in_flight = 0}, "max_in_flight"},
      {{.max_in_flight = 1'000'001}, "max_in_flight"},
      {{.max_waiting = -1}, "max_waiting"},
      {{.max_waiting = 1'000'001}, "max_waiting"},
      {{.max_wait = -1ns}, "max_wait"},
      {{.max_wait = 1h + 1ns}, "max_wait"},
      {{.retry_delay = -1ns}, "retry_delay"},
      {{.retry_delay = 1h + 1ns}, "retry_delay"}};
  for (const auto& [options, name] : cases) {
    EXPECT_THAT(Bulkhead::Create("users", options),
                AllOf(StatusIs(absl::StatusCode::kInvalidArgument),
                      MessageIs(HasSubstr(name))));
  }
  EXPECT_THAT(Bulkhead::Create("users", {.max_in_flight = 1'000'000,
                                         .max_waiting = 1'000'000,
                                         .max_wait = 1h,
                                         .retry_delay = 1h}),
              IsOk());
  EXPECT_THAT(Bulkhead::Create("users", {.max_in_flight = 1,
                                         .max_waiting = 0,
                                         .max_wait = 0ns,
                                         .retry_delay = 0ns}),
              IsOk());
}

// Many threads that try, block, wait by callback, and cancel: never more in
// flight than the limit, everyone is answered once, and nothing is left over.
TEST(BulkheadStressTest, KeepsItsLimitAndLosesNobody) {
  constexpr int kThreads = 8;
  constexpr int kRounds = 4000;
  constexpr int kLimit = 3;
  const auto scheduler = CreateScheduler();
  const auto bulkhead = *Bulkhead::Create(
      "users", {.max_in_flight = kLimit, .max_waiting = 6, .max_wait = 10ms});
  std::atomic<int> in_flight{0};
  std::atomic<int> most{0};
  std::atomic<int> admitted{0};
  std::atomic<int> asked{0};
  std::atomic<int> answered{0};
  std::atomic<int> cancelled{0};
  const auto work = [&](Permit permit) {
    const int now = in_flight.fetch_add(1) + 1;
    int seen = most.load();
    while (now > seen && !most.compare_exchange_weak(seen, now)) {
    }
    ++admitted;
    std::this_thread::yield();
    --in_flight;
    permit.Release();
  };
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kRounds; ++i) {
        switch ((i + t) % 4) {
          case 0:
            if (Permit permit = bulkhead->TryAcquire()) work(std::move(permit));
            break;
          case 1: {
            absl::StatusOr<Permit> permit = bulkhead->Acquire(kNoDeadline);
            if (permit.ok()) work(*std::move(permit));
            break;
          }
          default: {
            ++asked;
            const auto id = bulkhead->AcquireAsync(
                SteadyClock().Now() + (i % 2 == 0 ? 1ms : 100ms), *scheduler,
                [&](absl::StatusOr<Permit> permit) {
                  ++answered;
                  if (permit.ok()) work(*std::move(permit));
                });
            if ((i + t) % 4 == 3 && bulkhead->Cancel(id)) ++cancelled;
          }
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  while (answered + cancelled < asked) std::this_thread::yield();
  while (bulkhead->stats().in_flight > 0) std::this_thread::yield();
  EXPECT_EQ(answered + cancelled, asked);
  EXPECT_LE(most, kLimit);
  EXPECT_GT(admitted, 0);
  EXPECT_EQ(bulkhead->stats().waiting, 0);
  EXPECT_TRUE(bulkhead->TryAcquire());
}

}  // namespace
}  // namespace grpccommon
