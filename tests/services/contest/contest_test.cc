// SPDX-License-Identifier: Apache-2.0
#include "services/contest/contest.h"

#include <functional>

#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "grpccommon/status/details.h"
#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/testing/status_matchers.h"
#include "gtest/gtest.h"

namespace platform::contest {
namespace {

using namespace std::chrono_literals;
using grpccommon::testing::HasReason;
using grpccommon::testing::IsOk;
using grpccommon::testing::StatusIs;
using ::testing::AllOf;

// Five hours, the last one frozen.
class ContestTest : public ::testing::Test {
 protected:
  ContestTest() {
    contest_.title = "Finals";
    contest_.author_id = "ada";
    contest_.starts_at = clock_.WallNow() + 1h;
    contest_.ends_at = contest_.starts_at + 5h;
    contest_.freeze_at = contest_.starts_at + 4h;
    contest_.problems = {{.label = "A", .problem_id = "1"},
                         {.label = "B", .problem_id = "2"}};
  }
  Phase PhaseAfter(Duration start) const {
    return PhaseAt(contest_, contest_.starts_at + start);
  }

  grpccommon::testing::FakeClock clock_;
  Contest contest_;
};

TEST_F(ContestTest, PassesItsPhasesAtTheirTimes) {
  EXPECT_EQ(PhaseAfter(-1ns), Phase::kUpcoming);
  EXPECT_EQ(PhaseAfter(0ns), Phase::kRunning);
  EXPECT_EQ(PhaseAfter(4h - 1ns), Phase::kRunning);
  EXPECT_EQ(PhaseAfter(4h), Phase::kFrozen);
  EXPECT_EQ(PhaseAfter(5h - 1ns), Phase::kFrozen);
  EXPECT_EQ(PhaseAfter(5h), Phase::kEnded);
  contest_.freeze_at.reset();
  EXPECT_EQ(PhaseAfter(4h), Phase::kRunning);
}

TEST_F(ContestTest, TellsWhenThePhaseChangesNext) {
  const WallTime start = contest_.starts_at;
  EXPECT_EQ(NextPhaseAfter(contest_, start - 1h), start);
  EXPECT_EQ(NextPhaseAfter(contest_, start), start + 4h);
  EXPECT_EQ(NextPhaseAfter(contest_, start + 4h), start + 5h);
  EXPECT_EQ(NextPhaseAfter(contest_, start + 5h), std::nullopt);
  contest_.freeze_at.reset();
  EXPECT_EQ(NextPhaseAfter(contest_, start), start + 5h);
}

TEST_F(ContestTest, TheBoardStaysFrozenUntilItIsRevealedAfterTheEnd) {
  const WallTime start = contest_.starts_at;
  EXPECT_FALSE(BoardFrozenAt(contest_, start + 4h - 1ns));
  EXPECT_TRUE(BoardFrozenAt(contest_, start + 4h));
  EXPECT_TRUE(BoardFrozenAt(contest_, start + 100h));
  contest_.results_revealed = true;
  EXPECT_TRUE(BoardFrozenAt(contest_, start + 5h - 1ns));
  EXPECT_FALSE(BoardFrozenAt(contest_, start + 5h));
  contest_.results_revealed = false;
  contest_.freeze_at.reset();
  EXPECT_FALSE(BoardFrozenAt(contest_, start + 5h));
}

TEST_F(ContestTest, IsManagedByItsAuthorAndAdmins) {
  EXPECT_TRUE(Manages({.id = "ada"}, contest_));
  EXPECT_TRUE(Manages({.id = "root", .admin = true}, contest_));
  EXPECT_FALSE(Manages({.id = "bob"}, contest_));
  EXPECT_FALSE(Manages({.id = "judge", .service = true}, contest_));
  contest_.author_id.clear();
  EXPECT_FALSE(Manages({}, contest_));
}

TEST_F(ContestTest, FindsItsProblemsByLabel) {
  EXPECT_EQ(contest_.FindProblem("B"), &contest_.problems[1]);
  EXPECT_EQ(contest_.FindProblem("C"), nullptr);
}

TEST_F(ContestTest, EveryFieldThatMakesNoSenseIsNamed) {
  EXPECT_THAT(CheckContest(contest_), IsOk());
  struct Case {
    std::string field;
    std::function<void(Contest&)> spoil;
  };
  const std::vector<Case> cases = {
      {"contest.title", [](Contest& c) { c.title.clear(); }},
      {"contest.ends_at", [](Contest& c) { c.ends_at = c.starts_at; }},
      {"contest.ends_at",
       [](Contest& c) {
         c.ends_at = c.starts_at + std::chrono::days(31) + 1ns;
       }},
      {"contest.freeze_at",
       [](Contest& c) { c.freeze_at = c.starts_at - 1ns; }},
      {"contest.freeze_at", [](Contest& c) { c.freeze_at = c.ends_at + 1ns; }},
      {"contest.problems", [](Contest& c) { c.problems.clear(); }},
      {"contest.problems[1].label",
       [](Contest& c) { c.problems[1].label = "A"; }},
      {"contest.problems[1].problem_id",
       [](Contest& c) { c.problems[1].problem_id = "1"; }}};
  for (const Case& wrong : cases) {
    Contest contest = contest_;
    wrong.spoil(contest);
    const absl::Status status = CheckContest(contest);
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument));
    google::rpc::BadRequest details;
    ASSERT_TRUE(grpccommon::GetDetail(status, details));
    EXPECT_EQ(details.field_violations(0).field(), wrong.field);
  }
}

