// SPDX-License-Identifier: Apache-2.0
// The contest service behind its whole chain, with problem and execution
// services that obey the test.
#include "services/contest/contest_service.h"

#include <algorithm>
#include <thread>

#include "absl/strings/ascii.h"
#include "google/rpc/error_details.pb.h"
#include "grpccommon/status/details.h"
#include "services/common/test_database.h"
#include "services/contest/contest_environment.h"

namespace platform::contest {
namespace {

using namespace std::chrono_literals;
using grpccommon::testing::HasReason;
using grpccommon::testing::IsOk;
using grpccommon::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using Stub = v1::ContestService::Stub;

class ContestServiceTest : public common::DatabaseTest {
 protected:
  void SetUp() override {
    DatabaseTest::SetUp();
    if (IsSkipped()) return;
    Launch();
  }
  void Launch() {
    process_.emplace(TestApp(url()), environment_.registry);
    client_.emplace(process_->stub());
  }

  v1::Contest Make(const v1::Contest& contest,
                   const std::string& who = "ada author") {
    auto made = client_->Create(contest, who);
    EXPECT_THAT(made, IsOk());
    return *std::move(made);
  }
  v1::Contest Make() { return Make(environment_.NewContest()); }
  // With these teams on the board.
  v1::Contest MakeWith(const std::vector<std::string>& users) {
    v1::Contest contest = Make();
    for (const std::string& user : users) {
      EXPECT_THAT(client_->Register(contest.id(), user), IsOk());
    }
    return contest;
  }
  // Submits and waits for the verdict.
  v1::Submission Judge(const v1::Contest& contest, const std::string& who,
                       const std::string& source,
                       const std::string& label = "A") {
    const auto taken = client_->Submit(contest.id(), who, source, label);
    EXPECT_THAT(taken, IsOk());
    const auto updates = client_->Judged(taken->id(), who);
    EXPECT_THAT(updates, IsOk());
    return updates->back().submission();
  }

  static std::string FieldOf(const absl::Status& status) {
    google::rpc::BadRequest details;
    if (!grpccommon::GetDetail(status, details)) return "";
    return details.field_violations(0).field();
  }

