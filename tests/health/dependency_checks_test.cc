// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/health/dependency_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/testing/recording_log_sink.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using Done = DependencyChecks::Done;

class DependencyChecksTest : public ::testing::Test {
 protected:
  DependencyChecksTest() {
    registry_->SetServing("", ServingStatus::kServing);
    registry_->SetServing("a", ServingStatus::kServing);
  }

  // Adds a check that answers what `answer_` says, and runs it once.
  void AddAndRun(DependencyOptions options) {
    options.name = "db";
    const absl::Status added =
        checks_->Add(options, [this](Done done) { Ask(std::move(done)); });
    ASSERT_TRUE(added.ok()) << added;
    clock_.Advance(500ms);  // the random part of a second
  }

  void Ask(Done done) {
    ++runs_;
    if (answer_.has_value()) {
      done(*answer_);
    } else {
      hanging_ = std::move(done);
    }
  }

  void RunOnce() { clock_.Advance(10s); }
  DependencyStatus status() { return checks_->Report().at(0).status; }
  bool serving(std::string_view service = "") {
    return registry_->Get(service) == ServingStatus::kServing;
  }

  testing::FakeClock clock_;
  testing::FakeScheduler scheduler_{clock_};
  std::shared_ptr<testing::RecordingLogSink> log_ =
      std::make_shared<testing::RecordingLogSink>();
  std::unique_ptr<HealthRegistry> registry_ =
      std::make_unique<HealthRegistry>();
  int runs_ = 0;
  std::optional<absl::Status> answer_ = absl::OkStatus();  // none: hangs
  Done hanging_;
  std::unique_ptr<DependencyChecks> checks_ =
      std::make_unique<DependencyChecks>(*registry_, scheduler_,
                                         Logger(log_, "test"), clock_,
                                         [] { return 0.5; });
};

TEST_F(DependencyChecksTest, HoldsServicesUntilTheFirstSuccess) {
  ASSERT_TRUE(
      checks_->Add({.name = "db"}, [this](Done done) { Ask(std::move(done)); })
          .ok());
  EXPECT_EQ(status(), DependencyStatus::kPending);
  EXPECT_FALSE(checks_->ready());
  EXPECT_FALSE(serving());
  EXPECT_FALSE(serving("a"));
  clock_.Advance(500ms - 1ns);
  EXPECT_EQ(runs_, 0);
  clock_.Advance(1ns);
  EXPECT_EQ(runs_, 1);
  EXPECT_EQ(status(), DependencyStatus::kUp);
  EXPECT_TRUE(checks_->ready());
  EXPECT_TRUE(serving());
  EXPECT_TRUE(serving("a"));
}

TEST_F(DependencyChecksTest, TheFirstFailureDecidesToo) {
  answer_ = absl::UnavailableError("no route");
  AddAndRun({.successes_before_up = 2});
  EXPECT_EQ(status(), DependencyStatus::kDown);
  EXPECT_FALSE(serving());
}

TEST_F(DependencyChecksTest, RunsOnceAnInterval) {
  AddAndRun({.interval = 1min});
  EXPECT_EQ(runs_, 1);
  clock_.Advance(1min - 1ns);
  EXPECT_EQ(runs_, 1);
  clock_.Advance(1ns);
  EXPECT_EQ(runs_, 2);
  clock_.Advance(10min);
  EXPECT_EQ(runs_, 12);
}

TEST_F(DependencyChecksTest, TheFirstRunIsWithinAShortInterval) {
  ASSERT_TRUE(checks_
                  ->Add({.name = "db", .interval = 10ms, .timeout = 1ms},
                        [this](Done done) { Ask(std::move(done)); })
                  .ok());
  clock_.Advance(5ms);
  EXPECT_EQ(runs_, 1);
}

TEST_F(DependencyChecksTest, GoesDownAndUpByThresholdsInARow) {
  AddAndRun({.failures_before_down = 3, .successes_before_up = 2});
  answer_ = absl::UnavailableError("down");
  RunOnce();
  RunOnce();
  EXPECT_EQ(status(), DependencyStatus::kUp);
  EXPECT_TRUE(serving());
  answer_ = absl::OkStatus();
  RunOnce();  // breaks the row
  answer_ = absl::UnavailableError("down");
  RunOnce();
  RunOnce();
  EXPECT_TRUE(serving());
  RunOnce();
  EXPECT_EQ(status(), DependencyStatus::kDown);
  EXPECT_FALSE(serving());
  EXPECT_FALSE(serving("a"));

  answer_ = absl::OkStatus();
  RunOnce();
  answer_ = absl::UnavailableError("down");
  RunOnce();
  answer_ = absl::OkStatus();
  RunOnce();
  EXPECT_FALSE(serving());
  RunOnce();
  EXPECT_EQ(status(), DependencyStatus::kUp);
  EXPECT_TRUE(serving());
}

