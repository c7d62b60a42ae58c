// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/balance/outlier_detector.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <thread>
#include <utility>

#include "grpccommon/testing/fake_clock.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;

class OutlierDetectorTest : public ::testing::Test {
 protected:
  void Watch(int count, const OutlierOptions& options = {}) {
    while (endpoints_.size() < static_cast<std::size_t>(count)) {
      endpoints_.push_back(std::make_shared<Endpoint>(
          EndpointOptions{.address = std::to_string(endpoints_.size())}));
    }
    detector_ = *OutlierDetector::Create(
        options, [this] { return chance_; },
        [this](const Endpoint& endpoint, EjectionEvent event) {
          events_.emplace_back(endpoint.address(), event);
        });
    detector_->Update(endpoints_, clock_.Now());
  }

  // Ends one call; returns whether the set has changed.
  bool End(int index, Outcome outcome) {
    Endpoint& endpoint = *endpoints_[static_cast<std::size_t>(index)];
    endpoint.OnStart(clock_.Now());
    const int failures = endpoint.OnEnd(outcome, 1ms, clock_.Now());
    return detector_->OnEnd(endpoint, failures, clock_.Now());
  }
  // Failures and successes, without ever five failures in a row.
  void Calls(int index, int failures, int successes) {
    Endpoint& endpoint = *endpoints_[static_cast<std::size_t>(index)];
    for (int i = 0; i < failures + successes; ++i) {
      endpoint.OnStart(clock_.Now());
      endpoint.OnEnd(i < failures ? Outcome::kFailure : Outcome::kSuccess, 1ms,
                     clock_.Now());
    }
  }
  bool Fail(int index, int times) {
    bool changed = false;
    for (int i = 0; i < times; ++i) changed |= End(index, Outcome::kFailure);
    return changed;
  }
  bool NextInterval() {
    clock_.Advance(10s);
    return detector_->Tick(clock_.Now());
  }
  std::string Ejected() const {
    std::string names;
    for (const auto& endpoint : endpoints_) {
      if (endpoint->ejected()) names += endpoint->address();
    }
    return names;
  }

  testing::FakeClock clock_;
  std::vector<std::shared_ptr<Endpoint>> endpoints_;
  double chance_ = 0.999;
  std::vector<std::pair<std::string, EjectionEvent>> events_;
  std::unique_ptr<OutlierDetector> detector_;
};

TEST_F(OutlierDetectorTest, EjectsAfterFiveFailuresInARowAtOnce) {
  Watch(3);
  EXPECT_FALSE(Fail(0, 4));
  EXPECT_FALSE(End(0, Outcome::kSuccess));
  EXPECT_FALSE(Fail(0, 4));
  EXPECT_FALSE(End(0, Outcome::kIgnored));
  EXPECT_TRUE(End(0, Outcome::kFailure));
  EXPECT_EQ(Ejected(), "0");
  EXPECT_EQ(detector_->ejected(), 1u);
  ASSERT_EQ(events_.size(), 1u);
  EXPECT_EQ(events_[0].second, EjectionEvent::kConsecutiveFailures);
  // What it had in flight changes nothing any more.
  EXPECT_FALSE(Fail(0, 20));
  EXPECT_EQ(events_.size(), 1u);
}

TEST_F(OutlierDetectorTest, EjectsOneWhateverThePercentageAndNoMore) {
  Watch(3);
  EXPECT_TRUE(Fail(0, 5));
  EXPECT_FALSE(Fail(1, 20));
  EXPECT_EQ(Ejected(), "0");
}

TEST_F(OutlierDetectorTest, EjectsUpToThePercentage) {
  Watch(10, {.max_ejection_percent = 25});
  for (int i = 0; i < 10; ++i) Fail(i, 5);
  // 0, 10 and 20 % are less than 25.
  EXPECT_EQ(Ejected(), "012");
}