TEST_F(ContestTest, KeepsWhatItsPhaseFixes) {
  using Change = std::function<void(Contest&)>;
  const Change start = [](Contest& c) { c.starts_at -= 1min; };
  const Change problems = [](Contest& c) { c.problems.pop_back(); };
  const Change end = [](Contest& c) { c.ends_at += 1h; };
  const Change freeze = [](Contest& c) { c.freeze_at.reset(); };
  const Change penalty = [](Contest& c) { c.penalty = 5min; };
  const Change texts = [](Contest& c) {
    c.title = "Semifinals";
    c.description = "later";
    c.results_revealed = true;
  };
  const auto check = [&](const Change& change, Duration after_start) {
    Contest after = contest_;
    change(after);
    return CheckChange(contest_, after, contest_.starts_at + after_start);
  };
  for (const Change& any : {start, problems, end, freeze, penalty, texts}) {
    EXPECT_THAT(check(any, -1ns), IsOk());
  }
  for (const Change& fixed : {start, problems}) {
    for (const Duration when : {0h, 4h, 5h}) {
      EXPECT_THAT(check(fixed, when),
                  AllOf(StatusIs(absl::StatusCode::kFailedPrecondition),
                        HasReason("CONTEST_STARTED")));
    }
  }
  for (const Change& later : {end, freeze, penalty}) {
    EXPECT_THAT(check(later, 0ns), IsOk());
    EXPECT_THAT(check(later, 5h - 1ns), IsOk());
    EXPECT_THAT(check(later, 5h),
                AllOf(StatusIs(absl::StatusCode::kFailedPrecondition),
                      HasReason("CONTEST_ENDED")));
  }
  EXPECT_THAT(check(texts, 1000h), IsOk());
}

TEST_F(ContestTest, ARunningOneCannotHaveEndedInThePast) {
  Contest after = contest_;
  after.ends_at = contest_.starts_at + 2h;
  after.freeze_at = contest_.starts_at + 1h;
  EXPECT_THAT(CheckChange(contest_, after, after.ends_at + 1ns),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(CheckChange(contest_, after, after.ends_at), IsOk());
}

TEST_F(ContestTest, TakesRegistrationsUntilTheEnd) {
  EXPECT_THAT(CheckMayRegister(contest_, contest_.starts_at - 1h), IsOk());
  EXPECT_THAT(CheckMayRegister(contest_, contest_.ends_at - 1ns), IsOk());
  EXPECT_THAT(CheckMayRegister(contest_, contest_.ends_at),
              HasReason("CONTEST_ENDED"));
}

TEST_F(ContestTest, TakesSolutionsOfTeamsWhileItRuns) {
  const WallTime start = contest_.starts_at;
  EXPECT_THAT(CheckMaySubmit(contest_, true, start - 1ns),
              HasReason("CONTEST_NOT_STARTED"));
  EXPECT_THAT(CheckMaySubmit(contest_, true, start), IsOk());
  EXPECT_THAT(CheckMaySubmit(contest_, true, contest_.ends_at - 1ns), IsOk());
  EXPECT_THAT(CheckMaySubmit(contest_, true, contest_.ends_at),
              HasReason("CONTEST_ENDED"));
  EXPECT_THAT(CheckMaySubmit(contest_, false, start),
              AllOf(StatusIs(absl::StatusCode::kFailedPrecondition),
                    HasReason("NOT_REGISTERED")));
}

}  // namespace
}  // namespace platform::contest
