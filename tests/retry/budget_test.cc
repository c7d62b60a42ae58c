// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/retry/budget.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "grpccommon/testing/fake_clock.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;

// Finagle's defaults.
constexpr RetryBudgetOptions kFinagle = {
    .ttl = 10s, .retry_share = 0.2, .min_retries_per_second = 10};

class RetryBudgetTest : public ::testing::Test {
 protected:
  void Create(const RetryBudgetOptions& options) {
    budget_ = *RetryBudget::Create(options);
  }

  void Call(int count) {
    for (int i = 0; i < count; ++i) budget_->OnCall(clock_.Now());
  }

  // How many retries it grants now.
  int Drain() {
    int granted = 0;
    while (budget_->TryRetry(clock_.Now())) ++granted;
    return granted;
  }

  testing::FakeClock clock_;
  std::unique_ptr<RetryBudget> budget_;
};

TEST_F(RetryBudgetTest, GrantsItsReserveToAClientThatHasNotCalledYet) {
  Create(kFinagle);
  EXPECT_EQ(budget_->available(clock_.Now()), 100);
  EXPECT_EQ(Drain(), 100);
  EXPECT_EQ(budget_->available(clock_.Now()), 0);
}

TEST_F(RetryBudgetTest, GrantsItsShareOfTheCallsOnTopOfTheReserve) {
  Create(kFinagle);
  Call(1004);
  EXPECT_EQ(Drain(), 300);
  Call(1);
  EXPECT_EQ(Drain(), 1);
}

TEST_F(RetryBudgetTest, CostsAreWholeNumbers) {
  Create({.retry_share = 0.3, .min_retries_per_second = 0});
  Call(3);  // deposit 3000, a retry costs 3333
  EXPECT_EQ(Drain(), 0);
  Call(3330);
  EXPECT_EQ(Drain(), 1000);
}

TEST_F(RetryBudgetTest, AShareAboveOneGrantsSeveralRetriesACall) {
  Create({.retry_share = 3, .min_retries_per_second = 0});
  Call(10);
  EXPECT_EQ(Drain(), 30);
}