TEST_F(OutlierDetectorTest, TriesAgainAfterAsManyFailures) {
  Watch(3);
  Fail(0, 5);
  Fail(1, 9);
  clock_.Advance(30s);
  EXPECT_TRUE(detector_->Tick(clock_.Now()));  // 0 returns
  EXPECT_EQ(Ejected(), "");
  EXPECT_TRUE(End(1, Outcome::kFailure));
  EXPECT_EQ(Ejected(), "1");
}

TEST_F(OutlierDetectorTest, NeverEjectsTheLast) {
  Watch(1, {.max_ejection_percent = 100});
  EXPECT_FALSE(Fail(0, 50));
  Watch(3, {.max_ejection_percent = 100});
  for (int i = 0; i < 3; ++i) Fail(i, 50);
  EXPECT_EQ(Ejected(), "01");
}

TEST_F(OutlierDetectorTest, NeverEjectsTheLastWhenTheOthersHaveGone) {
  Watch(3, {.max_ejection_percent = 100});
  Fail(0, 5);
  detector_->Update({endpoints_[0], endpoints_[1]}, clock_.Now());
  EXPECT_EQ(Ejected(), "0");
  EXPECT_FALSE(Fail(1, 5));
}

TEST_F(OutlierDetectorTest, LetsReturnAfterTheBaseTime) {
  Watch(3);
  Fail(0, 5);
  EXPECT_FALSE(NextInterval());
  EXPECT_FALSE(NextInterval());
  EXPECT_EQ(Ejected(), "0");
  EXPECT_TRUE(NextInterval());
  EXPECT_EQ(Ejected(), "");
  EXPECT_EQ(detector_->ejected(), 0u);
  ASSERT_EQ(events_.size(), 2u);
  EXPECT_EQ(events_[1].second, EjectionEvent::kReturned);
}

TEST_F(OutlierDetectorTest, LetsReturnSlowlyAndForgivesTheFailures) {
  Watch(3);
  Fail(0, 5);
  clock_.Advance(30s);
  detector_->Tick(clock_.Now());
  EXPECT_DOUBLE_EQ(endpoints_[0]->SlowStartShare(clock_.Now()), 0.1);
  EXPECT_EQ(endpoints_[0]->Cost(clock_.Now()), 0);
  EXPECT_FALSE(Fail(0, 4));
  EXPECT_TRUE(Fail(0, 1));
}

TEST_F(OutlierDetectorTest, EjectsForLongerEachTimeUpToTheMost) {
  Watch(3, {.max_ejection_time = 70s});
  for (const auto lasts : {30s, 60s, 70s, 70s}) {
    Fail(0, 5);
    const Clock::TimePoint start = clock_.Now();
    while (Ejected() == "0") NextInterval();
    EXPECT_EQ(clock_.Now() - start, lasts);
  }
}

TEST_F(OutlierDetectorTest, EjectsForTheBaseTimeIfThatIsTheLongest) {
  Watch(3, {.base_ejection_time = 100s, .max_ejection_time = 10s});
  for (int i = 0; i < 2; ++i) {
    Fail(0, 5);
    const Clock::TimePoint start = clock_.Now();
    while (Ejected() == "0") NextInterval();
    EXPECT_EQ(clock_.Now() - start, 100s);
  }
}

TEST_F(OutlierDetectorTest, ForgivesOneEjectionForEachCleanInterval) {
  Watch(3);
  const auto eject = [this] {
    Fail(0, 5);
    const Clock::TimePoint start = clock_.Now();
    while (Ejected() == "0") NextInterval();
    return clock_.Now() - start;
  };
  EXPECT_EQ(eject(), 30s);
  EXPECT_EQ(eject(), 60s);
  NextInterval();
  EXPECT_EQ(eject(), 60s);
  NextInterval();
  NextInterval();
  NextInterval();
  NextInterval();
  EXPECT_EQ(eject(), 30s);
}