  ContestEnvironment environment_;
  std::optional<ContestProcess> process_;
  std::optional<ContestClient> client_;
};
PLATFORM_INSTANTIATE_ON_DATABASES(ContestServiceTest);

TEST_P(ContestServiceTest, MakesAContestAsItIsAskedTo) {
  v1::Contest wanted = environment_.NewContest();
  wanted.set_title("'); DROP TABLE contests; --");
  wanted.set_description("%s%n${jndi} ü\n");
  *wanted.mutable_freeze_at() = wanted.ends_at();
  wanted.mutable_penalty()->set_seconds(600);
  const v1::Contest made = Make(wanted);
  EXPECT_EQ(made.title(), wanted.title());
  EXPECT_EQ(made.description(), wanted.description());
  EXPECT_EQ(made.starts_at().seconds(), wanted.starts_at().seconds());
  EXPECT_EQ(made.freeze_at().seconds(), wanted.ends_at().seconds());
  EXPECT_EQ(made.penalty().seconds(), 600);
  EXPECT_EQ(made.author_id(), "ada");
  EXPECT_EQ(made.phase(), v1::CONTEST_PHASE_RUNNING);
  EXPECT_EQ(made.version(), 1);
  ASSERT_THAT(made.problems(), SizeIs(2));
  EXPECT_EQ(made.problems(0).label(), "A");
  EXPECT_EQ(made.problems(0).title(), "Apples");
  const auto read = client_->Get(made.id());
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(read->contest().SerializeAsString(), made.SerializeAsString());
  EXPECT_FALSE(read->registered());

  v1::Contest plain = environment_.NewContest();
  EXPECT_EQ(Make(plain).penalty().seconds(), 20 * 60) << "the default";
  plain.mutable_penalty();
  EXPECT_EQ(Make(plain).penalty().seconds(), 0) << "none, as was asked for";
}

TEST_P(ContestServiceTest, MakesNoContestOfWhatMakesNoSense) {
  struct Case {
    std::string field;
    std::function<void(v1::Contest&)> spoil;
  };
  const std::vector<Case> cases = {
      {"contest.title", [](v1::Contest& c) { c.clear_title(); }},
      {"contest.starts_at", [](v1::Contest& c) { c.clear_starts_at(); }},
      {"contest.ends_at", [](v1::Contest& c) { c.clear_ends_at(); }},
      {"contest.ends_at",
       [](v1::Contest& c) { *c.mutable_ends_at() = c.starts_at(); }},
      {"contest.ends_at",
       [](v1::Contest& c) { c.mutable_ends_at()->set_seconds(1LL << 40); }},
      {"contest.starts_at",
       [](v1::Contest& c) { c.mutable_starts_at()->set_nanos(-1); }},
      {"contest.freeze_at",
       [](v1::Contest& c) { c.mutable_freeze_at()->set_seconds(0); }},
      {"contest.problems", [](v1::Contest& c) { c.clear_problems(); }},
      {"contest.problems[1].label",
       [](v1::Contest& c) { c.mutable_problems(1)->set_label("A"); }},
      {"contest.problems[0].label",
       [](v1::Contest& c) { c.mutable_problems(0)->set_label("a'"); }},
      {"contest.problems[0].problem_id",
       [](v1::Contest& c) { c.mutable_problems(0)->set_problem_id("1"); }},
      {"contest.problems[1].problem_id",
       [](v1::Contest& c) {
         c.mutable_problems(1)->set_problem_id(c.problems(0).problem_id());
       }},
      {"contest.problems[1].problem_id", [](v1::Contest& c) {
         c.mutable_problems(1)->set_problem_id(
             absl::AsciiStrToUpper(c.problems(0).problem_id()));
       }}};
  for (const Case& wrong : cases) {
    v1::Contest contest = environment_.NewContest();
    wrong.spoil(contest);
    const auto made = client_->Create(contest);
    EXPECT_THAT(made, StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_EQ(FieldOf(made.status()), wrong.field);
  }
  EXPECT_THAT(client_->Create(environment_.NewContest(), "bob user"),
              StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST_P(ContestServiceTest, ProblemsMustBeTheCallersToSee) {
  const auto others = client_->Create(environment_.NewContest(), "eve author");
  EXPECT_THAT(others, StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(std::string(others.status().message()),
              HasSubstr(environment_.problem_b));
  v1::Contest unknown = environment_.NewContest();
  unknown.mutable_problems(0)->set_problem_id(grpccommon::UuidV7());
  EXPECT_THAT(client_->Create(unknown), StatusIs(absl::StatusCode::kNotFound));
  environment_.backends.Stop();
  EXPECT_THAT(client_->Create(environment_.NewContest()),
              AllOf(StatusIs(absl::StatusCode::kUnavailable),
                    HasReason("BACKEND_UNAVAILABLE")));
}

TEST_P(ContestServiceTest, HidesTheProblemsUntilTheStart) {
  const v1::Contest contest = Make(environment_.NewContest(-60min));
  EXPECT_THAT(contest.problems(), SizeIs(2));
  EXPECT_THAT(client_->Get(contest.id(), "bob")->contest().problems(),
              IsEmpty());
  EXPECT_THAT(client_->Get(contest.id(), "root admin")->contest().problems(),
              SizeIs(2));
  EXPECT_THAT(client_->Register(contest.id(), "bob"), IsOk());
  EXPECT_THAT(client_->Board(contest.id(), "bob")->problem_labels(), IsEmpty());
  EXPECT_THAT(client_->Board(contest.id(), "bob")->rows(0).cells(), IsEmpty());
  EXPECT_THAT(client_->Board(contest.id(), "ada")->problem_labels(),
              ElementsAre("A", "B"));
  v1::ListContestsRequest request;
  EXPECT_THAT(client_->Call(&Stub::ListContests, request, "ada author")
                  ->contests(0)
                  .problems(),
              IsEmpty());
}

TEST_P(ContestServiceTest, ListsContestsInPages) {
  for (int i = 0; i < 5; ++i) {
    v1::Contest contest = environment_.NewContest(std::chrono::minutes(10 - i));
    contest.set_title("contest " + std::to_string(i));
    Make(contest);
  }
  Make(environment_.NewContest(-10min));
  v1::ListContestsRequest request;
  request.set_phase(v1::CONTEST_PHASE_RUNNING);
  request.mutable_page()->set_page_size(2);
  std::vector<std::string> titles;
  for (int pages = 1;; ++pages) {
    const auto page = client_->Call(&Stub::ListContests, request, "bob");
    ASSERT_THAT(page, IsOk());
    EXPECT_EQ(page->page().total_count(), 5);
    for (const v1::Contest& contest : page->contests()) {
      titles.push_back(contest.title());
    }
    if (page->page().next_page_token().empty()) {
      EXPECT_EQ(pages, 3);
      break;
    }
    request.mutable_page()->set_page_token(page->page().next_page_token());
  }
  EXPECT_THAT(titles, ElementsAre("contest 4", "contest 3", "contest 2",
                                  "contest 1", "contest 0"));
  // The last token is of another filter.
  request.set_phase(v1::CONTEST_PHASE_UNSPECIFIED);
  const auto other = client_->Call(&Stub::ListContests, request, "bob");
  EXPECT_THAT(other, StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(FieldOf(other.status()), "page.page_token");
}

TEST_P(ContestServiceTest, MalformedPageTokensAreRefused) {
  const v1::Contest contest = Make();
  for (const std::string token : {"x", "'; DROP TABLE contests; --", "%s%n",
                                  "AAAAAAAAAAAAAAAAAAAAAAAA", "ü"}) {
    v1::ListContestsRequest contests;
    contests.mutable_page()->set_page_token(token);
    v1::ListSubmissionsRequest submissions;
    submissions.set_contest_id(contest.id());
    submissions.mutable_page()->set_page_token(token);
    v1::ListAnnouncementsRequest announcements;
    announcements.set_contest_id(contest.id());
    announcements.mutable_page()->set_page_token(token);
    EXPECT_THAT(client_->Call(&Stub::ListContests, contests, "bob"),
                StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(client_->Call(&Stub::ListSubmissions, submissions, "bob"),
                StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(client_->Call(&Stub::ListAnnouncements, announcements, "bob"),
                StatusIs(absl::StatusCode::kInvalidArgument));
    v1::GetLeaderboardRequest board;
    board.set_contest_id(contest.id());
    board.set_page_token(token);
    const auto page = client_->Call(&Stub::GetLeaderboard, board, "bob");
    EXPECT_THAT(page, StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_EQ(FieldOf(page.status()), "page_token");
  }
}

TEST_P(ContestServiceTest, UpdatesWhatTheMaskNames) {
  v1::Contest wanted = environment_.NewContest(-60min);
  v1::Contest contest = Make(wanted);
  contest.set_title("Semifinals");
  contest.set_description("not in the mask");
  *contest.mutable_freeze_at() = contest.ends_at();
  contest.mutable_problems()->RemoveLast();
  const auto updated =
      client_->Update(contest, {"title", "freeze_at", "problems"});
  ASSERT_THAT(updated, IsOk());
  EXPECT_EQ(updated->title(), "Semifinals");
  EXPECT_EQ(updated->description(), "");
  EXPECT_TRUE(updated->has_freeze_at());
  ASSERT_THAT(updated->problems(), SizeIs(1));
  EXPECT_EQ(updated->problems(0).title(), "Apples");
  EXPECT_EQ(updated->version(), 2);

  contest = *updated;
  contest.clear_freeze_at();
  const auto cleared = client_->Update(contest, {"freeze_at"});
  ASSERT_THAT(cleared, IsOk());
  EXPECT_FALSE(cleared->has_freeze_at());
}

TEST_P(ContestServiceTest, RefusesUpdatesThatMayNotBe) {
  const v1::Contest contest = Make();
  v1::Contest changed = contest;
  changed.set_title("mine");
  EXPECT_THAT(client_->Update(changed, {"title"}, "eve author"),
              StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(client_->Update(changed, {"title"}, "ada user"),
              StatusIs(absl::StatusCode::kPermissionDenied));
  for (const std::string path : {"author_id", "version", "nonsense", ""}) {
    EXPECT_THAT(client_->Update(changed, {path}),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << path;
  }
  EXPECT_THAT(client_->Update(changed, {}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  changed.set_version(99);
  EXPECT_THAT(client_->Update(changed, {"title"}),
              AllOf(StatusIs(absl::StatusCode::kAborted),
                    HasReason("VERSION_CONFLICT")));
  changed = contest;
  changed.mutable_problems()->RemoveLast();
  EXPECT_THAT(client_->Update(changed, {"problems"}),
              AllOf(StatusIs(absl::StatusCode::kFailedPrecondition),
                    HasReason("CONTEST_STARTED")));
  changed = contest;
  changed.set_id(grpccommon::UuidV7());
  EXPECT_THAT(client_->Update(changed, {"title"}),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(client_->Update(contest, {"title"}, "root admin"), IsOk());
}

TEST_P(ContestServiceTest, RegistersOnceUnderANameOfChoice) {
  const v1::Contest contest = Make();
  const auto named = client_->Register(contest.id(), "bob", "Bob's \"team\"");
  ASSERT_THAT(named, IsOk());
  EXPECT_EQ(named->team_name(), "Bob's \"team\"");
  EXPECT_EQ(client_->Register(contest.id(), "bob")->team_name(),
            "Bob's \"team\"");
  EXPECT_EQ(client_->Register(contest.id(), "eve")->team_name(), "eve");
  const auto read = client_->Get(contest.id(), "bob");
  EXPECT_TRUE(read->registered());
  EXPECT_EQ(read->contest().participant_count(), 2);
  EXPECT_THAT(client_->Register(grpccommon::UuidV7(), "bob"),
              StatusIs(absl::StatusCode::kNotFound));
  const v1::Contest over = Make(environment_.NewContest(60min, 30min));
  EXPECT_THAT(client_->Register(over.id(), "bob"),
              AllOf(StatusIs(absl::StatusCode::kFailedPrecondition),
                    HasReason("CONTEST_ENDED")));
}

TEST_P(ContestServiceTest, JudgesWhatIsSubmitted) {
  const v1::Contest contest = MakeWith({"bob"});
  const auto taken =
      client_->Submit(contest.id(), "bob", "accept", "B", "", "cpp");
  ASSERT_THAT(taken, IsOk());
  EXPECT_EQ(taken->contest_id(), contest.id());
  EXPECT_EQ(taken->user_id(), "bob");
  EXPECT_EQ(taken->team_name(), "bob");
  EXPECT_EQ(taken->problem_label(), "B");
  EXPECT_EQ(taken->language(), "cpp");
  EXPECT_EQ(taken->state(), v1::SUBMISSION_STATE_PENDING);
  EXPECT_EQ(taken->source(), "") << "they have it";
  const auto updates = client_->Judged(taken->id(), "bob");
  ASSERT_THAT(updates, IsOk());
  EXPECT_EQ(updates->front().submission().source(), "accept");
  const v1::Submission& judged = updates->back().submission();
  EXPECT_EQ(judged.state(), v1::SUBMISSION_STATE_JUDGED);
  EXPECT_EQ(judged.verdict(), execution::v1::VERDICT_ACCEPTED);
  EXPECT_EQ(judged.passed_count(), 2);
  EXPECT_EQ(judged.test_count(), 2);
  EXPECT_EQ(judged.usage().memory_bytes(), 1 << 20);
  EXPECT_EQ(judged.compiler_output(), "a b") << "NUL goes nowhere";
  EXPECT_TRUE(judged.has_judged_at());
  EXPECT_EQ(client_->GetSubmission(taken->id(), "bob")->SerializeAsString(),
            judged.SerializeAsString());
  const auto requests = environment_.backends.executions.requests();
  ASSERT_THAT(requests, SizeIs(1));
  EXPECT_EQ(requests[0].problem().problem_id(), environment_.problem_b);
  EXPECT_EQ(requests[0].problem().min_tests_version(), 7);
  EXPECT_EQ(requests[0].language(), "cpp");
  environment_.backends.problems.WaitForReports(1);
  EXPECT_THAT(environment_.backends.problems.reports(),
              ElementsAre(std::pair(taken->id(), std::pair(1, true))));
}

TEST_P(ContestServiceTest, EveryVerdictOfAProgramIsToldAndScored) {
  const v1::Contest contest = MakeWith({"bob"});
  EXPECT_EQ(Judge(contest, "bob", "wrong").verdict(),
            execution::v1::VERDICT_WRONG_ANSWER);
  EXPECT_EQ(Judge(contest, "bob", "slow").verdict(),
            execution::v1::VERDICT_TIME_LIMIT);
  EXPECT_EQ(Judge(contest, "bob", "memory").verdict(),
            execution::v1::VERDICT_MEMORY_LIMIT);
  EXPECT_EQ(Judge(contest, "bob", "crash").verdict(),
            execution::v1::VERDICT_RUNTIME_ERROR);
  EXPECT_EQ(Judge(contest, "bob", "compile_error").verdict(),
            execution::v1::VERDICT_COMPILE_ERROR);
  Judge(contest, "bob", "accept");
  EXPECT_THAT(Lines(client_->Board(contest.id())->rows()),
              ElementsAre("1 bob 1:90 | *10/4/0 -/0/0"));
}

TEST_P(ContestServiceTest, TellsEachStepOfJudging) {
  const v1::Contest contest = MakeWith({"bob"});
  const auto taken = client_->Submit(contest.id(), "bob", "hang");
  environment_.backends.executions.WaitForHanging(1);
  const auto context = ContestClient::As("bob");
  v1::WatchSubmissionRequest request;
  request.set_submission_id(taken->id());
  const auto reader = process_->stub().WatchSubmission(context.get(), request);
  v1::SubmissionUpdate update;
  ASSERT_TRUE(reader->Read(&update));
  EXPECT_EQ(update.submission().state(), v1::SUBMISSION_STATE_PENDING);
  EXPECT_EQ(update.submission().source(), "hang");
  environment_.backends.executions.Release();
  ASSERT_TRUE(reader->Read(&update));
  while (update.submission().state() == v1::SUBMISSION_STATE_PENDING) {
    EXPECT_NE(update.execution_state(),
              execution::v1::EXECUTION_STATE_UNSPECIFIED);
    EXPECT_EQ(update.submission().id(), taken->id());
    ASSERT_TRUE(reader->Read(&update));
  }
  EXPECT_EQ(update.submission().verdict(), execution::v1::VERDICT_ACCEPTED);
  EXPECT_FALSE(reader->Read(&update));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_P(ContestServiceTest, RefusesSolutionsThatMayNotBe) {
  const v1::Contest contest = MakeWith({"bob"});
  EXPECT_THAT(client_->Submit(contest.id(), "eve", "accept"),
              AllOf(StatusIs(absl::StatusCode::kFailedPrecondition),
                    HasReason("NOT_REGISTERED")));
  EXPECT_THAT(client_->Submit(grpccommon::UuidV7(), "bob", "accept"),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(client_->Submit(contest.id(), "bob", "accept", "C"),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(client_->Submit(contest.id(), "bob", "accept", "B", "", "python"),
              AllOf(StatusIs(absl::StatusCode::kFailedPrecondition),
                    HasReason("LANGUAGE_NOT_ALLOWED")));
  for (const std::string label : {"A", "B"}) {
    const auto unknown =
        client_->Submit(contest.id(), "bob", "accept", label, "", "cobol");
    EXPECT_THAT(unknown, StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_EQ(FieldOf(unknown.status()), "language");
  }
  EXPECT_THAT(client_->Submit(contest.id(), "bob", std::string(300'000, 'x')),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(client_->Submit(contest.id(), "bob", std::string(10 << 20, 'x')),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(client_->Submit(contest.id(), "bob", std::string("a\0b", 3)),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(client_->Submit(contest.id(), "bob", "\xff\xfe"), Not(IsOk()));
  const v1::Contest early = Make(environment_.NewContest(-60min));
  client_->Register(early.id(), "bob").IgnoreError();
  EXPECT_THAT(client_->Submit(early.id(), "bob", "accept"),
              HasReason("CONTEST_NOT_STARTED"));
  const v1::Contest over = Make(environment_.NewContest(60min, 30min));
  EXPECT_THAT(client_->Submit(over.id(), "bob", "accept"),
              HasReason("CONTEST_ENDED"));
  EXPECT_THAT(environment_.backends.executions.executions(), IsEmpty());
}

TEST_P(ContestServiceTest, TakesProgramsOfAnyText) {
  const v1::Contest contest = MakeWith({"bob"});
  for (const std::string text : {"'); DROP TABLE contest_submissions; --",
                                 "%s%n$1 :id ?", "ü\n\t\x01", "\"\\"}) {
    const v1::Submission judged = Judge(contest, "bob", "wrong #" + text);
    EXPECT_EQ(judged.source(), "wrong #" + text);
  }
  EXPECT_THAT(Lines(client_->Board(contest.id())->rows()),
              ElementsAre("1 bob 0:0 | -/4/0 -/0/0"));
}

TEST_P(ContestServiceTest, AnIdIsTheSameInEitherCase) {
  const v1::Contest contest = Make();
  const std::string shouted = absl::AsciiStrToUpper(contest.id());
  ASSERT_NE(shouted, contest.id());
  EXPECT_THAT(client_->Register(shouted, "bob"), IsOk());
  EXPECT_TRUE(client_->Get(shouted, "bob")->registered());
  const auto taken = client_->Submit(shouted, "bob", "accept");
  ASSERT_THAT(taken, IsOk());
  EXPECT_EQ(taken->contest_id(), contest.id());
  const std::string id = absl::AsciiStrToUpper(taken->id());
  EXPECT_THAT(client_->Judged(id, "bob"), IsOk());
  EXPECT_EQ(client_->GetSubmission(id, "bob")->id(), taken->id());
  EXPECT_EQ(client_->Board(shouted)->contest_id(), contest.id());
  EXPECT_EQ(process_->app().live().size(), 1u);
  v1::Contest changed = *client_->Get(shouted, "ada author")->mutable_contest();
  changed.set_id(shouted);
  changed.set_title("New");
  EXPECT_THAT(client_->Update(changed, {"title"}), IsOk());
}

TEST_P(ContestServiceTest, AnIdempotencyKeyMakesOneSubmission) {
  const v1::Contest contest = MakeWith({"bob"});
  const auto first = client_->Submit(contest.id(), "bob", "wrong", "A", "k");
  const auto again = client_->Submit(contest.id(), "bob", "wrong", "A", "k");
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(again->id(), first->id());
  EXPECT_THAT(client_->Submit(contest.id(), "bob", "accept", "A", "k"),
              AllOf(StatusIs(absl::StatusCode::kAlreadyExists),
                    HasReason("IDEMPOTENCY_KEY_USED")));
  // However many at once.
  std::vector<std::thread> threads;
  std::vector<std::string> ids(8);
  for (std::string& id : ids) {
    threads.emplace_back([&] {
      const auto taken =
          client_->Submit(contest.id(), "bob", "wrong", "A", "z");
      if (taken.ok()) id = taken->id();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(ids, ::testing::Each(ids[0]));
  client_->Judged(ids[0], "bob").IgnoreError();
  client_->Judged(first->id(), "bob").IgnoreError();
  EXPECT_EQ(environment_.backends.executions.executions().at("wrong"), 2);
}

TEST_P(ContestServiceTest, AsksForAProblemOnceAndNotForEachSolution) {
  const v1::Contest contest = MakeWith({"bob"});
  const int before = environment_.backends.problems.gets();
  for (int i = 0; i < 5; ++i) {
    EXPECT_THAT(client_->Submit(contest.id(), "bob", "accept"), IsOk());
  }
  EXPECT_EQ(environment_.backends.problems.gets(), before + 1);
}

TEST_P(ContestServiceTest, TakesSolutionsWhileTheOthersAreAway) {
  const v1::Contest contest = MakeWith({"bob"});
  environment_.backends.Stop();
  const auto taken = client_->Submit(contest.id(), "bob", "accept", "B");
  ASSERT_THAT(taken, IsOk()) << "its languages are known by the contest";
  EXPECT_THAT(client_->Submit(contest.id(), "bob", "accept", "A"),
              AllOf(StatusIs(absl::StatusCode::kUnavailable),
                    HasReason("BACKEND_UNAVAILABLE")))
      << "any language, and nobody says which there are";
  environment_.backends.Start();
  EXPECT_THAT(client_->Judged(taken->id(), "bob"), IsOk());
}

TEST_P(ContestServiceTest, SubmissionsAreSeenByThoseWhoMay) {
  const v1::Contest contest = MakeWith({"bob", "eve"});
  const std::string id = Judge(contest, "bob", "accept").id();
  for (const std::string who :
       {"bob", "ada author", "root admin", "judge service"}) {
    EXPECT_EQ(client_->GetSubmission(id, who)->source(), "accept") << who;
    EXPECT_THAT(client_->Judged(id, who), IsOk()) << who;
  }
  EXPECT_THAT(client_->GetSubmission(id, "eve"),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(client_->Judged(id, "eve author"),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(client_->GetSubmission(grpccommon::UuidV7(), "bob"),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(client_->Judged(grpccommon::UuidV7(), "bob"),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(ContestServiceTest, ListsSubmissionsInPages) {
  const v1::Contest contest = MakeWith({"bob", "eve"});
  for (int i = 0; i < 3; ++i) Judge(contest, "bob", "wrong");
  Judge(contest, "eve", "accept", "B");
  v1::ListSubmissionsRequest request;
  request.set_contest_id(contest.id());
  request.mutable_page()->set_page_size(2);
  auto page = client_->Call(&Stub::ListSubmissions, request, "bob");
  ASSERT_THAT(page, IsOk());
  EXPECT_THAT(page->submissions(), SizeIs(2));
  EXPECT_EQ(page->page().total_count(), 3);
  EXPECT_EQ(page->submissions(0).source(), "");
  request.mutable_page()->set_page_token(page->page().next_page_token());
  page = client_->Call(&Stub::ListSubmissions, request, "bob");
  EXPECT_THAT(page->submissions(), SizeIs(1));
  EXPECT_EQ(page->page().next_page_token(), "");
  // The token of one is of no use to another, nor for another filter.
  EXPECT_THAT(client_->Call(&Stub::ListSubmissions, request, "eve"),
              StatusIs(absl::StatusCode::kInvalidArgument));
  request.mutable_page()->clear_page_token();
  request.set_all(true);
  EXPECT_THAT(client_->Call(&Stub::ListSubmissions, request, "bob"),
              StatusIs(absl::StatusCode::kPermissionDenied));
  request.set_problem_label("B");
  page = client_->Call(&Stub::ListSubmissions, request, "ada author");
  ASSERT_THAT(page->submissions(), SizeIs(1));
  EXPECT_EQ(page->submissions(0).user_id(), "eve");
  request.set_contest_id(grpccommon::UuidV7());
  EXPECT_THAT(client_->Call(&Stub::ListSubmissions, request, "bob"),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(ContestServiceTest, TheBoardShowsWhatIsScored) {
  const v1::Contest contest = MakeWith({"bob", "eve"});
  Judge(contest, "bob", "wrong", "A");
  Judge(contest, "bob", "accept", "A");
  Judge(contest, "eve", "accept", "A");
  Judge(contest, "eve", "accept", "B");
  const auto board = client_->Board(contest.id());
  ASSERT_THAT(board, IsOk());
  EXPECT_EQ(board->contest_id(), contest.id());
  EXPECT_THAT(board->problem_labels(), ElementsAre("A", "B"));
  EXPECT_FALSE(board->frozen());
  EXPECT_EQ(board->phase(), v1::CONTEST_PHASE_RUNNING);
  EXPECT_THAT(Lines(board->rows()), ElementsAre("1 eve 2:20 | +10/0/0 *10/0/0",
                                                "2 bob 1:30 | *10/1/0 -/0/0"));
  EXPECT_THAT(client_->Board(grpccommon::UuidV7()),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(ContestServiceTest, AFrozenBoardHidesResultsUntilTheyAreRevealed) {
  v1::Contest wanted = environment_.NewContest(60min, 65min);
  *wanted.mutable_freeze_at() = wanted.starts_at();
  wanted.mutable_freeze_at()->set_seconds(wanted.starts_at().seconds() + 600);
  v1::Contest contest = Make(wanted);
  EXPECT_EQ(contest.phase(), v1::CONTEST_PHASE_FROZEN);
  client_->Register(contest.id(), "bob").IgnoreError();
  Judge(contest, "bob", "accept");
  const auto shown = client_->Board(contest.id(), "bob");
  EXPECT_TRUE(shown->frozen());
  EXPECT_EQ(shown->phase(), v1::CONTEST_PHASE_FROZEN);
  EXPECT_THAT(Lines(shown->rows()), ElementsAre("1 bob 0:0 | -/0/1 -/0/0"));
  for (const std::string who : {"ada author", "root admin"}) {
    const auto full = client_->Board(contest.id(), who);
    EXPECT_FALSE(full->frozen());
    EXPECT_THAT(Lines(full->rows()), ElementsAre("1 bob 1:60 | *60/0/0 -/0/0"));
  }
  EXPECT_TRUE(client_->Board(contest.id(), "judge service")->frozen());
  // Revealed before the end: nothing yet.
  contest.set_results_revealed(true);
  EXPECT_THAT(client_->Update(contest, {"results_revealed"}), IsOk());
  EXPECT_TRUE(client_->Board(contest.id(), "bob")->frozen());
}

TEST_P(ContestServiceTest, ResultsAreRevealedAfterTheEnd) {
  v1::Contest wanted = environment_.NewContest(60min);
  *wanted.mutable_freeze_at() = wanted.starts_at();
  v1::Contest contest = Make(wanted);
  client_->Register(contest.id(), "bob").IgnoreError();
  Judge(contest, "bob", "accept");
  // Ends as soon as the machine is fast enough for: not in the past.
  absl::StatusOr<v1::Contest> ended = absl::UnknownError("not tried");
  for (auto lead = 500ms; !ended.ok() && lead < 60s; lead *= 2) {
    SetTime(grpccommon::SteadyClock().WallNow() + lead,
            *contest.mutable_ends_at());
    ended = client_->Update(contest, {"ends_at"});
  }
  ASSERT_THAT(ended, IsOk());
  contest = *ended;
  while (client_->Get(contest.id())->contest().phase() !=
         v1::CONTEST_PHASE_ENDED) {
  }
  EXPECT_TRUE(client_->Board(contest.id(), "bob")->frozen());
  EXPECT_EQ(client_->Board(contest.id(), "bob")->phase(),
            v1::CONTEST_PHASE_ENDED);
  contest.clear_freeze_at();
  EXPECT_THAT(client_->Update(contest, {"freeze_at"}),
              HasReason("CONTEST_ENDED"));
  contest.set_results_revealed(true);
  EXPECT_THAT(client_->Update(contest, {"results_revealed"}), IsOk());
  const auto board = client_->Board(contest.id(), "bob");
  EXPECT_FALSE(board->frozen());
  EXPECT_THAT(Lines(board->rows()), ElementsAre("1 bob 1:60 | *60/0/0 -/0/0"));
}

// What a watcher knows of a board.
class BoardWatcher {
 public:
  BoardWatcher(Stub& stub, const std::string& contest, const std::string& who)
      : context_(ContestClient::As(who, std::chrono::minutes(5))) {
    v1::GetLeaderboardRequest request;
    request.set_contest_id(contest);
    reader_ = stub.GetLeaderboardStream(context_.get(), request);
  }
  bool Next() {
    if (!reader_->Read(&update_)) return false;
    if (update_.snapshot()) rows_.clear();
    if (update_.snapshot()) ++snapshots_;
    if (update_.more()) ++parts_;
    for (const v1::LeaderboardRow& row : update_.rows()) {
      rows_[row.user_id()] = row;
    }
    return true;
  }
  // Until `user` has so many solved.
  bool WaitForSolved(const std::string& user, int solved) {
    while (rows_[user].solved() < solved) {
      if (!Next()) return false;
    }
    return true;
  }
  grpc::Status Finish() { return reader_->Finish(); }
  const v1::LeaderboardUpdate& update() const { return update_; }
  int parts() const { return parts_; }
  int snapshots() const { return snapshots_; }
  std::vector<std::string> Known() const {
    std::vector<v1::LeaderboardRow> rows;
    for (const auto& [user, row] : rows_) rows.push_back(row);
    std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) {
      return std::tuple(a.rank(), a.team_name()) <
             std::tuple(b.rank(), b.team_name());
    });
    return Lines(rows);
  }

 private:
  std::unique_ptr<grpc::ClientContext> context_;
  std::unique_ptr<grpc::ClientReader<v1::LeaderboardUpdate>> reader_;
  v1::LeaderboardUpdate update_;
  // Updates so far that were not the last part, or began anew.
  int parts_ = 0;
  int snapshots_ = 0;
  std::map<std::string, v1::LeaderboardRow> rows_;
};

TEST_P(ContestServiceTest, WatchersOfTheBoardGetWhatChanges) {
  const v1::Contest contest = MakeWith({"bob", "eve"});
  BoardWatcher watcher(process_->stub(), contest.id(), "bob");
  ASSERT_TRUE(watcher.Next());
  EXPECT_TRUE(watcher.update().snapshot());
  EXPECT_THAT(watcher.update().rows(), SizeIs(2));
  EXPECT_THAT(watcher.update().problem_labels(), ElementsAre("A", "B"));
  const std::int64_t first = watcher.update().sequence();
  Judge(contest, "eve", "accept");
  ASSERT_TRUE(watcher.WaitForSolved("eve", 1));
  EXPECT_FALSE(watcher.update().snapshot());
  EXPECT_GT(watcher.update().sequence(), first);
  EXPECT_THAT(watcher.Known(), ElementsAre("1 eve 1:10 | *10/0/0 -/0/0",
                                           "2 bob 0:0 | -/0/0 -/0/0"));
  EXPECT_THAT(watcher.Known(),
              ElementsAreArray(Lines(client_->Board(contest.id())->rows())));
}

// Of 20,000 teams with names as long as may be: 6 MB, more than a client takes.
class LargeBoardTest : public ContestServiceTest {
 protected:
  static constexpr int kTeams = 20'000;

  void SetUp() override {
    if (on_postgresql()) GTEST_SKIP() << "the board is in memory";
    ContestServiceTest::SetUp();
    contest_ = Make();
    const auto store = ContestStore::Open({.database = url()}, false);
    ASSERT_THAT(store, IsOk());
    ASSERT_THAT((*store)->database().Begin(), IsOk());
    for (int i = 0; i < kTeams; ++i) {
      ASSERT_THAT((*store)->Register(contest_.id(), Team(i), NameOf(Team(i))),
                  IsOk());
    }
    ASSERT_THAT((*store)->database().Commit(), IsOk());
  }
  static std::string Team(int i) {
    return "team" + std::to_string(100'000 + i);
  }
  static std::string NameOf(const std::string& team) {
    std::string name = team;
    for (int i = 0; i < 90; ++i) name += "ü";
    return name;
  }

  absl::StatusOr<v1::GetLeaderboardResponse> Page(int size,
                                                  const std::string& token) {
    v1::GetLeaderboardRequest request;
    request.set_contest_id(contest_.id());
    request.set_page_size(size);
    request.set_page_token(token);
    return client_->Call(&Stub::GetLeaderboard, request, "bob");
  }
  // All pages, in their order.
  std::vector<v1::LeaderboardRow> Pages(int size) {
    std::vector<v1::LeaderboardRow> rows;
    std::string token;
    do {
      auto page = Page(size, token);
      if (!page.ok()) {
        ADD_FAILURE() << page.status();
        break;
      }
      EXPECT_EQ(page->total_count(), kTeams);
      for (auto& row : *page->mutable_leaderboard()->mutable_rows()) {
        rows.push_back(std::move(row));
      }
      token = page->next_page_token();
    } while (!token.empty());
    return rows;
  }

  v1::Contest contest_;
};
PLATFORM_INSTANTIATE_ON_DATABASES(LargeBoardTest);

TEST_P(LargeBoardTest, IsReadInPagesWhileItsRowsMove) {
  Judge(contest_, Team(7), "accept");
  const auto all = Page(0, "");
  ASSERT_THAT(all, IsOk()) << "without asking for pages";
  EXPECT_GT(all->leaderboard().rows_size(), kTeams / 2);
  EXPECT_LT(all->leaderboard().rows_size(), kTeams);
  EXPECT_EQ(all->leaderboard().rows(0).user_id(), Team(7));
  EXPECT_THAT(Pages(0), SizeIs(kTeams));

  std::map<std::string, int> seen;
  std::string token;
  int pages = 0;
  do {
    const auto page = Page(3'000, token);
    ASSERT_THAT(page, IsOk());
    for (const auto& row : page->leaderboard().rows()) ++seen[row.user_id()];
    token = page->next_page_token();
    // One of the next page leaves it for the first, others lose a rank.
    if (++pages == 2) Judge(contest_, Team(6'500), "accept");
  } while (!token.empty());
  EXPECT_EQ(pages, 7);
  EXPECT_EQ(seen.count(Team(6'500)), 0u);
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(kTeams - 1));
  for (const auto& [team, times] : seen) ASSERT_EQ(times, 1) << team;

  const v1::Contest other = Make();
  v1::GetLeaderboardRequest request;
  request.set_contest_id(other.id());
  request.set_page_token(Page(10, "")->next_page_token());
  EXPECT_THAT(client_->Call(&Stub::GetLeaderboard, request, "bob"),
              StatusIs(absl::StatusCode::kInvalidArgument));
  request.clear_page_token();
  request.set_page_size(10'001);
  EXPECT_THAT(client_->Call(&Stub::GetLeaderboard, request, "bob"),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_P(LargeBoardTest, IsWatchedInPartsWhileItChanges) {
  BoardWatcher watcher(process_->stub(), contest_.id(), "bob");
  ASSERT_TRUE(watcher.Next());
  EXPECT_TRUE(watcher.update().snapshot());
  EXPECT_TRUE(watcher.update().more());
  // Teams that the watcher has, and has not yet; every other row loses a rank.
  Judge(contest_, Team(1), "accept");
  Judge(contest_, Team(kTeams - 1), "accept");
  Judge(contest_, Team(2), "wrong");
  const auto expected = Lines(Pages(3'000));
  while (watcher.update().more() || watcher.Known() != expected) {
    ASSERT_TRUE(watcher.Next()) << watcher.Finish().error_message();
  }
  EXPECT_EQ(watcher.snapshots(), 1);
  EXPECT_GE(watcher.parts(), 5);

  // A change of one row is one small update.
  const int parts = watcher.parts();
  Judge(contest_, Team(3), "wrong");
  const auto last = Lines(Pages(3'000));
  while (watcher.Known() != last) ASSERT_TRUE(watcher.Next());
  EXPECT_EQ(watcher.parts(), parts);
  EXPECT_THAT(watcher.update().rows(), SizeIs(1));
}

// A change of the rules makes the whole board anew.
TEST_P(LargeBoardTest, BeginsAnewForThoseWhoHaveAPartOfAnother) {
  BoardWatcher watcher(process_->stub(), contest_.id(), "bob");
  ASSERT_TRUE(watcher.Next());
  v1::Contest contest = client_->Get(contest_.id(), "ada author")->contest();
  contest.mutable_penalty()->set_seconds(60);
  ASSERT_THAT(client_->Update(contest, {"penalty"}), IsOk());
  Judge(contest_, Team(1), "accept");
  const auto expected = Lines(Pages(3'000));
  while (watcher.update().more() || watcher.Known() != expected) {
    ASSERT_TRUE(watcher.Next()) << watcher.Finish().error_message();
  }
  EXPECT_EQ(watcher.snapshots(), 2);
}

TEST_P(ContestServiceTest, WatchersSeeWhatOtherProcessesDo) {
  const v1::Contest contest = MakeWith({"bob", "eve"});
  ContestProcess other(
      [&] {
        ContestAppOptions options = TestApp(url());
        options.judging.name = "other";
        return options;
      }(),
      environment_.registry);
  BoardWatcher watcher(other.stub(), contest.id(), "bob");
  ASSERT_TRUE(watcher.Next());
  Judge(contest, "eve", "accept");
  ASSERT_TRUE(watcher.WaitForSolved("eve", 1));
  // And the steps of a judgement that another process makes, or its end.
  const auto taken = client_->Submit(contest.id(), "bob", "accept");
  ContestClient there(other.stub());
  const auto updates = there.Judged(taken->id(), "bob");
  ASSERT_THAT(updates, IsOk());
  EXPECT_EQ(updates->back().submission().verdict(),
            execution::v1::VERDICT_ACCEPTED);
}

TEST_P(ContestServiceTest, WatchesOfWhatIsNotThereEnd) {
  BoardWatcher watcher(process_->stub(), grpccommon::UuidV7(), "bob");
  EXPECT_FALSE(watcher.Next());
  EXPECT_THAT(watcher.Finish(), StatusIs(grpc::StatusCode::NOT_FOUND));
  EXPECT_EQ(process_->app().live().size(), 0u);
}

TEST_P(ContestServiceTest, AFrozenWatcherLearnsNoResult) {
  v1::Contest wanted = environment_.NewContest(60min);
  *wanted.mutable_freeze_at() = wanted.starts_at();
  const v1::Contest contest = Make(wanted);
  client_->Register(contest.id(), "bob").IgnoreError();
  BoardWatcher watcher(process_->stub(), contest.id(), "bob");
  BoardWatcher author(process_->stub(), contest.id(), "ada author");
  Judge(contest, "bob", "accept");
  ASSERT_TRUE(author.WaitForSolved("bob", 1));
  ASSERT_TRUE(watcher.Next());
  while (watcher.update().sequence() < author.update().sequence()) {
    ASSERT_TRUE(watcher.Next());
  }
  EXPECT_TRUE(watcher.update().frozen());
  EXPECT_THAT(watcher.Known(), ElementsAre("1 bob 0:0 | -/0/1 -/0/0"));
}

TEST_P(ContestServiceTest, WatchersSeeTheContestBeginFreezeAndEnd) {
  // It begins when the watcher is there, however slow the machine is.
  std::optional<BoardWatcher> watcher;
  for (auto lead = 1s; !watcher.has_value() ||
                       watcher->update().phase() != v1::CONTEST_PHASE_UPCOMING;
       lead *= 2) {
    ASSERT_LT(lead, 100s);
    v1::Contest wanted = environment_.NewContest();
    const WallTime now = grpccommon::SteadyClock().WallNow();
    SetTime(now + lead, *wanted.mutable_starts_at());
    SetTime(now + lead + 500ms, *wanted.mutable_freeze_at());
    SetTime(now + lead + 1s, *wanted.mutable_ends_at());
    const v1::Contest contest = Make(wanted);
    client_->Register(contest.id(), "bob").IgnoreError();
    watcher.emplace(process_->stub(), contest.id(), "bob");
    ASSERT_TRUE(watcher->Next());
  }
  std::vector<v1::ContestPhase> phases;
  for (;;) {
    const v1::LeaderboardUpdate& update = watcher->update();
    const bool begun = update.phase() != v1::CONTEST_PHASE_UPCOMING;
    EXPECT_EQ(update.problem_labels_size(), begun ? 2 : 0);
    EXPECT_EQ(update.frozen(), update.phase() == v1::CONTEST_PHASE_FROZEN ||
                                   update.phase() == v1::CONTEST_PHASE_ENDED);
    if (phases.empty() || phases.back() != update.phase()) {
      phases.push_back(update.phase());
      EXPECT_TRUE(update.snapshot()) << "what is shown depends on the phase";
    }
    if (update.phase() == v1::CONTEST_PHASE_ENDED) break;
    ASSERT_TRUE(watcher->Next());
  }
  // A slow machine may miss some, but none twice.
  EXPECT_TRUE(std::is_sorted(phases.begin(), phases.end()));
  EXPECT_GE(phases.size(), 2u);
}

TEST_P(ContestServiceTest, AnnouncementsReachThoseWhoWatch) {
  const v1::Contest contest = Make();
  const auto announce = [&](const std::string& text, const std::string& who) {
    v1::CreateAnnouncementRequest request;
    request.set_contest_id(contest.id());
    request.set_text(text);
    return client_->Call(&Stub::CreateAnnouncement, request, who);
  };
  ASSERT_THAT(announce("one", "ada author"), IsOk());
  ASSERT_THAT(announce("two '); --%s", "root admin"), IsOk());
  EXPECT_THAT(announce("no", "eve author"),
              StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(announce("no", "bob user"),
              StatusIs(absl::StatusCode::kPermissionDenied));
  const auto watch = [&](grpc::ClientContext& context, std::int64_t after) {
    v1::WatchAnnouncementsRequest request;
    request.set_contest_id(contest.id());
    request.set_after(after);
    return process_->stub().WatchAnnouncements(&context, request);
  };
  const auto context = ContestClient::As("bob");
  const auto resumed_context = ContestClient::As("bob");
  const auto reader = watch(*context, 0);
  const auto resumed = watch(*resumed_context, 1);
  v1::Announcement announcement;
  ASSERT_TRUE(reader->Read(&announcement));
  EXPECT_EQ(announcement.text(), "one");
  EXPECT_EQ(announcement.number(), 1);
  EXPECT_EQ(announcement.author_id(), "ada");
  ASSERT_TRUE(reader->Read(&announcement));
  ASSERT_TRUE(resumed->Read(&announcement));
  EXPECT_EQ(announcement.text(), "two '); --%s");
  ASSERT_THAT(announce("three", "ada author"), IsOk());
  ASSERT_TRUE(reader->Read(&announcement));
  EXPECT_EQ(announcement.number(), 3);
  ASSERT_TRUE(resumed->Read(&announcement));
  EXPECT_EQ(announcement.number(), 3);

  v1::ListAnnouncementsRequest request;
  request.set_contest_id(contest.id());
  request.mutable_page()->set_page_size(2);
  auto page = client_->Call(&Stub::ListAnnouncements, request, "bob");
  EXPECT_THAT(page->announcements(), SizeIs(2));
  EXPECT_EQ(page->page().total_count(), 3);
  request.mutable_page()->set_page_token(page->page().next_page_token());
  page = client_->Call(&Stub::ListAnnouncements, request, "bob");
  ASSERT_THAT(page->announcements(), SizeIs(1));
  EXPECT_EQ(page->announcements(0).text(), "three");
  EXPECT_EQ(page->page().next_page_token(), "");
}

TEST_P(ContestServiceTest, LongListsEndTheirPagesBeforeTheyAreTooLarge) {
  v1::Contest contest = environment_.NewContest();
  std::string description;
  for (int i = 0; i < 20'000; ++i) description += "ü€";
  contest.set_description(description.substr(0, 50'000));
  for (int i = 0; i < 60; ++i) Make(contest);
  v1::ListContestsRequest request;
  request.mutable_page()->set_page_size(200);
  int found = 0;
  for (;;) {
    const auto page = client_->Call(&Stub::ListContests, request, "bob");
    ASSERT_THAT(page, IsOk());
    found += page->contests_size();
    if (page->page().next_page_token().empty()) break;
    request.mutable_page()->set_page_token(page->page().next_page_token());
  }
  EXPECT_EQ(found, 60);
}

TEST_P(ContestServiceTest, WatchesEndWhenTheServerDrainsAndGoOnElsewhere) {
  const v1::Contest contest = MakeWith({"bob"});
  const auto taken = client_->Submit(contest.id(), "bob", "hang");
  environment_.backends.executions.WaitForHanging(1);
  BoardWatcher board(process_->stub(), contest.id(), "bob");
  ASSERT_TRUE(board.Next());
  const auto context = ContestClient::As("bob");
  v1::WatchSubmissionRequest request;
  request.set_submission_id(taken->id());
  const auto submission =
      process_->stub().WatchSubmission(context.get(), request);
  v1::SubmissionUpdate update;
  ASSERT_TRUE(submission->Read(&update));
  process_->server().Shutdown(0s, 5s);
  while (board.Next()) {
  }
  EXPECT_THAT(board.Finish(), StatusIs(grpc::StatusCode::UNAVAILABLE));
  while (submission->Read(&update)) {
  }
  EXPECT_THAT(submission->Finish(), StatusIs(grpc::StatusCode::UNAVAILABLE));
  process_.reset();
  Launch();
  environment_.backends.executions.Release();
  EXPECT_EQ(client_->Judged(taken->id(), "bob")->back().submission().verdict(),
            execution::v1::VERDICT_ACCEPTED);
}

TEST_P(ContestServiceTest, RefusesMoreWatchesOfSubmissionsThanItMay) {
  process_.reset();
  ContestAppOptions options = TestApp(url());
  options.watches.max_watches = 1;
  process_.emplace(options, environment_.registry);
  client_.emplace(process_->stub());
  const v1::Contest contest = MakeWith({"bob"});
  const auto taken = client_->Submit(contest.id(), "bob", "hang");
  const auto context = ContestClient::As("bob");
  v1::WatchSubmissionRequest request;
  request.set_submission_id(taken->id());
  const auto reader = process_->stub().WatchSubmission(context.get(), request);
  v1::SubmissionUpdate update;
  ASSERT_TRUE(reader->Read(&update));
  EXPECT_THAT(client_->Judged(taken->id(), "bob"),
              AllOf(StatusIs(absl::StatusCode::kResourceExhausted),
                    HasReason("TOO_MANY_WATCHERS")));
  environment_.backends.executions.Release();
  while (reader->Read(&update)) {
  }
  EXPECT_TRUE(reader->Finish().ok());
  // Its place is free once the server has seen the end of the stream.
  while (!client_->Judged(taken->id(), "bob").ok()) {
  }
}

TEST_P(ContestServiceTest, NobodyTakesAllPlacesOfWatchers) {
  process_.reset();
  ContestAppOptions options = TestApp(url());
  options.max_watches_per_user = 2;
  process_.emplace(options, environment_.registry);
  client_.emplace(process_->stub());
  const v1::Contest contest = MakeWith({"bob", "eve"});
  const auto taken = client_->Submit(contest.id(), "bob", "hang");
  const auto watch = [&](const std::string& who) {
    return std::make_unique<BoardWatcher>(process_->stub(), contest.id(), who);
  };
  std::vector<std::unique_ptr<BoardWatcher>> of_bob;
  for (int i = 0; i < 2; ++i) {
    of_bob.push_back(watch("bob"));
    ASSERT_TRUE(of_bob.back()->Next());
  }
  const auto too_much = AllOf(StatusIs(absl::StatusCode::kResourceExhausted),
                              HasReason("CALLER_WATCHES_TOO_MUCH"));
  const auto third = watch("bob");
  EXPECT_FALSE(third->Next());
  EXPECT_THAT(grpccommon::FromGrpcStatus(third->Finish()), too_much);
  EXPECT_THAT(client_->Judged(taken->id(), "bob"), too_much);
  const auto context = ContestClient::As("bob");
  v1::WatchAnnouncementsRequest request;
  request.set_contest_id(contest.id());
  const auto announcements =
      process_->stub().WatchAnnouncements(context.get(), request);
  EXPECT_THAT(grpccommon::FromGrpcStatus(announcements->Finish()), too_much);
  // Others are not bob, and a process watches for many.
  std::vector<std::unique_ptr<BoardWatcher>> of_others;
  for (const char* const who : {"eve", "eve", "gateway service",
                                "gateway service", "gateway service"}) {
    of_others.push_back(watch(who));
    EXPECT_TRUE(of_others.back()->Next()) << who;
  }
  // A place is free once the server has seen the end of a stream.
  of_bob.pop_back();
  environment_.backends.executions.Release();
  while (!client_->Judged(taken->id(), "bob").ok()) {
  }
}

TEST_P(ContestServiceTest, SecretsGetIntoNoLog) {
  const v1::Contest contest = MakeWith({"bob"});
  Judge(contest, "bob", "accept #my secret program");
  EXPECT_THAT(client_->Submit(contest.id(), "bob",
                              "my secret program" + std::string(300'000, 'x')),
              Not(IsOk()));
  EXPECT_THAT(process_->log().text(), Not(HasSubstr("secret program")));
}

}  // namespace
}  // namespace platform::contest
