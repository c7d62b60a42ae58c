// SPDX-License-Identifier: Apache-2.0
#include "services/contest/live_contest.h"

#include <future>

#include "gmock/gmock.h"
#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/testing/status_matchers.h"
#include "gtest/gtest.h"
#include "services/common/temp_folder.h"

namespace platform::contest {
namespace {

using namespace std::chrono_literals;
using grpccommon::testing::IsOk;
using grpccommon::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr LiveContestsOptions kOptions{.poll_interval = 1s, .keep = 1min};

// Starts in an hour, with one problem and one team; frozen from its second
// hour on; ends after the third.
class LiveContestTest : public ::testing::Test {
 protected:
  LiveContestTest() {
    store_ = *OpenContestQueue({.database = folder_ / "contest.db"},
                               {.readers = 1}, clock_);
    live_.emplace(*store_, scheduler_, kOptions, clock_);
    Contest contest;
    contest.title = "Finals";
    contest.author_id = "ada";
    contest.starts_at = clock_.WallNow() + 1h;
    contest.freeze_at = contest.starts_at + 1h;
    contest.ends_at = contest.starts_at + 3h;
    contest.problems = {{.label = "A", .problem_id = "p1"}};
    Write([&](ContestStore& store) {
      contest_ = *store.Create(contest);
      return store.Register(contest_.id, "bob", "Bob").status();
    });
  }
  void TearDown() override {
    live_->Close(absl::UnavailableError("the test is over"));
    store_.reset();
  }

  void Write(std::function<absl::Status(ContestStore&)> work) {
    std::promise<absl::Status> done;
    ASSERT_THAT(store_->Write({.run = std::move(work),
                               .done =
                                   [&](const absl::Status& status) {
                                     done.set_value(status);
                                   }}),
                IsOk());
    EXPECT_THAT(done.get_future().get(), IsOk());
  }
  void Judge(Verdict verdict) {
    Write([&](ContestStore& store) {
      const auto taken = store.Submit({.contest_id = contest_.id,
                                       .user_id = "bob",
                                       .label = "A",
                                       .language = "c",
                                       .source = "code"});
      if (!taken.ok()) return taken.status();
      const contest::Judge judge{.name = "one", .token = "t"};
      (void)store.Claim(judge, clock_.WallNow() + 1h, {.more = 10});
      return store.Record(judge, taken->id, {.verdict = verdict}).status();
    });
  }
  absl::StatusOr<std::shared_ptr<LiveContest>> Look(const std::string& id) {
    std::promise<absl::StatusOr<std::shared_ptr<LiveContest>>> looked;
    live_->Look(id, [&](auto contest) { looked.set_value(contest); });
    return looked.get_future().get();
  }
  v1::Leaderboard Show(const Caller& caller = {.id = "bob"}) {
    const auto contest = Look(contest_.id);
    EXPECT_THAT(contest, IsOk());
    return (*contest)->Show(caller).board;
  }

  grpccommon::testing::FakeClock clock_;
  grpccommon::testing::FakeScheduler scheduler_{clock_};
  common::TempFolder folder_;
  std::unique_ptr<ContestQueue> store_;
  std::optional<LiveContests> live_;
  Contest contest_;
};

TEST_F(LiveContestTest, ShowsEachPhaseFromItsTimeOn) {
  EXPECT_EQ(Show().phase(), v1::CONTEST_PHASE_UPCOMING);
  EXPECT_THAT(Show().problem_labels(), IsEmpty());
  EXPECT_THAT(Show().rows(0).cells(), IsEmpty());
  EXPECT_THAT(Show({.id = "ada"}).problem_labels(), ElementsAre("A"));
  clock_.Advance(1h);
  EXPECT_EQ(Show().phase(), v1::CONTEST_PHASE_RUNNING);
  EXPECT_THAT(Show().problem_labels(), ElementsAre("A"));
  Judge(Verdict::kWrongAnswer);
  EXPECT_EQ(Show().rows(0).cells(0).wrong(), 1);
  clock_.Advance(1h);
  EXPECT_TRUE(Show().frozen());
  Judge(Verdict::kAccepted);
  EXPECT_EQ(Show().rows(0).solved(), 0);
  EXPECT_EQ(Show().rows(0).cells(0).wrong(), 1) << "from before the freeze";
  EXPECT_EQ(Show().rows(0).cells(0).pending(), 1);
  EXPECT_EQ(Show({.id = "ada"}).rows(0).solved(), 1);
  clock_.Advance(2h);
  EXPECT_EQ(Show().phase(), v1::CONTEST_PHASE_ENDED);
  EXPECT_TRUE(Show().frozen());
  Write([&](ContestStore& store) {
    const Contest before = *store.Get(contest_.id);
    Contest after = before;
    after.results_revealed = true;
    return store.Update(before, after).status();
  });
  EXPECT_FALSE(Show().frozen());
  EXPECT_EQ(Show().rows(0).solved(), 1);
}

TEST_F(LiveContestTest, ResultsThatWereRevealedEarlyAreShownFromTheEndOn) {
  clock_.Advance(2h);
  Judge(Verdict::kAccepted);
  Write([&](ContestStore& store) {
    const Contest before = *store.Get(contest_.id);
    Contest after = before;
    after.results_revealed = true;
    return store.Update(before, after).status();
  });
  EXPECT_TRUE(Show().frozen());
  EXPECT_EQ(Show().rows(0).solved(), 0);
  clock_.Advance(2h);
  EXPECT_FALSE(Show().frozen());
  EXPECT_EQ(Show().rows(0).solved(), 1);
}

TEST_F(LiveContestTest, ALookShowsWhatWasCommittedBefore) {
  clock_.Advance(1h);
  for (int wrong = 1; wrong <= 20; ++wrong) {
    Judge(Verdict::kWrongAnswer);
    live_->Changed(contest_.id);
    ASSERT_EQ(Show().rows(0).cells(0).wrong(), wrong);
  }
}

TEST_F(LiveContestTest, ForgetsWhatNobodyLooksAt) {
  (void)Show();
  clock_.Advance(59s);
  EXPECT_EQ(live_->size(), 1u);
  (void)Show();
  clock_.Advance(60s);
  EXPECT_EQ(live_->size(), 1u);
  clock_.Advance(2s);
  EXPECT_EQ(live_->size(), 0u);
  EXPECT_EQ(Show().rows_size(), 1);
}

TEST_F(LiveContestTest, KeepsNothingOfWhatIsNotThere) {
  EXPECT_THAT(Look("nowhere"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(live_->size(), 0u);
  live_->Changed("nowhere");
  EXPECT_EQ(live_->size(), 0u);
}

TEST_F(LiveContestTest, NobodyLooksAfterTheEnd) {
  live_->Close(absl::UnavailableError("the server stops"));
  EXPECT_THAT(Look(contest_.id), StatusIs(absl::StatusCode::kUnavailable));
}

}  // namespace
}  // namespace platform::contest