TEST_F(OutlierDetectorTest, EjectsWhoSucceedsMuchLessThanTheOthers) {
  Watch(6);
  for (int i = 0; i < 5; ++i) Calls(i, 1, 99);
  // Mean 0.9083, deviation 0.1826: below 0.5613 is out.
  Calls(5, 50, 50);
  EXPECT_TRUE(NextInterval());
  EXPECT_EQ(Ejected(), "5");
  EXPECT_EQ(events_[0].second, EjectionEvent::kSuccessRate);
}

TEST_F(OutlierDetectorTest, EjectsNobodyWhoIsNotFarFromTheMean) {
  Watch(5);
  // 1, 1, 0.9, 0.8, 0.8: mean 0.9, deviation 0.0894; 0.73 would be out.
  Calls(0, 0, 100);
  Calls(1, 0, 100);
  Calls(2, 10, 90);
  Calls(3, 20, 80);
  Calls(4, 20, 80);
  EXPECT_FALSE(NextInterval());
  // With a factor of 1.1, 0.8016 is.
  Watch(5, {.success_rate = SuccessRateEjection{.stdev_factor = 1.1}});
  Calls(0, 0, 100);
  Calls(1, 0, 100);
  Calls(2, 10, 90);
  Calls(3, 20, 80);
  Calls(4, 20, 80);
  EXPECT_TRUE(NextInterval());
  // One of the two: the limit is ten percent.
  EXPECT_EQ(Ejected().size(), 1u);
}

TEST_F(OutlierDetectorTest, NeedsFiveHostsOfAHundredCallsForTheSuccessRate) {
  Watch(6);
  for (int i = 0; i < 3; ++i) Calls(i, 0, 100);
  Calls(3, 0, 99);
  Calls(4, 0, 99);
  Calls(5, 60, 40);
  EXPECT_FALSE(NextInterval());
  for (int i = 0; i < 4; ++i) Calls(i, 0, 100);
  Calls(4, 0, 99);
  Calls(5, 60, 40);
  EXPECT_TRUE(NextInterval());  // 4 is not counted; five are
  EXPECT_EQ(Ejected(), "5");
}

TEST_F(OutlierDetectorTest, LeavesOutWhoHasTooFewCallsForTheSuccessRate) {
  Watch(6);
  for (int i = 0; i < 5; ++i) Calls(i, 0, 100);
  Calls(5, 99, 0);
  EXPECT_FALSE(detector_->OnEnd(*endpoints_[0], 0, clock_.Now()));
  Watch(6, {.failure_percentage = std::nullopt});
  for (int i = 0; i < 5; ++i) Calls(i, 0, 100);
  Calls(5, 99, 0);
  EXPECT_FALSE(NextInterval());
}

TEST_F(OutlierDetectorTest, CountsEachIntervalForItself) {
  Watch(6);
  for (int i = 0; i < 5; ++i) Calls(i, 0, 60);
  Calls(5, 40, 20);
  EXPECT_FALSE(NextInterval());
  for (int i = 0; i < 5; ++i) Calls(i, 0, 60);
  Calls(5, 40, 20);
  EXPECT_FALSE(NextInterval());
}

TEST_F(OutlierDetectorTest, EjectsByFailurePercentageFromTheThresholdOn) {
  Watch(5, {.success_rate = std::nullopt});
  for (int i = 0; i < 4; ++i) Calls(i, 42, 8);  // 84 %
  Calls(4, 85, 15);
  EXPECT_TRUE(NextInterval());
  EXPECT_EQ(Ejected(), "4");
  EXPECT_EQ(events_[0].second, EjectionEvent::kFailurePercentage);
}

TEST_F(OutlierDetectorTest, NeedsFiveHostsOfFiftyCallsForTheFailurePercentage) {
  Watch(6, {.success_rate = std::nullopt});
  for (int i = 0; i < 4; ++i) Calls(i, 0, 50);
  Calls(4, 49, 0);
  EXPECT_FALSE(NextInterval());
  for (int i = 0; i < 4; ++i) Calls(i, 0, 50);
  Calls(4, 50, 0);
  EXPECT_TRUE(NextInterval());
}

