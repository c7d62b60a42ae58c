// SPDX-License-Identifier: Apache-2.0
// Judging and reporting by themselves: when they begin, wait, and stop.
#include "services/contest/judging.h"

#include <future>

#include "gmock/gmock.h"
#include "grpccommon/status/details.h"
#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/testing/status_matchers.h"
#include "gtest/gtest.h"
#include "services/common/temp_folder.h"
#include "services/contest/reporting.h"

namespace platform::contest {
namespace {

using namespace std::chrono_literals;
using grpccommon::MutexLock;
using grpccommon::testing::IsOk;
using grpccommon::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class JudgingTest : public ::testing::Test {
 protected:
  JudgingTest() {
    // With one reader, so that what it is given last is done last.
    store_ = *OpenContestQueue({.database = folder_ / "contest.db"},
                               {.readers = 1}, clock_);
    Contest contest;
    contest.title = "Finals";
    contest.author_id = "ada";
    contest.starts_at = clock_.WallNow();
    contest.ends_at = contest.starts_at + 720h;
    contest.problems = {{.label = "A", .problem_id = "p1"}};
    Write([&](ContestStore& store) {
      contest_id_ = store.Create(contest)->id;
      return store.Register(contest_id_, "bob", "Bob").status();
    });
  }

  struct Running {
    std::string id;
    std::function<void(const JudgeProgress&)> progress;
    std::function<void(absl::StatusOr<Judgement>)> done;
  };

  void TearDown() override { CallOff(); }

  // Ends what is executed, and at once what comes, as at the end of a process.
  void CallOff() {
    std::vector<Running> running;
    {
      const MutexLock lock(mutex_);
      called_off_ = true;
      running.swap(running_);
    }
    for (const Running& run : running) {
      run.done(absl::CancelledError("called off"));
    }
  }

  // Runs in a transaction; returns when it is done.
  void Write(std::function<absl::Status(ContestStore&)> work) {
    std::promise<absl::Status> done;
    ASSERT_THAT(
        store_->Write(
            {.run = std::move(work),
             .done = [&](const absl::Status& s) { done.set_value(s); }}),
        IsOk());
    EXPECT_THAT(done.get_future().get(), IsOk());
  }
  // Returns when what the store had to do, and what came of that, is done.
  void Settle() {
    for (int round = 0; round < 5; ++round) {
      Write([](ContestStore&) { return absl::OkStatus(); });
      std::promise<void> read;
      ASSERT_THAT(store_->Read([&](ContestStore&) { read.set_value(); }),
                  IsOk());
      read.get_future().wait();
    }
  }
  void Advance(Duration by) {
    clock_.Advance(by);
    Settle();
  }

  std::string Submit() { return SubmitMany("bob", 1); }
  // The last one.
  std::string SubmitMany(const std::string& user, int count) {
    std::string id;
    Write([&](ContestStore& store) {
      absl::Status status =
          store.Register(contest_id_, user, "team of " + user).status();
      for (int i = 0; i < count && status.ok(); ++i) {
        const auto taken = store.Submit({.contest_id = contest_id_,
                                         .user_id = user,
                                         .label = "A",
                                         .language = "c",
                                         .source = "code"});
        if (taken.ok()) id = taken->id;
        status = taken.status();
      }
      return status;
    });
    return id;
  }
  std::optional<Verdict> VerdictOf(const std::string& id) {
    std::optional<Verdict> verdict;
    Write([&](ContestStore& store) {
      const auto submission = store.GetSubmission(id);
      if (submission->judgement.has_value()) {
        verdict = submission->judgement->verdict;
      }
      return absl::OkStatus();
    });
    return verdict;
  }

  NotJudged ReasonOf(const std::string& id) {
    NotJudged reason = NotJudged::kNo;
    Write([&](ContestStore& store) {
      reason = store.GetSubmission(id)->judgement->not_judged;
      return absl::OkStatus();
    });
    return reason;
  }

  // Tries again at the next look.
  static JudgingOptions Hasty(JudgingOptions options) {
    options.poll_interval = 10ms;
    options.retry = {.initial = 1ms, .max = 1ms};
    return options;
  }
  void Judge(JudgingOptions options = {}) {
    auto judging = Judging::Create(
        *store_, scheduler_,
        [this](const Submission& submission, auto progress, auto done) {
          {
            const MutexLock lock(mutex_);
            begun_.push_back(submission.id);
            if (!called_off_) {
              running_.push_back({submission.id, progress, done});
              return;
            }
          }
          done(absl::CancelledError("called off"));
        },
        {.progress =
             [this](const std::string& id, const JudgeProgress& progress) {
               const MutexLock lock(mutex_);
               told_.push_back(id + " " + std::to_string(progress.test));
             },
         .judged =
             [this](const Submission& judged) {
               const MutexLock lock(mutex_);
               told_.push_back(judged.id + " judged");
             },
         .lost =
             [this](const std::string& id) {
               const MutexLock lock(mutex_);
               told_.push_back(id + " lost");
             }},
        options, {}, clock_, [] { return 0.5; });
    ASSERT_THAT(judging, IsOk());
    judging_ = *std::move(judging);
    judging_->Start();
    Settle();
  }
  Running Take() {
    const MutexLock lock(mutex_);
    EXPECT_FALSE(running_.empty());
    Running first = running_.front();
    running_.erase(running_.begin());
    return first;
  }
  void End(absl::StatusOr<Judgement> judgement) {
    Take().done(std::move(judgement));
    Settle();
  }
  std::size_t begun() {
    const MutexLock lock(mutex_);
    return begun_.size();
  }
  std::vector<std::string> told() {
    const MutexLock lock(mutex_);
    return told_;
  }

  grpccommon::testing::FakeClock clock_;
  grpccommon::testing::FakeScheduler scheduler_{clock_};
  common::TempFolder folder_;
  grpccommon::Mutex mutex_;
  std::vector<Running> running_ ABSL_GUARDED_BY(mutex_);
  bool called_off_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::string> begun_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> told_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<ContestQueue> store_;
  std::unique_ptr<Judging> judging_;
  std::string contest_id_;
};

TEST_F(JudgingTest, JudgesWhatIsThereAtItsStart) {
  const std::string id = Submit();
  Judge();
  const Running run = Take();
  EXPECT_EQ(run.id, id);
  run.progress({.test = 1});
  run.progress({.test = 2});
  run.done(Judgement{.verdict = Verdict::kWrongAnswer});
  Settle();
  EXPECT_EQ(VerdictOf(id), Verdict::kWrongAnswer);
  EXPECT_THAT(told(), ElementsAre(id + " 1", id + " 2", id + " judged"));
  EXPECT_EQ(judging_->running(), 0u);
}

TEST_F(JudgingTest, WakesForWhatComes) {
  Judge();
  EXPECT_EQ(begun(), 0u);
  const std::string id = Submit();
  judging_->Wake();
  Settle();
  EXPECT_EQ(begun(), 1u);
  End(Judgement{.verdict = Verdict::kAccepted});
  EXPECT_EQ(VerdictOf(id), Verdict::kAccepted);
}

TEST_F(JudgingTest, FindsWhatNobodyWokeItFor) {
  Judge({.poll_interval = 1s});
  Submit();
  Advance(1s);
  EXPECT_EQ(begun(), 1u);
}

TEST_F(JudgingTest, RunsNoMoreThanItMay) {
  for (int i = 0; i < 5; ++i) Submit();
  Judge({.max_running = 2});
  EXPECT_EQ(begun(), 2u);
  judging_->Wake();
  Settle();
  EXPECT_EQ(begun(), 2u);
  End(Judgement{.verdict = Verdict::kAccepted});
  EXPECT_EQ(begun(), 3u);
  EXPECT_EQ(judging_->running(), 2u);
}

// With room for more than one user's, and without.
TEST_F(JudgingTest, OneWithHundredsOfSubmissionsDoesNotHoldUpAnother) {
  SubmitMany("bob", 500);
  Judge({.max_running = 6, .max_running_per_user = 4});
  EXPECT_EQ(begun(), 4u);
  for (const std::string user : {"ada", "eve", "joe"}) {
    const std::string id = SubmitMany(user, 1);
    judging_->Wake();
    Settle();
    int others = 0;
    while (VerdictOf(id) == std::nullopt) {
      ASSERT_LE(++others, 6) << user;
      End(Judgement{.verdict = Verdict::kAccepted});  // the first that began
    }
  }
  EXPECT_EQ(judging_->running(), 4u);
}

TEST_F(JudgingTest, AUserWhoComesGetsTheNextPlaceThatBecomesFree) {
  SubmitMany("bob", 500);
  Judge({.max_running = 2, .max_running_per_user = 2});
  const std::string id = SubmitMany("ada", 1);
  judging_->Wake();
  Settle();
  EXPECT_EQ(begun(), 2u);
  End(Judgement{.verdict = Verdict::kAccepted});
  End(Judgement{.verdict = Verdict::kAccepted});
  End(Judgement{.verdict = Verdict::kAccepted});
  EXPECT_EQ(VerdictOf(id), Verdict::kAccepted);
}

TEST_F(JudgingTest, TriesAgainWithGrowingDelay) {
  const std::string id = Submit();
  Judge({.poll_interval = 10ms,
         .retry = {.kind = grpccommon::BackoffKind::kEqualJitter,
                   .initial = 1s,
                   .max = 4s}});
  // Half the backoff and a half of the rest, by this random number.
  Duration wait = 750ms;
  for (std::size_t attempt = 1; attempt <= 6; ++attempt) {
    ASSERT_EQ(begun(), attempt);
    End(attempt % 2 == 0
            ? absl::StatusOr<Judgement>(
                  Judgement{.verdict = Verdict::kInternal})
            : absl::StatusOr<Judgement>(absl::UnavailableError("away")));
    EXPECT_EQ(VerdictOf(id), std::nullopt);
    Advance(wait - 20ms);
    ASSERT_EQ(begun(), attempt) << "too early";
    Advance(20ms);
    Advance(10ms);
    wait = std::min<Duration>(2 * wait, 3s);
  }
  End(Judgement{.verdict = Verdict::kAccepted});
  EXPECT_EQ(VerdictOf(id), Verdict::kAccepted);
}

TEST_F(JudgingTest, WhatIsRefusedForGoodEndsWithTheReason) {
  const std::vector<std::pair<absl::Status, NotJudged>> refusals = {
      {grpccommon::NotFound("problem", "p1"), NotJudged::kProblemNotFound},
      {grpccommon::InvalidFields({{"language", "is gone"}}),
       NotJudged::kRefused},
      {absl::FailedPreconditionError("no tests"), NotJudged::kRefused},
      {absl::OutOfRangeError("too long"), NotJudged::kRefused}};
  Judge(Hasty({.max_refusals = 3}));
  for (const auto& [why, reason] : refusals) {
    const std::string id = Submit();
    for (int attempt = 1; attempt <= 3; ++attempt) {
      EXPECT_EQ(VerdictOf(id), std::nullopt) << why;
      Advance(10ms);
      End(why);
    }
    EXPECT_EQ(VerdictOf(id), Verdict::kInternal) << why;
    EXPECT_EQ(ReasonOf(id), reason) << why;
    EXPECT_EQ(told().back(), id + " judged");
  }
  EXPECT_THAT(told(), SizeIs(refusals.size())) << "once each";
  Advance(2s);
  EXPECT_EQ(begun(), 3 * refusals.size());
  EXPECT_EQ(judging_->running(), 0u);
}

TEST_F(JudgingTest, WhatFailsAgainAndAgainEnds) {
  const std::vector<absl::StatusOr<Judgement>> failures = {
      Judgement{.verdict = Verdict::kInternal},
      absl::UnknownError("?"),
      absl::InternalError("broken"),
      absl::DataLossError("torn"),
      absl::ResourceExhaustedError("too large a message"),
  };
  Judge(Hasty({.max_refusals = 1, .max_failures = 4}));
  for (const auto& failure : failures) {
    const std::string id = Submit();
    for (int attempt = 1; attempt <= 4; ++attempt) {
      EXPECT_EQ(VerdictOf(id), std::nullopt) << failure.status();
      Advance(10ms);
      End(failure);
    }
    EXPECT_EQ(VerdictOf(id), Verdict::kInternal) << failure.status();
    EXPECT_EQ(ReasonOf(id), NotJudged::kExecutionFailed);
  }
}

// One that ends the service, or takes longer than a call may.
TEST_F(JudgingTest, ABrokenCallCountsOnceTheProgramHadBegun) {
  Judge(Hasty({.max_failures = 2}));
  for (const absl::Status& broken :
       {absl::UnavailableError("gone"), absl::DeadlineExceededError("slow")}) {
    const std::string id = Submit();
    for (int attempt = 1; attempt <= 20; ++attempt) {
      Advance(10ms);
      const Running run = Take();
      run.progress({.state = JudgeProgress::kQueued});
      run.done(broken);
      Settle();
      ASSERT_EQ(VerdictOf(id), std::nullopt) << broken;
    }
    for (int attempt = 1; attempt <= 2; ++attempt) {
      EXPECT_EQ(VerdictOf(id), std::nullopt) << broken;
      Advance(10ms);
      const Running run = Take();
      run.progress({.state = JudgeProgress::kQueued});
      run.progress({.state = JudgeProgress::kQueued + 1});
      run.done(broken);
      Settle();
    }
    EXPECT_EQ(VerdictOf(id), Verdict::kInternal) << broken;
  }
}

TEST_F(JudgingTest, WaitsForEverForAServiceThatIsAwayFullOrClosed) {
  const std::string id = Submit();
  Judge(Hasty({.max_refusals = 1, .max_failures = 1}));
  for (int round = 0; round < 10; ++round) {
    for (const absl::Status& away :
         {absl::UnavailableError("away"), absl::DeadlineExceededError("slow"),
          absl::CancelledError("stops"), absl::PermissionDeniedError("role"),
          absl::UnauthenticatedError("token"), absl::UnimplementedError("old"),
          grpccommon::Exhausted("QUEUE_FULL", "executions", "full", 1ms)}) {
      Advance(10ms);
      End(away);
      ASSERT_EQ(VerdictOf(id), std::nullopt) << away;
    }
  }
  Advance(10ms);
  End(Judgement{.verdict = Verdict::kAccepted});
  EXPECT_EQ(VerdictOf(id), Verdict::kAccepted);
}

TEST_F(JudgingTest, ARestartForgetsNoRefusal) {
  const std::string id = Submit();
  const JudgingOptions options = Hasty({.max_refusals = 3});
  for (int start = 1; start <= 3; ++start) {
    Judge(options);
    EXPECT_EQ(VerdictOf(id), std::nullopt);
    Advance(10ms);
    End(grpccommon::NotFound("problem", "p1"));
    judging_->Stop();
  }
  EXPECT_EQ(VerdictOf(id), Verdict::kInternal);
  Judge(options);
  Advance(2s);
  EXPECT_EQ(begun(), 3u);
  EXPECT_THAT(told(), ElementsAre(id + " judged"));
}

TEST_F(JudgingTest, WaitsAsLongAsItIsAskedTo) {
  Submit();
  Judge({.poll_interval = 10ms, .retry = {.initial = 1ms, .max = 1ms}});
  End(grpccommon::Exhausted("QUEUE_FULL", "executions", "it is full", 5s));
  Advance(5s - 20ms);
  EXPECT_EQ(begun(), 1u);
  Advance(20ms);
  Advance(10ms);
  EXPECT_EQ(begun(), 2u);
}

TEST_F(JudgingTest, KeepsItsLeaseHoweverLongItTakes) {
  const std::string id = Submit();
  Judge({.lease = 30s});
  for (int i = 0; i < 20; ++i) Advance(9s);
  const contest::Judge rival{.name = "two", .token = "t2"};
  Write([&](ContestStore& store) {
    EXPECT_THAT(*store.Claim(rival, clock_.WallNow() + 1h, {.more = 10}),
                IsEmpty());
    return absl::OkStatus();
  });
  End(Judgement{.verdict = Verdict::kAccepted});
  EXPECT_EQ(VerdictOf(id), Verdict::kAccepted);
}

TEST_F(JudgingTest, AVerdictThatComesTooLateDoesNotCount) {
  const std::string id = Submit();
  Judge();
  // Stolen, as by one whose clock runs ahead.
  const contest::Judge rival{.name = "two", .token = "t2"};
  Write([&](ContestStore& store) {
    return store.Postpone({.name = "contest", .token = "nobody's"}, id,
                          clock_.WallNow());
  });
  Write([&](ContestStore& store) {
    return store.TakeBack({.name = "contest", .token = "later start"});
  });
  Write([&](ContestStore& store) {
    return store.Claim(rival, clock_.WallNow() + 1h, {.more = 10}).status();
  });
  End(Judgement{.verdict = Verdict::kAccepted});
  EXPECT_EQ(VerdictOf(id), std::nullopt);
  EXPECT_THAT(told(), ElementsAre(id + " lost"));
}

TEST_F(JudgingTest, BeginsNothingNewWhileItDrains) {
  const std::string id = Submit();
  Judge();
  judging_->Drain();
  Submit();
  judging_->Wake();
  Advance(10s);
  EXPECT_EQ(begun(), 1u);
  End(Judgement{.verdict = Verdict::kAccepted});
  EXPECT_EQ(VerdictOf(id), Verdict::kAccepted) << "what runs goes on";
  EXPECT_EQ(begun(), 1u);
}

TEST_F(JudgingTest, GivesBackWhatItHasNotJudgedWhenItStops) {
  const std::string id = Submit();
  Judge();
  auto stopped = std::async(std::launch::async, [&] { judging_->Stop(); });
  CallOff();
  stopped.get();
  judging_->Stop();
  const contest::Judge rival{.name = "two", .token = "t2"};
  clock_.Advance(1min);
  Write([&](ContestStore& store) {
    EXPECT_THAT(*store.Claim(rival, clock_.WallNow() + 1h, {.more = 10}),
                SizeIs(1));
    return absl::OkStatus();
  });
}

TEST_F(JudgingTest, ARestartTakesBackAtOnceWhatTheLastOneHeld) {
  Submit();
  Write([&](ContestStore& store) {
    return store
        .Claim({.name = "contest", .token = "killed"}, clock_.WallNow() + 1h,
               {.more = 10})
        .status();
  });
  Judge({.name = "other"});
  EXPECT_EQ(begun(), 0u);
  judging_->Stop();
  Judge({.name = "contest"});
  EXPECT_EQ(begun(), 1u);
}

TEST_F(JudgingTest, RefusesOptionsThatMakeNoSense) {
  const auto create = [&](const JudgingOptions& options) {
    return Judging::Create(*store_, scheduler_, nullptr, {}, options, {},
                           clock_);
  };
  for (const JudgingOptions& wrong :
       std::vector<JudgingOptions>{{.name = ""},
                                   {.max_running = 0},
                                   {.max_running = 1001},
                                   {.max_running_per_user = 0},
                                   {.lease = 999ms},
                                   {.lease = 61min},
                                   {.poll_interval = 9ms},
                                   {.max_refusals = 0},
                                   {.max_failures = 0},
                                   {.retry = {.initial = 2s, .max = 1s}}}) {
    EXPECT_THAT(create(wrong), StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

class ReportingTest : public JudgingTest {
 protected:
  void Report(ReportingOptions options = {}) {
    reporting_ = std::make_unique<Reporting>(
        *store_, scheduler_,
        [this](const contest::Report& report, auto done) {
          {
            const MutexLock lock(mutex_);
            reported_.push_back(report.submission_id);
          }
          done(answer_);
        },
        options, grpccommon::Logger(), clock_, [] { return 0.5; });
  }
  std::string Judged(Verdict verdict = Verdict::kAccepted) {
    std::string id = Submit();
    const contest::Judge judge{.name = "one", .token = "t"};
    Write([&](ContestStore& store) {
      (void)store.Claim(judge, clock_.WallNow() + 1h, {.more = 100});
      return store.Record(judge, id, {.verdict = verdict}).status();
    });
    return id;
  }
  std::vector<std::string> reported() {
    const MutexLock lock(mutex_);
    return reported_;
  }

  absl::Status answer_;
  std::vector<std::string> reported_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<Reporting> reporting_;
};

TEST_F(ReportingTest, ReportsEachVerdictOnce) {
  Report();
  std::vector<std::string> ids;
  for (int i = 0; i < 20; ++i) ids.push_back(Judged());
  reporting_->Wake();
  for (int i = 0; i < 20; ++i) Settle();
  EXPECT_THAT(reported(), ::testing::UnorderedElementsAreArray(ids));
  reporting_->Wake();
  Advance(1h);
  EXPECT_THAT(reported(), SizeIs(20));
}

TEST_F(ReportingTest, FindsWhatAnEarlierStartLeft) {
  const std::string id = Judged();
  Report({.poll_interval = 1s});
  Advance(1s);
  EXPECT_THAT(reported(), ElementsAre(id));
}

TEST_F(ReportingTest, LeavesFreshOnesToOthers) {
  Report({.poll_interval = 1s, .grace = 10s});
  Advance(1s);
  const std::string id = Judged();
  for (int second = 0; second < 9; ++second) Advance(1s);
  EXPECT_THAT(reported(), IsEmpty());
  Advance(1s);
  EXPECT_THAT(reported(), ElementsAre(id));
}

TEST_F(ReportingTest, TellsAgainAfterAFailure) {
  answer_ = absl::UnavailableError("away");
  Report({.poll_interval = 1s,
          .retry = {.kind = grpccommon::BackoffKind::kEqualJitter,
                    .initial = 4s,
                    .max = 4s}});
  const std::string id = Judged();
  reporting_->Wake();
  Settle();
  EXPECT_THAT(reported(), ElementsAre(id));
  reporting_->Wake();
  Advance(2s);
  EXPECT_THAT(reported(), SizeIs(1)) << "too early";
  answer_ = absl::OkStatus();
  Advance(1s);
  EXPECT_THAT(reported(), ElementsAre(id, id));
  Advance(1h);
  EXPECT_THAT(reported(), SizeIs(2));
}

TEST_F(ReportingTest, AProblemThatIsGoneNeedsNoReport) {
  answer_ = absl::NotFoundError("no such problem");
  Report();
  Judged();
  reporting_->Wake();
  Settle();
  Advance(1h);
  EXPECT_THAT(reported(), SizeIs(1));
}

}  // namespace
}  // namespace platform::contest
