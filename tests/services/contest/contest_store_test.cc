// SPDX-License-Identifier: Apache-2.0
#include "services/contest/contest_store.h"

#include <map>
#include <random>
#include <set>

#include "gmock/gmock.h"
#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/testing/status_matchers.h"
#include "gtest/gtest.h"
#include "services/common/test_database.h"

namespace platform::contest {
namespace {

using namespace std::chrono_literals;
using grpccommon::testing::HasReason;
using grpccommon::testing::IsOk;
using grpccommon::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kNasty[] = "'); DROP TABLE contests; -- %s%n \"$1\" :id ü\n";

class ContestStoreTest : public common::DatabaseTest {
 protected:
  void SetUp() override {
    DatabaseTest::SetUp();
    if (IsSkipped()) return;
    store_ = OpenStore();
    other_ = OpenStore();
  }

  std::unique_ptr<ContestStore> OpenStore() {
    auto store = ContestStore::Open(
        {.database = url(),
         .on_error = [](std::string_view error) { ADD_FAILURE() << error; }},
        false, clock_);
    EXPECT_THAT(store, IsOk());
    return *std::move(store);
  }

  // One transaction; what `work` returns, unless the commit fails.
  template <typename Work>
  auto Write(ContestStore& store, Work work) -> decltype(work(store)) {
    EXPECT_THAT(store.database().Begin(), IsOk());
    auto result = work(store);
    bool ok;
    if constexpr (std::is_same_v<decltype(result), absl::Status>) {
      ok = result.ok();
    } else {
      ok = result.status().ok();
    }
    if (!ok) {
      store.database().Rollback();
      return result;
    }
    absl::Status committed = store.database().Commit();
    if (!committed.ok()) return committed;
    return result;
  }
  template <typename Work>
  auto Write(Work work) {
    return Write(*store_, work);
  }

  // Runs for five hours from now on; "A" is of any language, "B" of two.
  Contest NewContest(const std::string& title = "Finals") {
    Contest contest;
    contest.title = title;
    contest.description = kNasty;
    contest.author_id = "ada";
    contest.starts_at = clock_.WallNow();
    contest.ends_at = contest.starts_at + 5h;
    contest.problems = {{.label = "A", .problem_id = "p1", .title = "Apples"},
                        {.label = "B",
                         .problem_id = "p2",
                         .title = kNasty,
                         .languages = {"c", "cpp"}}};
    return contest;
  }
  Contest MakeContest(const std::optional<Contest>& wanted = std::nullopt) {
    const auto made = Write([&](ContestStore& store) {
      return store.Create(wanted.value_or(NewContest()));
    });
    EXPECT_THAT(made, IsOk());
    return *made;
  }
  void Register(const Contest& contest, const std::string& user) {
    EXPECT_THAT(Write([&](ContestStore& store) {
                  return store.Register(contest.id, user, "team " + user);
                }),
                IsOk());
  }
  absl::StatusOr<Submission> TrySubmit(const Contest& contest,
                                       const std::string& user,
                                       const std::string& label = "A",
                                       const std::string& key = "",
                                       const std::string& source = "code") {
    return Write([&](ContestStore& store) {
      return store.Submit({.contest_id = contest.id,
                           .user_id = user,
                           .label = label,
                           .language = "c",
                           .source = source,
                           .idempotency_key = key});
    });
  }
  Submission Submit(const Contest& contest, const std::string& user,
                    const std::string& label = "A") {
    auto submission = TrySubmit(contest, user, label);
    EXPECT_THAT(submission, IsOk());
    return *std::move(submission);
  }
  std::vector<std::string> Claim(const Judge& judge, Duration lease = 30s,
                                 std::size_t limit = 100,
                                 std::size_t per_user = 1000) {
    const auto jobs = Write([&](ContestStore& store) {
      return store.Claim(judge, clock_.WallNow() + lease,
                         {.more = limit, .per_user = per_user});
    });
    EXPECT_THAT(jobs, IsOk());
    std::vector<std::string> ids;
    for (const JudgeJob& job : *jobs) ids.push_back(job.submission.id);
    return ids;
  }
  bool Record(const Judge& judge, const std::string& id, Verdict verdict) {
    const auto recorded = Write([&](ContestStore& store) {
      return store.Record(judge, id, {.verdict = verdict});
    });
    EXPECT_THAT(recorded, IsOk());
    return recorded->has_value();
  }
  std::int64_t SequenceOf(const Contest& contest) {
    return store_->Get(contest.id)->sequence;
  }