TEST_F(OutlierDetectorTest, EjectsTheWorstWhereNotAllCanBe) {
  Watch(10, {.max_ejection_percent = 20});
  for (int i = 0; i < 6; ++i) Calls(i, 0, 100);
  Calls(6, 90, 10);
  Calls(7, 95, 5);
  Calls(8, 100, 0);
  Calls(9, 91, 9);
  EXPECT_TRUE(NextInterval());
  EXPECT_EQ(Ejected(), "78");
}

TEST_F(OutlierDetectorTest, EnforcesByChance) {
  const OutlierOptions half = {
      .consecutive_failures =
          ConsecutiveFailureEjection{.enforcement_percent = 50},
      .success_rate = SuccessRateEjection{.enforcement_percent = 50},
      .failure_percentage =
          FailurePercentageEjection{.enforcement_percent = 50}};
  chance_ = 0.5;
  Watch(6, half);
  EXPECT_FALSE(Fail(0, 5));
  for (int i = 0; i < 5; ++i) Calls(i, 0, 100);
  Calls(5, 90, 10);
  EXPECT_FALSE(NextInterval());
  chance_ = 0.499;
  EXPECT_TRUE(Fail(0, 5));
}

TEST_F(OutlierDetectorTest, HasRulesThatCanBeTurnedOff) {
  Watch(6, {.consecutive_failures = std::nullopt,
            .success_rate = std::nullopt,
            .failure_percentage = std::nullopt});
  for (int i = 0; i < 5; ++i) Calls(i, 0, 100);
  EXPECT_FALSE(Fail(5, 1000));
  EXPECT_FALSE(NextInterval());
}

TEST_F(OutlierDetectorTest, TicksOnceAnIntervalWithoutATimer) {
  Watch(6);
  for (int i = 0; i < 5; ++i) Calls(i, 0, 100);
  Calls(5, 60, 40);
  clock_.Advance(10s - 1ns);
  EXPECT_FALSE(detector_->Tick(clock_.Now()));
  EXPECT_FALSE(End(0, Outcome::kSuccess));
  EXPECT_EQ(Ejected(), "");
  clock_.Advance(1ns);
  EXPECT_TRUE(End(0, Outcome::kSuccess));
  EXPECT_EQ(Ejected(), "5");
  EXPECT_FALSE(End(0, Outcome::kSuccess));
}

TEST_F(OutlierDetectorTest, KeepsTheHistoryOfThoseThatStay) {
  Watch(3);
  Fail(0, 5);
  clock_.Advance(20s);
  endpoints_.push_back(
      std::make_shared<Endpoint>(EndpointOptions{.address = "3"}));
  detector_->Update(endpoints_, clock_.Now());
  EXPECT_EQ(Ejected(), "0");
  clock_.Advance(10s);
  EXPECT_TRUE(detector_->Tick(clock_.Now()));
  EXPECT_EQ(Ejected(), "");
}

TEST_F(OutlierDetectorTest, ForgetsThoseThatGo) {
  Watch(3);
  Fail(0, 5);
  detector_->Update({endpoints_[1], endpoints_[2]}, clock_.Now());
  EXPECT_EQ(detector_->ejected(), 0u);
  EXPECT_FALSE(endpoints_[0]->ejected());
  EXPECT_FALSE(Fail(0, 5));  // not watched
  EXPECT_TRUE(Fail(1, 5));
}

TEST_F(OutlierDetectorTest, CountsOnlyWhatHappensWhileItWatches) {
  Watch(5);
  endpoints_.push_back(
      std::make_shared<Endpoint>(EndpointOptions{.address = "5"}));
  Calls(5, 100, 0);
  detector_->Update(endpoints_, clock_.Now());
  for (int i = 0; i < 6; ++i) Calls(i, 0, 100);
  EXPECT_FALSE(NextInterval());
}