TEST_F(RetryBudgetTest, WithoutAShareThereIsOnlyTheReserve) {
  Create({.ttl = 5s, .retry_share = 0, .min_retries_per_second = 3});
  Call(100'000);
  EXPECT_EQ(Drain(), 15);
}

TEST_F(RetryBudgetTest, WithNeitherItGrantsNothing) {
  Create({.retry_share = 0, .min_retries_per_second = 0});
  Call(1000);
  EXPECT_EQ(Drain(), 0);
}

TEST_F(RetryBudgetTest, ForgetsCallsATenthOfTheTtlEarlyAtMost) {
  Create({.retry_share = 0.2, .min_retries_per_second = 0});
  Call(100);
  clock_.Advance(9s);
  EXPECT_EQ(budget_->available(clock_.Now()), 20);
  clock_.Advance(1s);
  EXPECT_EQ(budget_->available(clock_.Now()), 0);
}

TEST_F(RetryBudgetTest, ForgetsRetriesToo) {
  Create({.retry_share = 0, .min_retries_per_second = 10});
  EXPECT_EQ(Drain(), 100);
  clock_.Advance(9s);
  EXPECT_EQ(Drain(), 0);
  clock_.Advance(1s);
  EXPECT_EQ(Drain(), 100);
}

TEST_F(RetryBudgetTest, OwesRetriesOfCallsThatAreForgottenFirst) {
  Create({.retry_share = 0.2, .min_retries_per_second = 0});
  Call(100);
  clock_.Advance(9s);
  EXPECT_EQ(Drain(), 20);
  clock_.Advance(1s);
  EXPECT_EQ(budget_->available(clock_.Now()), -20);
  Call(100);
  EXPECT_EQ(Drain(), 0);
  Call(5);
  EXPECT_EQ(Drain(), 1);
}

TEST_F(RetryBudgetTest, RemembersNothingAfterALongPause) {
  Create({.retry_share = 0.2, .min_retries_per_second = 0});
  Call(1000);
  clock_.Advance(24h * 365);
  EXPECT_EQ(Drain(), 0);
}

TEST_F(RetryBudgetTest, TakesATimeThatIsALittleOld) {
  Create({.retry_share = 0.2, .min_retries_per_second = 0});
  const Clock::TimePoint before = clock_.Now();
  clock_.Advance(1s);
  Call(5);
  budget_->OnCall(before);
  EXPECT_EQ(budget_->available(before), 1);
  EXPECT_TRUE(budget_->TryRetry(before));
  EXPECT_FALSE(budget_->TryRetry(clock_.Now()));
}

TEST_F(RetryBudgetTest, DropsACallOfAThreadThatSleptForAWholeTtl) {
  Create({.retry_share = 1, .min_retries_per_second = 0});
  const Clock::TimePoint before = clock_.Now();
  clock_.Advance(10s);
  Call(1);
  budget_->OnCall(before);
  EXPECT_EQ(Drain(), 1);
}

// The definition, word by word: sums over lists, no ring.
class Model {
 public:
  Model(std::int64_t ttl_ns, std::int64_t deposit, std::int64_t withdrawal,
        std::int64_t reserve)
      : part_ns_(ttl_ns / 10),
        deposit_(deposit),
        withdrawal_(withdrawal),
        reserve_(reserve) {}

  void OnCall(Clock::TimePoint now) {
    entries_.emplace_back(Part(now), deposit_);
  }
  bool TryRetry(Clock::TimePoint now) {
    while (!entries_.empty() && entries_.front().first <= Part(now) - 10) {
      entries_.pop_front();
    }
    std::int64_t balance = reserve_;
    for (const auto& [part, amount] : entries_) balance += amount;
    if (balance < withdrawal_) return false;
    entries_.emplace_back(Part(now), -withdrawal_);
    return true;
  }

 private:
  std::int64_t Part(Clock::TimePoint now) const {
    return now.time_since_epoch().count() / part_ns_;
  }
  std::int64_t part_ns_;
  std::int64_t deposit_;
  std::int64_t withdrawal_;
  std::int64_t reserve_;
  std::deque<std::pair<std::int64_t, std::int64_t>> entries_;
};

TEST_F(RetryBudgetTest, DoesWhatTheDefinitionSays) {
  const struct {
    RetryBudgetOptions options;
    std::int64_t deposit, withdrawal, reserve;
  } cases[] = {
      {kFinagle, 1000, 5000, 500'000},
      {{}, 1000, 10'000, 100'000},
      {{.ttl = 1s, .retry_share = 0.05, .min_retries_per_second = 1},
       1000,
       20'000,
       20'000},
      {{.ttl = 60s, .retry_share = 0.15, .min_retries_per_second = 0},
       1000,
       6666,
       0},
      {{.retry_share = 0, .min_retries_per_second = 2}, 0, 1, 20},
      {{.retry_share = 2.5, .min_retries_per_second = 0}, 1000, 400, 0},
  };
  std::mt19937_64 random(11);
  for (const auto& c : cases) {
    Create(c.options);
    Model model(c.options.ttl.count(), c.deposit, c.withdrawal, c.reserve);
    int granted = 0;
    int refused = 0;
    for (int i = 0; i < 20'000; ++i) {
      // Times when everything is retried, and times when little is.
      if (random() % 10 < (i / 500 % 2 == 0 ? 9U : 1U)) {
        const bool expected = model.TryRetry(clock_.Now());
        ASSERT_EQ(budget_->TryRetry(clock_.Now()), expected) << i;
        ++(expected ? granted : refused);
      } else {
        model.OnCall(clock_.Now());
        budget_->OnCall(clock_.Now());
      }
      if (random() % 100 == 0) {
        clock_.Advance(std::chrono::nanoseconds(
            random() % static_cast<std::uint64_t>(c.options.ttl.count())));
      }
    }
    EXPECT_GT(granted, 100);
    EXPECT_GT(refused, 50);
  }
}

// Times of the last so many seconds.
class Recent {
 public:
  explicit Recent(Clock::Duration length) : length_(length) {}
  void Add(Clock::TimePoint now) { times_.push_back(now); }
  int Count(Clock::TimePoint now) {
    while (!times_.empty() && times_.front() <= now - length_) {
      times_.pop_front();
    }
    return static_cast<int>(times_.size());
  }

 private:
  Clock::Duration length_;
  std::deque<Clock::TimePoint> times_;
};

TEST_F(RetryBudgetTest, NeverGrantsMoreThanItsShare) {
  Create(kFinagle);
  std::mt19937_64 random(5);
  Recent calls(10s);
  Recent retries(9s);
  int most = 0;
  for (int i = 0; i < 200'000; ++i) {
    clock_.Advance(std::chrono::nanoseconds(random() % 2'000'000));
    const Clock::TimePoint now = clock_.Now();
    // Bursts of calls, and times when everything is retried.
    if (random() % 1000 < (i / 10'000 % 2 == 0 ? 900 : 100)) {
      if (!budget_->TryRetry(now)) continue;
      retries.Add(now);
      ASSERT_LE(retries.Count(now), calls.Count(now) / 5 + 100) << i;
      most = std::max(most, retries.Count(now));
    } else {
      budget_->OnCall(now);
      calls.Add(now);
    }
  }
  EXPECT_GT(most, 500);  // and it did grant
}

TEST_F(RetryBudgetTest, RefusesOptionsOutOfRangeByName) {
  const auto message = [](const RetryBudgetOptions& options) {
    return std::string(RetryBudget::Create(options).status().message());
  };
  EXPECT_EQ(message({.ttl = 999ms}), "ttl must be in [1 s, 60 s], got 0.999 s");
  EXPECT_NE(message({.ttl = 61s}), "");
  EXPECT_EQ(message({.retry_share = 0.0001}),
            "retry_share must be in [0.001, 10], got 0.0001");
  EXPECT_NE(message({.retry_share = -0.1}), "");
  EXPECT_NE(message({.retry_share = 11}), "");
  EXPECT_NE(message({.retry_share = std::nan("")}), "");
  EXPECT_EQ(message({.min_retries_per_second = -1}),
            "min_retries_per_second must be in [0, 1e+06], got -1");
  EXPECT_EQ(message({.ttl = 60s,
                     .retry_share = 0.001,
                     .min_retries_per_second = 1'000'000}),
            "");
}

TEST_F(RetryBudgetTest, CountsEveryCallOfEveryThread) {
  Create({.retry_share = 1, .min_retries_per_second = 0});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50'000; ++i) {
        if (i % 1000 == 0) clock_.Advance(1ms);  // parts end meanwhile
        budget_->OnCall(clock_.Now());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(budget_->available(clock_.Now()), 200'000);
}

TEST_F(RetryBudgetTest, ThreadsTogetherGetNoMoreThanThereIs) {
  Create({.ttl = 1s, .retry_share = 0.5, .min_retries_per_second = 10});
  std::atomic<int> granted{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20'000; ++i) {
        budget_->OnCall(clock_.Now());
        if (budget_->TryRetry(clock_.Now())) ++granted;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(granted + Drain(), 40'010);
}

// Of many budgets with one retry left, which threads meet in the same order:
// the first to come is held up by its grant, so that the others catch up.
TEST(RetryBudgetThreadsTest, GrantTheLastRetryToOneOnly) {
  const Clock::TimePoint now(std::chrono::hours(1));
  std::vector<std::unique_ptr<RetryBudget>> budgets(5000);
  for (std::unique_ptr<RetryBudget>& budget : budgets) {
    budget =
        *RetryBudget::Create({.retry_share = 1, .min_retries_per_second = 0});
    budget->OnCall(now);
  }
  std::atomic<int> granted{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (const std::unique_ptr<RetryBudget>& budget : budgets) {
        if (budget->TryRetry(now)) ++granted;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(granted, 5000);
}

}  // namespace
}  // namespace grpccommon
