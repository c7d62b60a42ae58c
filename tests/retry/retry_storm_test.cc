// SPDX-License-Identifier: Apache-2.0
// A thousand clients, a back end that fails, and what retries make of it.
//
// The back end is a queue, as most are: what it bears is 13,000 calls a second,
// of which 10,000 come. It does not see that a client has given up, so once its
// queue is longer than clients wait, all its work is for nothing. For ten
// seconds it bears only 2500; then it is as before. Whether the clients let it
// recover is the question.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "grpccommon/retry/attempt_plan.h"
#include "grpccommon/retry/budget.h"
#include "grpccommon/retry/throttle.h"
#include "grpccommon/testing/fake_clock.h"
#include "retry/event_queue.h"
#include "support/time_series.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using grpc::StatusCode;

constexpr int kClients = 1000;
constexpr Clock::Duration kBetweenCalls = 100ms;  // of one client
constexpr int kOffered = 10'000;                  // calls a second, of all
constexpr int kCapacity = 13'000;
constexpr int kFailingCapacity = 2500;
constexpr Clock::Duration kTimeout = 1s;
constexpr Clock::Duration kAttemptTimeout = 200ms;
constexpr Clock::Duration kLongestQueue = 500ms;

constexpr int kFailsAt = 5;  // seconds
constexpr int kHealsAt = 15;
constexpr int kEndsAt = 30;

// First in, first out. Refuses what would wait longer than the queue is.
class BackEnd {
 public:
  void SetCapacity(int per_second) {
    service_ = Clock::Duration(1s) / per_second;
  }

  // When the answer is ready; none: refused.
  std::optional<Clock::TimePoint> Accept(Clock::TimePoint now) {
    const Clock::TimePoint starts = std::max(free_at_, now);
    if (starts - now > kLongestQueue) return std::nullopt;
    free_at_ = starts + service_;
    return free_at_;
  }

 private:
  Clock::Duration service_{};
  Clock::TimePoint free_at_{};
};

struct Second {
  int calls = 0;
  int attempts = 0;
  int good = 0;
};

using CreateAllowance = std::function<std::unique_ptr<RetryAllowance>()>;

class Storm {
 public:
  explicit Storm(const CreateAllowance& create_allowance) {
    for (Client& client : clients_) {
      client.allowance = create_allowance();
      client.policy.idempotent = true;
      client.policy.retry.attempt_timeout = kAttemptTimeout;
      client.policy.allowance = client.allowance.get();
    }
  }

  // What happened in each second.
  const std::vector<Second>& Run() {
    for (std::uint32_t i = 0; i < kClients; ++i) {
      events_.Add(clock_.Now() + Between(0, 1), {Event::kCall, i, {}});
    }
    RunUntil(kFailsAt, kCapacity);
    RunUntil(kHealsAt, kFailingCapacity);
    RunUntil(kEndsAt, kCapacity);
    return seconds_;
  }

 private:
  struct Client {
    AttemptPolicy policy;
    std::unique_ptr<RetryAllowance> allowance;
  };
  struct Call {
    AttemptPlan plan;
    Clock::TimePoint deadline;
  };
  struct Event {
    enum { kCall, kAttemptEnd, kTimer } what;
    std::uint32_t index;  // of the client, or of the call
    AttemptEnd end;
  };

  void RunUntil(int second, int capacity) {
    back_end_.SetCapacity(capacity);
    events_.RunUntil(start_ + std::chrono::seconds(second),
                     [this](const Event& event) { Handle(event); });
  }

  void Handle(const Event& event) {
    const Clock::TimePoint now = clock_.Now();
    if (event.what == Event::kCall) {
      events_.Add(now + Between(0.5, 1.5), event);
      Begin(clients_[event.index].policy);
    } else if (event.what == Event::kTimer) {
      Follow(event.index, calls_[event.index].plan.OnTimer(now));
    } else {
      AttemptPlan& plan = calls_[event.index].plan;
      Follow(event.index, plan.OnAttemptEnd(event.end, now));
      if (event.end.code == StatusCode::OK) ++Now().good;
    }
  }

  void Begin(const AttemptPolicy& policy) {
    const Clock::TimePoint now = clock_.Now();
    const Clock::TimePoint deadline = now + kTimeout;
    ++Now().calls;
    calls_.push_back({AttemptPlan(policy, random_, deadline), deadline});
    const auto index = static_cast<std::uint32_t>(calls_.size() - 1);
    Follow(index, calls_.back().plan.Start(now));
  }

  void Follow(std::uint32_t index, const PlanStep& step) {
    if (step.wake.has_value()) {
      events_.Add(*step.wake, {Event::kTimer, index, {}});
    }
    if (step.send) Send(index);
  }

  // How the attempt will end is known at once: the queue has only one order.
  void Send(std::uint32_t index) {
    const Clock::TimePoint now = clock_.Now();
    ++Now().attempts;
    const Call& call = calls_[index];
    const Clock::TimePoint limit = *call.plan.AttemptDeadline(now);
    const std::optional<Clock::TimePoint> answer = back_end_.Accept(now);
    Event event = {Event::kAttemptEnd, index, {}};
    Clock::TimePoint at = now;
    if (!answer.has_value()) {
      event.end.code = StatusCode::UNAVAILABLE;
    } else if (*answer <= limit) {
      at = *answer;
    } else {
      at = limit;
      event.end.code = StatusCode::DEADLINE_EXCEEDED;
      event.end.deadline_passed = limit == call.deadline;
    }
    events_.Add(at, event);
  }