TEST_F(DependencyChecksTest, HoldsOnlyTheServicesItIsFor) {
  answer_ = absl::UnavailableError("down");
  AddAndRun({.services = {"a"}});
  EXPECT_FALSE(serving("a"));
  EXPECT_TRUE(serving());
}

TEST_F(DependencyChecksTest, OneThatIsNotCriticalIsOnlyReported) {
  answer_ = absl::UnavailableError("down");
  AddAndRun({.critical = false});
  EXPECT_EQ(status(), DependencyStatus::kDown);
  EXPECT_TRUE(serving());
  EXPECT_TRUE(checks_->ready());
}

TEST_F(DependencyChecksTest, ARunThatTakesTooLongHasFailed) {
  AddAndRun({.timeout = 2s, .failures_before_down = 1});
  answer_.reset();
  RunOnce();
  clock_.Advance(2s - 1ns);
  EXPECT_TRUE(serving());
  clock_.Advance(1ns);
  EXPECT_FALSE(serving());
  const DependencyReport report = checks_->Report().at(0);
  EXPECT_EQ(report.error.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(report.duration, 2s);
  // A late success does not count.
  hanging_(absl::OkStatus());
  EXPECT_FALSE(serving());
  answer_ = absl::OkStatus();
  RunOnce();
  EXPECT_TRUE(serving());
}

TEST_F(DependencyChecksTest, ARunThatHangsIsNotStartedAgain) {
  AddAndRun({.failures_before_down = 3});
  answer_.reset();
  RunOnce();
  EXPECT_EQ(runs_, 2);
  RunOnce();  // timed out; has not ended
  EXPECT_TRUE(serving());
  RunOnce();  // has not ended: the third failure
  EXPECT_EQ(runs_, 2);
  EXPECT_FALSE(serving());
  hanging_(absl::OkStatus());
  answer_ = absl::OkStatus();
  RunOnce();
  EXPECT_EQ(runs_, 3);
  EXPECT_TRUE(serving());
}

TEST_F(DependencyChecksTest, ASecondDoneOfTheSameRunDoesNothing) {
  answer_.reset();
  AddAndRun({.failures_before_down = 1});
  hanging_(absl::OkStatus());
  hanging_(absl::UnavailableError("again"));
  EXPECT_EQ(status(), DependencyStatus::kUp);
  const Done old = hanging_;
  RunOnce();
  old(absl::UnavailableError("of an earlier run"));
  EXPECT_EQ(status(), DependencyStatus::kUp);
  hanging_(absl::OkStatus());
  EXPECT_EQ(status(), DependencyStatus::kUp);
}

TEST_F(DependencyChecksTest, AnExceptionIsAFailure) {
  ASSERT_TRUE(
      checks_
          ->Add({.name = "db"}, [](Done) { throw std::runtime_error("bug"); })
          .ok());
  ASSERT_TRUE(checks_->Add({.name = "x"}, [](Done) { throw 7; }).ok());
  clock_.Advance(500ms);
  EXPECT_EQ(status(), DependencyStatus::kDown);
  EXPECT_EQ(checks_->Report().at(0).error.message(), "threw: bug");
  EXPECT_EQ(checks_->Report().at(1).error.message(), "threw");
}

TEST_F(DependencyChecksTest, ReportsAsJson) {
  answer_ =
      absl::UnavailableError("no \"route\" \xff" + std::string(1000, 'x'));
  AddAndRun({.interval = 1min, .timeout = 30s});
  ASSERT_TRUE(checks_
                  ->Add({.name = "cache", .critical = false},
                        [](Done) {
                          // never ends
                        })
                  .ok());
  const auto json = nlohmann::json::parse(checks_->ReportJson());
  ASSERT_EQ(json.size(), 2u);
  EXPECT_EQ(json[0]["name"], "db");
  EXPECT_EQ(json[0]["status"], "down");
  EXPECT_EQ(json[0]["critical"], true);
  EXPECT_THAT(json[0]["error"].get<std::string>(), HasSubstr("no \"route\""));
  EXPECT_LT(json[0]["error"].get<std::string>().size(), 300u);
  EXPECT_EQ(json[0]["since"], "2026-01-01T00:00:00Z");
  EXPECT_EQ(json[1]["status"], "pending");
  EXPECT_EQ(json[1]["critical"], false);
  EXPECT_EQ(json[1]["error"], "");

  answer_.reset();
  clock_.Advance(1min);
  clock_.Advance(1500ms);
  hanging_(absl::OkStatus());
  const auto later = nlohmann::json::parse(checks_->ReportJson());
  EXPECT_EQ(later[0]["status"], "up");
  EXPECT_EQ(later[0]["error"], "");
  EXPECT_EQ(later[0]["duration_ms"], 1500.0);
  EXPECT_EQ(later[0]["since"], "2026-01-01T00:01:02Z");
}

TEST_F(DependencyChecksTest, LogsEachChangeOnce) {
  AddAndRun({.failures_before_down = 1});
  answer_ = absl::UnavailableError("no route");
  RunOnce();
  RunOnce();
  const std::string log = ::testing::PrintToString(log_->lines());
  EXPECT_THAT(log, HasSubstr("no route"));
  EXPECT_EQ(log_->lines().size(), 2u);
}

TEST_F(DependencyChecksTest, RefusesBadOptionsByName) {
  const auto add = [this](DependencyOptions options) {
    return std::string(
        checks_->Add(options, [](Done done) { done(absl::OkStatus()); })
            .message());
  };
  EXPECT_THAT(add({}), HasSubstr("name"));
  EXPECT_THAT(add({.name = "x", .interval = 1ms}), HasSubstr("interval"));
  EXPECT_THAT(add({.name = "x", .timeout = 11s}), HasSubstr("timeout"));
  EXPECT_THAT(add({.name = "x", .timeout = 0s}), HasSubstr("timeout"));
  EXPECT_THAT(add({.name = "x", .failures_before_down = 0}),
              HasSubstr("failures_before_down"));
  EXPECT_THAT(add({.name = "x", .successes_before_up = 0}),
              HasSubstr("successes_before_up"));
  EXPECT_EQ(add({.name = "x"}), "");
  EXPECT_THAT(add({.name = "x"}), HasSubstr("x"));
  EXPECT_EQ(checks_->Report().size(), 1u);
}

TEST_F(DependencyChecksTest, ABlockingCheckHasItsOwnThread) {
  std::promise<std::thread::id> ran_on;
  std::promise<void> may_end;
  ASSERT_TRUE(checks_
                  ->AddBlocking({.name = "db"},
                                [&] {
                                  ran_on.set_value(std::this_thread::get_id());
                                  may_end.get_future().get();
                                  return absl::OkStatus();
                                })
                  .ok());
  std::promise<void> changed;
  const auto watch = registry_->Watch("", [&] { changed.set_value(); });
  clock_.Advance(500ms);  // returns, though the check blocks
  EXPECT_NE(ran_on.get_future().get(), std::this_thread::get_id());
  EXPECT_EQ(status(), DependencyStatus::kPending);
  may_end.set_value();
  changed.get_future().get();
  EXPECT_TRUE(serving());
}

TEST_F(DependencyChecksTest, ABlockingCheckThatThrowsHasFailed) {
  ASSERT_TRUE(checks_
                  ->AddBlocking(
                      {.name = "db", .critical = false},
                      []() -> absl::Status { throw std::runtime_error("bug"); })
                  .ok());
  clock_.Advance(500ms);
  while (status() == DependencyStatus::kPending) std::this_thread::yield();
  EXPECT_EQ(checks_->Report().at(0).error.message(), "threw: bug");
}

TEST_F(DependencyChecksTest, WaitsForABlockingCheckAtItsEnd) {
  std::promise<void> running;
  std::promise<void> may_end;
  std::atomic<bool> ended = false;
  ASSERT_TRUE(checks_
                  ->AddBlocking({.name = "db"},
                                [&] {
                                  running.set_value();
                                  may_end.get_future().get();
                                  ended = true;
                                  return absl::OkStatus();
                                })
                  .ok());
  clock_.Advance(500ms);
  running.get_future().get();
  std::thread destroyer([&] { checks_.reset(); });
  may_end.set_value();
  destroyer.join();
  EXPECT_TRUE(ended);
}

TEST_F(DependencyChecksTest, ADoneAfterTheEndDoesNothing) {
  answer_.reset();
  AddAndRun({});
  checks_.reset();
  EXPECT_EQ(scheduler_.pending(), 0u);
  registry_.reset();
  hanging_(absl::OkStatus());
}

TEST(DependencyChecksThreadTest, WorksOnTheRealScheduler) {
  const auto registry = std::make_unique<HealthRegistry>();
  registry->SetServing("", ServingStatus::kServing);
  const auto scheduler = CreateScheduler();
  std::promise<void> enough;
  std::atomic<int> runs = 0;
  {
    DependencyChecks checks(*registry, *scheduler);
    ASSERT_TRUE(checks
                    .AddBlocking({.name = "db",
                                  .interval = 10ms,
                                  .timeout = 10ms,
                                  .failures_before_down = 1},
                                 [&] {
                                   if (++runs == 20) enough.set_value();
                                   return runs % 2
                                              ? absl::OkStatus()
                                              : absl::UnavailableError("odd");
                                 })
                    .ok());
    enough.get_future().get();
  }
  const int after = runs;
  EXPECT_EQ(runs, after);
}

}  // namespace
}  // namespace grpccommon