  grpccommon::testing::FakeClock clock_;
  std::unique_ptr<ContestStore> store_;
  std::unique_ptr<ContestStore> other_;  // another process's
  const Judge judge_{.name = "one", .token = "t1"};
  const Judge rival_{.name = "two", .token = "t2"};
};
PLATFORM_INSTANTIATE_ON_DATABASES(ContestStoreTest);

TEST_P(ContestStoreTest, KeepsAContestAsItIs) {
  Contest wanted = NewContest(kNasty);
  wanted.freeze_at = wanted.starts_at + 4h;
  wanted.penalty = 7min + 3ns;
  const Contest made = MakeContest(wanted);
  EXPECT_EQ(made.version, 1);
  const auto read = other_->Get(made.id);
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(read->title, kNasty);
  EXPECT_EQ(read->description, kNasty);
  EXPECT_EQ(read->starts_at, wanted.starts_at);
  EXPECT_EQ(read->ends_at, wanted.ends_at);
  EXPECT_EQ(read->freeze_at, wanted.freeze_at);
  EXPECT_EQ(read->penalty, wanted.penalty);
  EXPECT_EQ(read->author_id, "ada");
  EXPECT_EQ(read->created_at, clock_.WallNow());
  ASSERT_THAT(read->problems, SizeIs(2));
  EXPECT_EQ(read->problems[1].label, "B");
  EXPECT_EQ(read->problems[1].title, kNasty);
  EXPECT_THAT(read->problems[0].languages, IsEmpty());
  EXPECT_THAT(read->problems[1].languages, ElementsAre("c", "cpp"));
  EXPECT_THAT(store_->Get(kNasty), StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(ContestStoreTest, ChangesAContestAndItsVersion) {
  const Contest made = MakeContest();
  clock_.Advance(1s);
  Contest after = made;
  after.title = "Semifinals";
  after.freeze_at = made.starts_at + 1h;
  after.problems.pop_back();
  after.results_revealed = true;
  after.author_id = "mallory";
  const auto updated =
      Write([&](ContestStore& store) { return store.Update(made, after); });
  ASSERT_THAT(updated, IsOk());
  const auto read = other_->Get(made.id);
  EXPECT_EQ(read->title, "Semifinals");
  EXPECT_EQ(read->freeze_at, made.starts_at + 1h);
  EXPECT_THAT(read->problems, SizeIs(1));
  EXPECT_TRUE(read->results_revealed);
  EXPECT_EQ(read->author_id, "ada");
  EXPECT_EQ(read->version, 2);
  EXPECT_EQ(read->created_at, made.created_at);
  EXPECT_EQ(read->updated_at, clock_.WallNow());
  EXPECT_GT(read->sequence, made.sequence);
}

TEST_P(ContestStoreTest, ListsTheLatestStartFirstInPages) {
  std::vector<std::string> titles;
  for (int i = 0; i < 5; ++i) {
    Contest contest = NewContest("contest " + std::to_string(i / 2));
    contest.starts_at += std::chrono::hours(i / 2);  // pairs start together
    MakeContest(contest);
  }
  std::optional<ContestStore::ContestKey> place;
  for (;;) {
    const auto page = store_->List(std::nullopt, place, 2);
    ASSERT_THAT(page, IsOk());
    for (const Contest& contest : *page) titles.push_back(contest.title);
    if (page->size() < 2) break;
    place = {.starts_at = page->back().starts_at, .id = page->back().id};
  }
  EXPECT_THAT(titles, ElementsAre("contest 2", "contest 1", "contest 1",
                                  "contest 0", "contest 0"));
  EXPECT_EQ(*store_->Count(std::nullopt), 5);
}

TEST_P(ContestStoreTest, ListsByPhase) {
  const WallTime now = clock_.WallNow();
  const auto make = [&](const std::string& title, Duration start, Duration end,
                        std::optional<Duration> freeze) {
    Contest contest = NewContest(title);
    contest.starts_at = now + start;
    contest.ends_at = now + end;
    if (freeze.has_value()) contest.freeze_at = now + *freeze;
    MakeContest(contest);
  };
  make("upcoming", 1ns, 1h, std::nullopt);
  make("running", 0ns, 1h, 1ns);
  make("free", -1h, 1ns, std::nullopt);
  make("frozen", -2h, 1ns, 0ns);
  make("ended", -3h, 0ns, -1h);
  const auto titles = [&](Phase phase) {
    std::vector<std::string> found;
    const auto contests = store_->List(phase, std::nullopt, 10);
    EXPECT_THAT(contests, IsOk());
    for (const Contest& contest : *contests) {
      EXPECT_EQ(PhaseAt(contest, now), phase);
      found.push_back(contest.title);
    }
    EXPECT_EQ(*store_->Count(phase), static_cast<std::int64_t>(found.size()));
    return found;
  };
  EXPECT_THAT(titles(Phase::kUpcoming), ElementsAre("upcoming"));
  EXPECT_THAT(titles(Phase::kRunning), ElementsAre("running", "free"));
  EXPECT_THAT(titles(Phase::kFrozen), ElementsAre("frozen"));
  EXPECT_THAT(titles(Phase::kEnded), ElementsAre("ended"));
}

TEST_P(ContestStoreTest, RegistersOnce) {
  const Contest contest = MakeContest();
  const auto first = Write([&](ContestStore& store) {
    return store.Register(contest.id, "bob", kNasty);
  });
  ASSERT_THAT(first, IsOk());
  EXPECT_EQ(first->team_name, kNasty);
  const WallTime registered_at = clock_.WallNow();
  clock_.Advance(100h);  // long over
  const auto again = Write([&](ContestStore& store) {
    return store.Register(contest.id, "bob", "other name");
  });
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(again->team_name, kNasty);
  EXPECT_EQ(again->registered_at, registered_at);
  EXPECT_EQ(store_->Get(contest.id)->participant_count, 1);
  EXPECT_TRUE(*store_->IsRegistered(contest.id, "bob"));
  EXPECT_FALSE(*store_->IsRegistered(contest.id, "eve"));
  EXPECT_THAT(Write([&](ContestStore& store) {
                return store.Register(contest.id, "eve", "late");
              }),
              HasReason("CONTEST_ENDED"));
  EXPECT_THAT(Write([&](ContestStore& store) {
                return store.Register("nowhere", "eve", "");
              }),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(ContestStoreTest, TakesSolutionsAsTheContestAllows) {
  Contest wanted = NewContest();
  wanted.starts_at += 1h;
  const Contest contest = MakeContest(wanted);
  Register(contest, "bob");
  EXPECT_THAT(TrySubmit(contest, "bob"), HasReason("CONTEST_NOT_STARTED"));
  clock_.Advance(1h);
  EXPECT_THAT(TrySubmit(contest, "eve"), HasReason("NOT_REGISTERED"));
  EXPECT_THAT(TrySubmit(contest, "bob", "Z"),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(TrySubmit(Contest{.id = "nowhere"}, "bob"),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(TrySubmit(contest, "bob", "B", "", kNasty), IsOk());
  clock_.Advance(4h - 1ns);
  EXPECT_THAT(TrySubmit(contest, "bob"), IsOk());
  clock_.Advance(1ns);
  EXPECT_THAT(TrySubmit(contest, "bob"), HasReason("CONTEST_ENDED"));
  EXPECT_EQ(*store_->CountSubmissions({.contest_id = contest.id}), 2);
}

TEST_P(ContestStoreTest, KeepsASubmissionAsItIs) {
  const Contest contest = MakeContest();
  Register(contest, "bob");
  const auto taken = TrySubmit(contest, "bob", "B", "k", kNasty);
  ASSERT_THAT(taken, IsOk());
  const auto read = other_->GetSubmission(taken->id);
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(read->contest_id, contest.id);
  EXPECT_EQ(read->user_id, "bob");
  EXPECT_EQ(read->team_name, "team bob");
  EXPECT_EQ(read->label, "B");
  EXPECT_EQ(read->problem_id, "p2");
  EXPECT_EQ(read->language, "c");
  EXPECT_EQ(read->source, kNasty);
  EXPECT_EQ(read->submitted_at, clock_.WallNow());
  EXPECT_FALSE(read->judgement.has_value());
  ASSERT_THAT(Claim(judge_), ElementsAre(taken->id));
  clock_.Advance(2s);
  const Judgement judgement{
      .verdict = Verdict::kTimeLimit,
      .passed_count = 3,
      .test_count = 10,
      .usage = {.cpu_time = 2s, .wall_time = 3s, .memory_bytes = 5'000'000'000},
      .compiler_output = kNasty};
  const auto recorded = Write([&](ContestStore& store) {
    return store.Record(judge_, taken->id, judgement);
  });
  ASSERT_THAT(recorded, IsOk());
  ASSERT_TRUE(recorded->has_value());
  const auto judged = other_->GetSubmission(taken->id);
  ASSERT_TRUE(judged->judgement.has_value());
  EXPECT_EQ(judged->judgement->verdict, Verdict::kTimeLimit);
  EXPECT_EQ(judged->judgement->passed_count, 3);
  EXPECT_EQ(judged->judgement->test_count, 10);
  EXPECT_EQ(judged->judgement->usage.cpu_time, 2s);
  EXPECT_EQ(judged->judgement->usage.wall_time, 3s);
  EXPECT_EQ(judged->judgement->usage.memory_bytes, 5'000'000'000);
  EXPECT_EQ(judged->judgement->compiler_output, kNasty);
  EXPECT_EQ(judged->judged_at, clock_.WallNow());
}

TEST_P(ContestStoreTest, AnIdempotencyKeyMakesOneSubmission) {
  const Contest contest = MakeContest();
  Register(contest, "bob");
  Register(contest, "eve");
  const auto first = TrySubmit(contest, "bob", "A", "key");
  ASSERT_THAT(first, IsOk());
  clock_.Advance(100h);  // even when nothing is taken any more
  const auto again = TrySubmit(contest, "bob", "A", "key");
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(again->id, first->id);
  for (const auto& other : {TrySubmit(contest, "bob", "B", "key"),
                            TrySubmit(contest, "bob", "A", "key", "more")}) {
    EXPECT_THAT(other, AllOf(StatusIs(absl::StatusCode::kAlreadyExists),
                             HasReason("IDEMPOTENCY_KEY_USED")));
  }
  EXPECT_EQ(*store_->CountSubmissions({.contest_id = contest.id}), 1);
  clock_.SetWall(contest.starts_at);
  const auto theirs = TrySubmit(contest, "eve", "A", "key");
  ASSERT_THAT(theirs, IsOk());
  EXPECT_NE(theirs->id, first->id);
  EXPECT_NE(Submit(contest, "bob").id, Submit(contest, "bob").id);
}

TEST_P(ContestStoreTest, ListsSubmissionsTheLatestFirst) {
  const Contest contest = MakeContest();
  Register(contest, "bob");
  Register(contest, "eve");
  std::vector<std::string> ids;
  for (int i = 0; i < 4; ++i) {
    ids.push_back(
        Submit(contest, i % 2 == 0 ? "bob" : "eve", i < 2 ? "A" : "B").id);
  }
  const auto list = [&](ContestStore::SubmissionFilter filter,
                        std::optional<std::int64_t> before = std::nullopt,
                        std::size_t limit = 10) {
    filter.contest_id = contest.id;
    std::vector<std::string> found;
    const auto page = store_->ListSubmissions(filter, before, limit);
    EXPECT_THAT(page, IsOk());
    for (const Submission& submission : *page) {
      EXPECT_THAT(submission.source, IsEmpty());
      found.push_back(submission.id);
    }
    return found;
  };
  EXPECT_THAT(list({}), ElementsAre(ids[3], ids[2], ids[1], ids[0]));
  EXPECT_THAT(list({.user_id = "bob"}), ElementsAre(ids[2], ids[0]));
  EXPECT_THAT(list({.label = "A"}), ElementsAre(ids[1], ids[0]));
  EXPECT_THAT(list({.user_id = "eve", .label = "B"}), ElementsAre(ids[3]));
  EXPECT_THAT(list({.user_id = kNasty}), IsEmpty());
  EXPECT_THAT(list({}, std::nullopt, 2), ElementsAre(ids[3], ids[2]));
  EXPECT_THAT(list({}, store_->GetSubmission(ids[2])->number, 2),
              ElementsAre(ids[1], ids[0]));
  EXPECT_EQ(
      *store_->CountSubmissions({.contest_id = contest.id, .user_id = "bob"}),
      2);
}

TEST_P(ContestStoreTest, OnlyOneJudgeHasASubmissionAtATime) {
  const Contest contest = MakeContest();
  Register(contest, "bob");
  const std::string first = Submit(contest, "bob").id;
  clock_.Advance(1s);
  const std::string second = Submit(contest, "bob").id;
  EXPECT_THAT(Claim(judge_, 30s, 1), ElementsAre(first)) << "the oldest";
  const auto theirs = Write(*other_, [&](ContestStore& store) {
    return store.Claim(rival_, clock_.WallNow() + 30s, {.more = 100});
  });
  ASSERT_THAT(theirs, IsOk());
  ASSERT_THAT(*theirs, SizeIs(1));
  EXPECT_EQ(theirs->front().submission.id, second);
  EXPECT_EQ(theirs->front().submission.source, "code");
  EXPECT_EQ(theirs->front().attempt, 1);
  EXPECT_THAT(Claim(judge_), IsEmpty());
}

TEST_P(ContestStoreTest, UsersTakeTurns) {
  const Contest contest = MakeContest();
  std::map<std::string, std::string> name;  // of each submission
  const auto submit = [&](const std::string& user, int count) {
    Register(contest, user);
    for (int i = 1; i <= count; ++i) {
      clock_.Advance(1ms);
      name[Submit(contest, user).id] = user + std::to_string(i);
    }
  };
  const auto claim = [&](std::size_t limit, std::size_t per_user) {
    std::vector<std::string> names;
    // Whose leases they are does not matter.
    for (const Judge& judge : {judge_, rival_}) {
      for (const std::string& id : Claim(judge, 30s, limit, per_user)) {
        names.push_back(name[id]);
      }
    }
    return names;
  };
  submit("a", 6);
  submit("b", 2);
  submit("c", 1);
  EXPECT_THAT(claim(2, 2), ElementsAre("a1", "b1", "c1", "a2"));
  EXPECT_THAT(claim(10, 2), ElementsAre("b2")) << "two of a's are judged";
  submit("d", 1);
  EXPECT_THAT(claim(1, 3), ElementsAre("d1", "a3"));
  clock_.Advance(30s);  // now nobody has any, and the oldest comes first
  EXPECT_THAT(claim(4, 2), ElementsAre("a1", "b1", "c1", "d1", "a2", "b2"));
}

TEST_P(ContestStoreTest, ALeaseThatHasRunOutIsAnothers) {
  const Contest contest = MakeContest();
  Register(contest, "bob");
  const std::string id = Submit(contest, "bob").id;
  EXPECT_THAT(Claim(judge_, 30s), ElementsAre(id));
  clock_.Advance(20s);
  EXPECT_THAT(Write([&](ContestStore& store) {
                return store.Renew(judge_, {id}, clock_.WallNow() + 30s);
              }),
              IsOk());
  clock_.Advance(30s - 1ns);
  EXPECT_THAT(Claim(rival_), IsEmpty());
  clock_.Advance(1ns);
  EXPECT_THAT(Claim(rival_), ElementsAre(id));
  // The first one comes back too late, and takes nothing.
  EXPECT_THAT(Write([&](ContestStore& store) {
                return store.Renew(judge_, {id}, clock_.WallNow() + 1h);
              }),
              IsOk());
  EXPECT_THAT(Write([&](ContestStore& store) {
                return store.Postpone(judge_, id, clock_.WallNow());
              }),
              IsOk());
  EXPECT_FALSE(Record(judge_, id, Verdict::kAccepted));
  EXPECT_THAT(Claim(judge_), IsEmpty());
  EXPECT_TRUE(Record(rival_, id, Verdict::kWrongAnswer));
  EXPECT_EQ(store_->GetSubmission(id)->judgement->verdict,
            Verdict::kWrongAnswer);
}

TEST_P(ContestStoreTest, ARestartedJudgeTakesItsOwnBackAtOnce) {
  const Contest contest = MakeContest();
  Register(contest, "bob");
  const std::string mine = Submit(contest, "bob").id;
  EXPECT_THAT(Claim(judge_), ElementsAre(mine));
  const std::string theirs = Submit(contest, "bob").id;
  EXPECT_THAT(Claim(rival_), ElementsAre(theirs));
  const Judge restarted{.name = judge_.name, .token = "t3"};
  EXPECT_THAT(Claim(restarted), IsEmpty());
  EXPECT_THAT(
      Write([&](ContestStore& store) { return store.TakeBack(restarted); }),
      IsOk());
  EXPECT_THAT(Claim(restarted), ElementsAre(mine));
  EXPECT_FALSE(Record(judge_, mine, Verdict::kAccepted))
      << "the one before may still run";
  EXPECT_THAT(
      Write([&](ContestStore& store) { return store.TakeBack(restarted); }),
      IsOk());
  EXPECT_TRUE(Record(restarted, mine, Verdict::kAccepted))
      << "it took back what it holds itself";
}

TEST_P(ContestStoreTest, WhatIsGivenBackAnyoneMayTake) {
  const Contest contest = MakeContest();
  Register(contest, "bob");
  const std::string id = Submit(contest, "bob").id;
  EXPECT_THAT(Claim(judge_), ElementsAre(id));
  EXPECT_THAT(
      Write([&](ContestStore& store) { return store.GiveBack(judge_); }),
      IsOk());
  EXPECT_THAT(Claim(rival_), ElementsAre(id));
}

TEST_P(ContestStoreTest, WhatIsPostponedWaitsForItsTime) {
  const Contest contest = MakeContest();
  Register(contest, "bob");
  const std::string id = Submit(contest, "bob").id;
  EXPECT_LE(**store_->NextToJudge(), clock_.WallNow());
  EXPECT_THAT(Claim(judge_), ElementsAre(id));
  EXPECT_EQ(*store_->NextToJudge(), clock_.WallNow() + 30s);
  EXPECT_THAT(Write([&](ContestStore& store) {
                return store.Postpone(judge_, id, clock_.WallNow() + 5s);
              }),
              IsOk());
  EXPECT_EQ(*store_->NextToJudge(), clock_.WallNow() + 5s);
  EXPECT_FALSE(Record(judge_, id, Verdict::kAccepted));
  EXPECT_THAT(Claim(judge_), IsEmpty());
  clock_.Advance(5s);
  const auto jobs = Write([&](ContestStore& store) {
    return store.Claim(judge_, clock_.WallNow() + 30s, {.more = 1});
  });
  ASSERT_THAT(*jobs, SizeIs(1));
  EXPECT_EQ(jobs->front().attempt, 2);
  EXPECT_TRUE(Record(judge_, id, Verdict::kAccepted));
  EXPECT_EQ(*store_->NextToJudge(), std::nullopt);
}

TEST_P(ContestStoreTest, AVerdictIsRecordedOnce) {
  const Contest contest = MakeContest();
  Register(contest, "bob");
  const std::string id = Submit(contest, "bob").id;
  EXPECT_FALSE(Record(judge_, id, Verdict::kAccepted)) << "not its lease";
  Claim(judge_);
  EXPECT_TRUE(Record(judge_, id, Verdict::kWrongAnswer));
  const std::int64_t sequence = SequenceOf(contest);
  EXPECT_FALSE(Record(judge_, id, Verdict::kAccepted));
  EXPECT_EQ(SequenceOf(contest), sequence);
  EXPECT_EQ(store_->GetSubmission(id)->judgement->verdict,
            Verdict::kWrongAnswer);
  EXPECT_THAT(Claim(judge_), IsEmpty());
}

TEST_P(ContestStoreTest, RemembersWhatWasNotReported) {
  const Contest contest = MakeContest();
  Register(contest, "bob");
  const std::string right = Submit(contest, "bob", "A").id;
  const std::string wrong = Submit(contest, "bob", "B").id;
  Submit(contest, "bob", "B");
  Claim(judge_);
  EXPECT_THAT(*store_->Unreported(clock_.WallNow(), 10), IsEmpty());
  EXPECT_TRUE(Record(judge_, right, Verdict::kAccepted));
  clock_.Advance(1s);
  EXPECT_TRUE(Record(judge_, wrong, Verdict::kTimeLimit));
  EXPECT_THAT(*store_->JudgedAfter(clock_.WallNow() - 1s), ElementsAre(wrong));
  EXPECT_THAT(*store_->JudgedAfter(clock_.WallNow() - 2s), SizeIs(2));
  EXPECT_THAT(*store_->Unreported(clock_.WallNow() - 1s, 10), SizeIs(1));
  EXPECT_THAT(*store_->Unreported(clock_.WallNow(), 1), SizeIs(1));
  const auto reports = store_->Unreported(clock_.WallNow(), 10);
  ASSERT_THAT(*reports, SizeIs(2));
  EXPECT_EQ((*reports)[0].submission_id, right);
  EXPECT_EQ((*reports)[0].problem_id, "p1");
  EXPECT_EQ((*reports)[0].user_id, "bob");
  EXPECT_TRUE((*reports)[0].accepted);
  EXPECT_FALSE((*reports)[1].accepted);
  EXPECT_THAT(
      Write([&](ContestStore& store) { return store.MarkReported(right); }),
      IsOk());
  EXPECT_THAT(*store_->Unreported(clock_.WallNow(), 10), SizeIs(1));
}

TEST_P(ContestStoreTest, WhatWasNotJudgedCountsNothingAndIsNotReported) {
  const Contest contest = MakeContest();
  Register(contest, "bob");
  const std::string wrong = Submit(contest, "bob").id;
  const std::string id = Submit(contest, "bob").id;
  for (int failure = 0; failure < 2; ++failure) {
    const auto jobs = Write([&](ContestStore& store) {
      return store.Claim(judge_, clock_.WallNow() + 30s, {.more = 10});
    });
    ASSERT_THAT(*jobs, SizeIs(failure == 0 ? 2 : 1));
    EXPECT_EQ(jobs->back().failures, failure);
    Record(judge_, wrong, Verdict::kWrongAnswer);
    for (const bool failed : {true, false}) {
      EXPECT_THAT(Write([&](ContestStore& store) {
                    return store.Postpone(judge_, id, clock_.WallNow(), failed);
                  }),
                  IsOk());
    }
  }
  Claim(judge_);
  const auto recorded = Write([&](ContestStore& store) {
    return store.Record(judge_, id,
                        {.verdict = Verdict::kInternal,
                         .not_judged = NotJudged::kProblemNotFound});
  });
  ASSERT_THAT(recorded, IsOk());
  const auto read = store_->GetSubmission(id);
  EXPECT_EQ(read->judgement->verdict, Verdict::kInternal);
  EXPECT_EQ(read->judgement->not_judged, NotJudged::kProblemNotFound);
  EXPECT_EQ(store_->GetSubmission(wrong)->judgement->not_judged,
            NotJudged::kNo);
  EXPECT_THAT(*store_->Unreported(clock_.WallNow(), 10), SizeIs(1));
  const auto board = store_->ReadBoard(contest.id, 0);
  ASSERT_THAT(board->cells, SizeIs(1));
  EXPECT_EQ(board->cells[0].full, (Cell{.wrong = 1}));
}

TEST_P(ContestStoreTest, TellsWhatHasChangedOfTheBoard) {
  const Contest contest = MakeContest();
  Register(contest, "bob");
  auto all = store_->ReadBoard(contest.id, 0);
  ASSERT_THAT(all, IsOk());
  EXPECT_TRUE(all->whole);
  EXPECT_THAT(all->teams, SizeIs(1));
  EXPECT_THAT(all->cells, IsEmpty());

  const std::int64_t known = all->contest.sequence;
  auto nothing = store_->ReadBoard(contest.id, known);
  EXPECT_FALSE(nothing->whole);
  EXPECT_THAT(nothing->teams, IsEmpty());
  EXPECT_THAT(nothing->cells, IsEmpty());

  clock_.Advance(10min);
  const std::string id = Submit(contest, "bob").id;
  Register(contest, "eve");
  auto changes = store_->ReadBoard(contest.id, known);
  EXPECT_FALSE(changes->whole);
  ASSERT_THAT(changes->teams, SizeIs(1));
  EXPECT_EQ(changes->teams[0].team_name, "team eve");
  ASSERT_THAT(changes->cells, SizeIs(1));
  EXPECT_EQ(changes->cells[0].full, (Cell{.pending = 1}));
  EXPECT_EQ(changes->changed_at, clock_.WallNow());

  clock_.Advance(1min);
  Claim(judge_);
  EXPECT_TRUE(Record(judge_, id, Verdict::kAccepted));
  changes = store_->ReadBoard(contest.id, changes->contest.sequence);
  EXPECT_THAT(changes->teams, IsEmpty());
  ASSERT_THAT(changes->cells, SizeIs(1));
  EXPECT_EQ(changes->cells[0].user_id, "bob");
  EXPECT_EQ(changes->cells[0].label, "A");
  ASSERT_TRUE(changes->cells[0].full.solved.has_value());
  EXPECT_EQ(changes->cells[0].full.solved->at, contest.starts_at + 10min);
  EXPECT_EQ(changes->cells[0].full, changes->cells[0].shown);
  EXPECT_EQ(changes->changed_at, clock_.WallNow());

  EXPECT_THAT(store_->ReadBoard("nowhere", 0),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(ContestStoreTest, AFreezeHidesResultsAlsoWhenItIsMoved) {
  Contest wanted = NewContest();
  wanted.freeze_at = wanted.starts_at + 1h;
  const Contest contest = MakeContest(wanted);
  Register(contest, "bob");
  clock_.Advance(1h);
  const std::string id = Submit(contest, "bob").id;
  Claim(judge_);
  EXPECT_TRUE(Record(judge_, id, Verdict::kWrongAnswer));
  auto board = store_->ReadBoard(contest.id, 0);
  EXPECT_EQ(board->cells[0].full, (Cell{.wrong = 1}));
  EXPECT_EQ(board->cells[0].shown, (Cell{.pending = 1}));

  const Contest before = *store_->Get(contest.id);
  Contest after = before;
  after.freeze_at = wanted.starts_at + 2h;
  EXPECT_THAT(
      Write([&](ContestStore& store) { return store.Update(before, after); }),
      IsOk());
  board = store_->ReadBoard(contest.id, board->contest.sequence);
  EXPECT_TRUE(board->whole) << "the rules have changed";
  EXPECT_THAT(board->teams, SizeIs(1));
  EXPECT_EQ(board->cells[0].shown, (Cell{.wrong = 1}));
}

TEST_P(ContestStoreTest, KeepsAnnouncementsInOrder) {
  const Contest contest = MakeContest();
  const auto announce = [&](const std::string& id, const std::string& text) {
    return Write(
        [&](ContestStore& store) { return store.Announce(id, "ada", text); });
  };
  EXPECT_EQ(announce(contest.id, "one")->number, 1);
  EXPECT_EQ(announce(contest.id, kNasty)->number, 2);
  EXPECT_EQ(announce(MakeContest().id, "other")->number, 1);
  EXPECT_THAT(announce("nowhere", "text"),
              StatusIs(absl::StatusCode::kNotFound));
  const auto all = store_->Announcements(contest.id, 0, 10);
  ASSERT_THAT(*all, SizeIs(2));
  EXPECT_EQ((*all)[0].text, "one");
  EXPECT_EQ((*all)[1].text, kNasty);
  EXPECT_EQ((*all)[1].author_id, "ada");
  EXPECT_EQ((*all)[1].created_at, clock_.WallNow());
  EXPECT_THAT(*store_->Announcements(contest.id, 1, 10), SizeIs(1));
  EXPECT_THAT(*store_->Announcements(contest.id, 0, 1), SizeIs(1));
  EXPECT_EQ(store_->ReadBoard(contest.id, 0)->announcement_count, 2);
  EXPECT_EQ(*store_->CountAnnouncements(contest.id), 2);
  EXPECT_THAT(store_->CountAnnouncements("nowhere"),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(ContestStoreTest, TakesSoManyAnnouncementsAndNoMore) {
  const Contest contest = MakeContest();
  EXPECT_THAT(Write([&](ContestStore& store) -> absl::Status {
                for (int i = 0; i < ContestStore::kMaxAnnouncements; ++i) {
                  const auto made = store.Announce(contest.id, "ada", "text");
                  if (!made.ok()) return made.status();
                }
                return absl::OkStatus();
              }),
              IsOk());
  EXPECT_THAT(Write([&](ContestStore& store) {
                return store.Announce(contest.id, "ada", "one more");
              }),
              AllOf(StatusIs(absl::StatusCode::kResourceExhausted),
                    HasReason("TOO_MANY_ANNOUNCEMENTS")));
}

TEST_P(ContestStoreTest, SurvivesARestart) {
  const Contest contest = MakeContest();
  Register(contest, "bob");
  const std::string id = Submit(contest, "bob").id;
  store_.reset();
  other_.reset();
  store_ = OpenStore();
  EXPECT_THAT(store_->GetSubmission(id), IsOk());
  EXPECT_THAT(store_->ReadBoard(contest.id, 0)->cells, SizeIs(1));
}

// Whatever is submitted, judged, taken over or tried twice: the scores that
// are stored are those of the submissions, each verdict counted once, and
// whoever reads only changes knows the same.
TEST_P(ContestStoreTest, ScoresEqualARecomputationAtAnyTime) {
  Contest wanted = NewContest();
  wanted.freeze_at = wanted.starts_at + 20min;
  const Contest contest = MakeContest(wanted);
  const std::vector<std::string> users = {"u0", "u1", "u2", "u3"};
  for (const std::string& user : users) Register(contest, user);
  std::mt19937 random(7);
  const auto draw = [&](std::size_t below) { return random() % below; };
  std::map<std::pair<std::string, std::string>, CellChange> known;
  std::int64_t sequence = 0;
  std::vector<std::string> claimed;
  for (int step = 0; step < 150; ++step) {
    clock_.Advance(std::chrono::seconds(draw(20)));
    switch (draw(4)) {
      case 0:
        Submit(contest, users[draw(users.size())], draw(2) == 0 ? "A" : "B");
        break;
      case 1:
        for (std::string& id : Claim(draw(2) == 0 ? judge_ : rival_, 5s, 3)) {
          claimed.push_back(std::move(id));
        }
        break;
      default:
        if (claimed.empty()) break;
        // Perhaps with a lease that has run out, or a verdict that is there.
        Record(draw(2) == 0 ? judge_ : rival_, claimed[draw(claimed.size())],
               static_cast<Verdict>(1 + draw(7)));
        break;
    }
    const auto changes = store_->ReadBoard(contest.id, sequence);
    ASSERT_THAT(changes, IsOk());
    sequence = changes->contest.sequence;
    for (const CellChange& cell : changes->cells) {
      known[{cell.user_id, cell.label}] = cell;
    }
    const auto recomputed = store_->RecomputeScores(changes->contest);
    ASSERT_THAT(recomputed, IsOk());
    ASSERT_EQ(recomputed->size(), known.size());
    for (const CellChange& cell : *recomputed) {
      const CellChange& stored = known[{cell.user_id, cell.label}];
      ASSERT_EQ(stored.full, cell.full) << "step " << step;
      ASSERT_EQ(stored.shown, cell.shown) << "step " << step;
    }
  }
  EXPECT_GT(*store_->CountSubmissions({.contest_id = contest.id}), 20);
}

}  // namespace
}  // namespace platform::contest