  Second& Now() {
    return seconds_[static_cast<std::size_t>((clock_.Now() - start_) / 1s)];
  }
  Clock::Duration Between(double low, double high) {
    return Clock::Duration(static_cast<std::int64_t>(
        std::uniform_real_distribution<double>(low, high)(generator_) *
        static_cast<double>(kBetweenCalls.count())));
  }

  testing::FakeClock clock_;
  const Clock::TimePoint start_ = clock_.Now();
  EventQueue<Event> events_{clock_};
  std::mt19937_64 generator_{1};
  Random random_ = [this] {
    return std::uniform_real_distribution<double>()(generator_);
  };
  BackEnd back_end_;
  std::vector<Client> clients_{kClients};
  std::vector<Call> calls_;
  std::vector<Second> seconds_{kEndsAt + 1};
};

struct Verdict {
  // Attempts for each call while the back end fails, and in the worst ten
  // seconds of all.
  double amplification = 0;
  double worst = 0;
  // Seconds from when it heals until good answers are 95 % of what is asked
  // for, and stay so; none: never.
  std::optional<int> recovers_in;
};

Verdict Judge(const char* name, const CreateAllowance& create_allowance) {
  Storm storm(create_allowance);
  const std::vector<Second>& seconds = storm.Run();
  test::TimeSeries series(std::string("storm_") + name,
                          {"calls", "attempts", "good"});
  series.Mark(kFailsAt * 1000, "bears a fifth");
  series.Mark(kHealsAt * 1000, "as before");
  for (int i = 0; i < kEndsAt; ++i) {
    const Second& second = seconds[static_cast<std::size_t>(i)];
    series.Add(i * 1000, {double(second.calls), double(second.attempts),
                          double(second.good)});
  }
  const auto good = [&](int second) {
    return seconds[static_cast<std::size_t>(second)].good >= kOffered * 0.95;
  };
  // It was well before, or there is nothing to recover.
  for (int second = 1; second < kFailsAt; ++second) {
    EXPECT_TRUE(good(second)) << name << ", second " << second;
  }
  Verdict verdict;
  const auto amplification = [&](int from, int to) {
    int calls = 0;
    int attempts = 0;
    for (int second = from; second < to; ++second) {
      calls += seconds[static_cast<std::size_t>(second)].calls;
      attempts += seconds[static_cast<std::size_t>(second)].attempts;
    }
    return static_cast<double>(attempts) / calls;
  };
  verdict.amplification = amplification(kFailsAt, kHealsAt);
  for (int second = 10; second <= kEndsAt; ++second) {
    verdict.worst = std::max(verdict.worst, amplification(second - 10, second));
  }
  int recovered_at = kEndsAt;
  while (good(recovered_at - 1)) --recovered_at;
  if (recovered_at < kEndsAt) verdict.recovers_in = recovered_at - kHealsAt;

  std::printf("%-18s amplification %.3f, at worst %.3f, recovers in %s\n", name,
              verdict.amplification, verdict.worst,
              verdict.recovers_in.has_value()
                  ? (std::to_string(*verdict.recovers_in) + " s").c_str()
                  : "never");
  return verdict;
}

TEST(RetryStormTest, UnlimitedRetriesKeepAHealedBackEndDown) {
  const Verdict verdict = Judge("unlimited", [] { return nullptr; });
  EXPECT_GT(verdict.amplification, 2.5);
  EXPECT_EQ(verdict.recovers_in, std::nullopt);
}

TEST(RetryStormTest, TheBudgetBoundsAmplificationAndLetsItRecover) {
  const Verdict verdict =
      Judge("budget", [] { return *RetryBudget::Create(); });
  EXPECT_LE(verdict.amplification, 1.2);
  EXPECT_LE(verdict.worst, 1.2);
  EXPECT_GT(verdict.amplification, 1.1);  // and retries what it may
  ASSERT_TRUE(verdict.recovers_in.has_value());
  EXPECT_LE(*verdict.recovers_in, 10);
}

TEST(RetryStormTest, TheThrottleOfGrpcDoesSoToo) {
  const Verdict verdict =
      Judge("throttle", [] { return *RetryThrottle::Create(); });
  EXPECT_LE(verdict.amplification, 1.2);
  ASSERT_TRUE(verdict.recovers_in.has_value());
  EXPECT_LE(*verdict.recovers_in, 10);
}

// Why our defaults are not Finagle's: ten retries a second are nothing for one
// busy client, and the load once more from a thousand that are not.
TEST(RetryStormTest, AReserveForEachOfManySlowClientsIsHardlyABound) {
  const Verdict verdict = Judge("finagle_defaults", [] {
    return *RetryBudget::Create(
        {.retry_share = 0.2, .min_retries_per_second = 10});
  });
  EXPECT_GT(verdict.amplification, 2);
  EXPECT_LE(verdict.amplification, 2.2);  // 1 + 0.2 + 10 / 10
}

}  // namespace
}  // namespace grpccommon