TEST_F(OutlierDetectorTest, AdmitsWhatIsNotEjected) {
  Watch(4, {.max_ejection_percent = 100});
  EXPECT_EQ(detector_->Admit(endpoints_).size(), 4u);
  Fail(0, 5);
  Fail(1, 5);
  EXPECT_EQ(detector_->Admit(endpoints_).size(), 2u);  // half of them
  EXPECT_EQ(detector_->Admit({}).size(), 0u);
}

TEST_F(OutlierDetectorTest, AdmitsAllWhenTooFewWouldBeLeft) {
  Watch(4, {.max_ejection_percent = 100});
  Fail(0, 5);
  Fail(1, 5);
  // Of those that are ready, a third would be left.
  EXPECT_EQ(
      detector_->Admit({endpoints_[0], endpoints_[1], endpoints_[2]}).size(),
      3u);
  Fail(2, 5);
  EXPECT_EQ(detector_->Admit(endpoints_).size(), 4u);
}

TEST_F(OutlierDetectorTest, AdmitsTheLastThatIsReadyThoughItIsEjected) {
  Watch(3, {.panic_percent = 0});
  Fail(0, 5);
  EXPECT_EQ(detector_->Admit({endpoints_[0]}).size(), 1u);
  EXPECT_EQ(detector_->Admit({endpoints_[0], endpoints_[1]}).size(), 1u);
}

TEST_F(OutlierDetectorTest, EjectsEachOnceHoweverManyThreadsFail) {
  constexpr int kThreads = 4;
  Watch(8, {.max_ejection_percent = 50});
  std::atomic<int> changes{0};
  Mutex mutex;
  int events = 0;
  detector_ =
      *OutlierDetector::Create({.max_ejection_percent = 50}, UniformRandom,
                               [&](const Endpoint&, EjectionEvent event) {
                                 const MutexLock lock(mutex);
                                 if (event != EjectionEvent::kReturned)
                                   ++events;
                               });
  detector_->Update(endpoints_, clock_.Now());
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        if (End(i % 8, Outcome::kFailure)) ++changes;
        clock_.Advance(1us);
        if (i % 100 == 0) detector_->Admit(endpoints_);
      }
    });
  }
  for (int i = 0; i < 100; ++i) detector_->Update(endpoints_, clock_.Now());
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(detector_->ejected(), 4u);
  EXPECT_EQ(Ejected().size(), 4u);
  EXPECT_EQ(events, 4);
  EXPECT_EQ(changes, 4);
}

TEST_F(OutlierDetectorTest, RefusesOptionsOutOfRange) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const OutlierOptions& options : {
           OutlierOptions{.interval = 99ms},
           OutlierOptions{.base_ejection_time = -1ns},
           OutlierOptions{.max_ejection_time = 25h},
           OutlierOptions{.max_ejection_percent = 101},
           OutlierOptions{.panic_percent = nan},
           OutlierOptions{.consecutive_failures =
                              ConsecutiveFailureEjection{.failures = 0}},
           OutlierOptions{
               .consecutive_failures =
                   ConsecutiveFailureEjection{.enforcement_percent = 101}},
           OutlierOptions{.success_rate =
                              SuccessRateEjection{.stdev_factor = -1}},
           OutlierOptions{.success_rate =
                              SuccessRateEjection{.enforcement_percent = -1}},
           OutlierOptions{.success_rate = SuccessRateEjection{.min_hosts = 0}},
           OutlierOptions{.success_rate =
                              SuccessRateEjection{.min_requests = 0}},
           OutlierOptions{
               .failure_percentage =
                   FailurePercentageEjection{.threshold_percent = nan}},
           OutlierOptions{
               .failure_percentage =
                   FailurePercentageEjection{.enforcement_percent = 101}},
           OutlierOptions{.failure_percentage =
                              FailurePercentageEjection{.min_hosts = 0}},
           OutlierOptions{.failure_percentage =
                              FailurePercentageEjection{.min_requests = 0}},
       }) {
    EXPECT_EQ(OutlierDetector::Create(options).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace grpccommon
