// SPDX-License-Identifier: Apache-2.0
#include "services/problem/problem_store.h"

#include <functional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "grpccommon/base/uuid.h"
#include "grpccommon/status/details.h"
#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/testing/status_matchers.h"
#include "gtest/gtest.h"
#include "services/common/test_database.h"

namespace platform::problem {
namespace {

using grpccommon::testing::FakeClock;
using grpccommon::testing::HasReason;
using grpccommon::testing::IsOk;
using grpccommon::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using namespace std::chrono_literals;

const Caller kAda{.id = "ada"};
const Caller kBob{.id = "bob"};
const Caller kAdmin{.id = "root", .admin = true};
const Caller kJudge{.id = "judge", .service = true};

class ProblemStoreTest : public common::DatabaseTest {
 protected:
  void SetUp() override {
    DatabaseTest::SetUp();
    if (!IsSkipped()) store_ = Open();
  }

  std::unique_ptr<ProblemStore> Open(ProblemStoreOptions options = {}) {
    options.url = url();
    auto store = ProblemStore::Open(std::move(options), clock_);
    EXPECT_THAT(store, IsOk());
    return store.ok() ? *std::move(store) : nullptr;
  }

  // In a transaction of its own, which an error undoes.
  template <typename Work>
  auto Write(Work work) {
    EXPECT_THAT(store_->database().Begin(), IsOk());
    auto result = work(*store_);
    absl::Status status;
    if constexpr (std::is_same_v<decltype(result), absl::Status>) {
      status = result;
    } else {
      status = result.status();
    }
    if (status.ok()) {
      EXPECT_THAT(store_->database().Commit(), IsOk());
    } else {
      store_->database().Rollback();
    }
    return result;
  }

  absl::StatusOr<Problem> TryCreate(const std::string& slug, Content content,
                                    const Caller& caller = kAda) {
    return Write([&](ProblemStore& store) {
      return store.Create(caller, slug, std::move(content));
    });
  }
  Problem Create(const std::string& slug, Content content = {},
                 const Caller& caller = kAda) {
    if (content.title.empty()) content.title = "Problem " + slug;
    absl::StatusOr<Problem> problem =
        TryCreate(slug, std::move(content), caller);
    EXPECT_THAT(problem, IsOk());
    return *std::move(problem);
  }
  Problem Publish(const std::string& slug, Content content = {}) {
    content.published = true;
    return Create(slug, std::move(content));
  }
  absl::StatusOr<Problem> Update(const Problem& problem,
                                 const std::function<void(Content&)>& change,
                                 const Caller& caller = kAda) {
    return Write([&](ProblemStore& store) {
      return store.Update(caller, problem.id, problem.version,
                          [&](Content& content) {
                            change(content);
                            return absl::OkStatus();
                          });
    });
  }
  absl::StatusOr<ProblemStore::Added> AddTests(
      const Problem& problem, const std::vector<TestCase>& tests,
      const Caller& caller = kAda) {
    return Write([&](ProblemStore& store) {
      return store.AddTestCases(caller, problem.id, tests);
    });
  }
  absl::StatusOr<TestCasePage> ReadTests(const Problem& problem,
                                         const Caller& caller = kAda,
                                         bool hidden = true,
                                         std::int64_t after = 0,
                                         std::size_t count = 1000,
                                         std::int64_t bytes = 1 << 30) {
    return store_->TestCases(caller, problem.id, hidden, after, count, bytes);
  }
  Stats StatsOf(const Problem& problem) {
    return *store_->GetStats(kAdmin, problem.id);
  }
  Problem Get(const Problem& problem, const Caller& caller = kAdmin) {
    return store_->View(caller, problem.id, 0)->problem;
  }
  std::vector<std::string> Slugs(const Caller& caller,
                                 const Filter& filter = {}) {
    std::vector<std::string> slugs;
    const ProblemPage page = *store_->List(caller, filter, 0, 1000);
    EXPECT_TRUE(page.last);
    for (const Problem& problem : page.problems) {
      slugs.push_back(problem.slug);
    }
    EXPECT_EQ(*store_->Count(caller, filter),
              static_cast<std::int64_t>(slugs.size()));
    return slugs;
  }

  FakeClock clock_;
  std::unique_ptr<ProblemStore> store_;
};
PLATFORM_INSTANTIATE_ON_DATABASES(ProblemStoreTest);

TEST_P(ProblemStoreTest, KeepsEveryField) {
  const Content content{
      .title = "Two '; DROP TABLE problems; -- %s",
      .statement = "# Two\nπ \"quoted\" \\ %n %_",
      .difficulty = Difficulty::kHard,
      .tags = {"graphs", "dp"},
      .limits = {.cpu_time = 1500ms,
                 .memory_bytes = 1 << 28,
                 .output_bytes = 77},
      .checker = {.kind = CheckerKind::kNumbers, .tolerance = 1e-9},
      .languages = {"c++", "python3"},
      .published = true};
  const Problem made = Create("two-sum", content);
  EXPECT_TRUE(grpccommon::IsUuid(made.id));
  EXPECT_EQ(made.author_id, "ada");
  EXPECT_EQ(made.version, 1);
  EXPECT_EQ(made.tests_version, 1);
  EXPECT_EQ(made.created_at, clock_.WallNow());
  store_ = Open();  // as after a restart
  const Problem read = Get(made);
  EXPECT_EQ(read.id, made.id);
  EXPECT_EQ(read.slug, "two-sum");
  EXPECT_EQ(read.content, content);
  EXPECT_EQ(read.author_id, "ada");
  EXPECT_EQ(read.created_at, made.created_at);
  EXPECT_EQ(read.updated_at, made.created_at);
  EXPECT_EQ(read.version, 1);
}

TEST_P(ProblemStoreTest, IsFoundByIdInEitherCaseAndBySlug) {
  const Problem problem = Publish("two-sum");
  std::string upper = problem.id;
  for (char& c : upper) c = static_cast<char>(toupper(c));
  for (const std::string& key : {problem.id, upper, problem.slug}) {
    const auto view = store_->View(kBob, key, 0);
    ASSERT_THAT(view, IsOk()) << key;
    EXPECT_EQ(view->problem.id, problem.id);
  }
  EXPECT_THAT(store_->View(kBob, "two-su", 0),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store_->View(kBob, "' OR '1' = '1", 0),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(ProblemStoreTest, RefusesWhatANewProblemCannotBe) {
  EXPECT_THAT(TryCreate("", {.title = "t"}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(TryCreate("slug", {}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  // It would be taken for an id.
  EXPECT_THAT(TryCreate("00000000-0000-4000-8000-000000000000", {.title = "t"}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Slugs(kAdmin), IsEmpty());
}

TEST_P(ProblemStoreTest, ASlugIsTakenOnce) {
  Create("two-sum");
  EXPECT_THAT(TryCreate("two-sum", {.title = "mine"}, kBob),
              AllOf(StatusIs(absl::StatusCode::kAlreadyExists),
                    HasReason("SLUG_TAKEN")));
  EXPECT_THAT(Slugs(kAdmin), ElementsAre("two-sum"));
}

TEST_P(ProblemStoreTest, ASlugIsTakenOnceAlsoByTwoProcesses) {
  std::atomic<int> made{0};
  std::atomic<int> refused{0};
  std::vector<std::thread> processes;
  for (int i = 0; i < 4; ++i) {
    processes.emplace_back([&, store = Open()] {
      for (int j = 0; j < 10; ++j) {
        EXPECT_THAT(store->database().Begin(), IsOk());
        const auto problem =
            store->Create(kAda, "slug-" + std::to_string(j), {.title = "t"});
        if (problem.ok()) {
          EXPECT_THAT(store->database().Commit(), IsOk());
          ++made;
        } else {
          EXPECT_THAT(problem, HasReason("SLUG_TAKEN"));
          store->database().Rollback();
          ++refused;
        }
      }
    });
  }
  for (std::thread& process : processes) process.join();
  EXPECT_EQ(made, 10);
  EXPECT_EQ(refused, 30);
  EXPECT_THAT(Slugs(kAdmin), SizeIs(10));
}

TEST_P(ProblemStoreTest, DraftsAreThereForTheirAuthorAdminsAndServices) {
  const Problem draft = Create("draft");
  for (const Caller& caller : {kAda, kAdmin, kJudge}) {
    EXPECT_THAT(store_->View(caller, draft.id, 0), IsOk());
    EXPECT_THAT(store_->GetStats(caller, draft.id), IsOk());
    EXPECT_THAT(Slugs(caller), ElementsAre("draft"));
  }
  const auto not_found = StatusIs(absl::StatusCode::kNotFound);
  EXPECT_THAT(store_->View(kBob, draft.id, 0), not_found);
  EXPECT_THAT(store_->View(kBob, "draft", 0), not_found);
  EXPECT_THAT(store_->GetStats(kBob, draft.id), not_found);
  EXPECT_THAT(ReadTests(draft, kBob, false), not_found);
  EXPECT_THAT(ReadTests(draft, kBob, true), not_found);
  EXPECT_THAT(Update(
                  draft, [](Content& c) { c.title = "x"; }, kBob),
              not_found);
  EXPECT_THAT(AddTests(draft, {{.input = "1"}}, kBob), not_found);
  EXPECT_THAT(Write([&](ProblemStore& store) {
                return store.SetLike(kBob, draft.id, true);
              }),
              not_found);
  EXPECT_THAT(Write([&](ProblemStore& store) {
                return store.SetBookmark(kBob, draft.id, true);
              }),
              not_found);
  EXPECT_THAT(
      Write([&](ProblemStore& store) { return store.Delete(kBob, draft.id); }),
      not_found);
  EXPECT_THAT(Slugs(kBob), IsEmpty());
}

TEST_P(ProblemStoreTest, OnlyItsAuthorAndAdminsChangeAProblem) {
  const Problem problem = Publish("public");
  const auto added = AddTests(problem, {{.input = "1"}});
  ASSERT_THAT(added, IsOk());
  const auto denied = AllOf(StatusIs(absl::StatusCode::kPermissionDenied),
                            HasReason("NOT_THE_AUTHOR"));
  for (const Caller& caller : {kBob, kJudge}) {
    EXPECT_THAT(Update(
                    problem, [](Content& c) { c.title = "x"; }, caller),
                denied);
    EXPECT_THAT(AddTests(problem, {{.input = "1"}}, caller), denied);
    EXPECT_THAT(Write([&](ProblemStore& store) {
                  return store.DeleteTestCase(caller, problem.id,
                                              added->ids.front());
                }),
                denied);
    EXPECT_THAT(Write([&](ProblemStore& store) {
                  return store.Delete(caller, problem.id);
                }),
                denied);
  }
  EXPECT_THAT(Update(
                  problem, [](Content& c) { c.title = "by root"; }, kAdmin),
              IsOk());
  EXPECT_EQ(Get(problem).author_id, "ada");
}

TEST_P(ProblemStoreTest, AnUpdateChangesTheContentAndCountsUp) {
  const Problem problem = Create("p", {.title = "old", .tags = {"a", "b"}});
  clock_.Advance(1min);
  const auto updated = Update(problem, [](Content& content) {
    content.title = "new";
    content.tags = {"b", "c"};
    content.published = true;
  });
  ASSERT_THAT(updated, IsOk());
  EXPECT_EQ(updated->version, 2);
  EXPECT_EQ(updated->updated_at, problem.created_at + 1min);
  const Problem read = Get(problem);
  EXPECT_EQ(read.content, updated->content);
  EXPECT_EQ(read.version, 2);
  EXPECT_EQ(read.tests_version, 1);
  EXPECT_THAT(Slugs(kBob, {.tags = {"a"}}), IsEmpty());
  EXPECT_THAT(Slugs(kBob, {.tags = {"b", "c"}}), ElementsAre("p"));
}

TEST_P(ProblemStoreTest, AnUpdateThatChangesNothingLeavesTheVersion) {
  const Problem problem = Create("p");
  clock_.Advance(1min);
  const auto updated = Update(problem, [](Content&) {});
  ASSERT_THAT(updated, IsOk());
  EXPECT_EQ(updated->version, 1);
  EXPECT_EQ(Get(problem).updated_at, problem.created_at);
}

TEST_P(ProblemStoreTest, AnUpdateOfAnOldVersionIsRefusedAndSaysWhichIsNew) {
  const Problem problem = Create("p");
  ASSERT_THAT(Update(problem, [](Content& c) { c.title = "first"; }), IsOk());
  const auto second = Update(problem, [](Content& c) { c.title = "second"; });
  EXPECT_THAT(second, AllOf(StatusIs(absl::StatusCode::kAborted),
                            HasReason("VERSION_CONFLICT")));
  EXPECT_EQ(Get(problem).content.title, "first");
  Problem never = problem;
  never.version = 0;
  EXPECT_THAT(Update(never, [](Content& c) { c.title = "blind"; }),
              HasReason("VERSION_CONFLICT"));
}

TEST_P(ProblemStoreTest, AnUpdateKeepsWhatEveryProblemNeeds) {
  const Problem problem = Create("p");
  EXPECT_THAT(Update(problem, [](Content& c) { c.title.clear(); }),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(Get(problem).content.title, "Problem p");
}

TEST_P(ProblemStoreTest, OfUpdatesAtOnceOneWins) {
  const Problem problem = Create("p");
  std::atomic<int> won{0};
  std::vector<std::thread> processes;
  for (int i = 0; i < 4; ++i) {
    processes.emplace_back([&, i, store = Open()] {
      EXPECT_THAT(store->database().Begin(), IsOk());
      const auto updated =
          store->Update(kAda, problem.id, 1, [i](Content& content) {
            content.title = std::to_string(i);
            return absl::OkStatus();
          });
      if (updated.ok()) {
        EXPECT_THAT(store->database().Commit(), IsOk());
        ++won;
      } else {
        EXPECT_THAT(updated, HasReason("VERSION_CONFLICT"));
        store->database().Rollback();
      }
    });
  }
  for (std::thread& process : processes) process.join();
  EXPECT_EQ(won, 1);
  EXPECT_EQ(Get(problem).version, 2);
}

TEST_P(ProblemStoreTest, ADeletedProblemIsGoneWithAllThatBelongsToIt) {
  const Problem problem = Publish("p", {.tags = {"a"}});
  ASSERT_THAT(AddTests(problem, {{.input = "1"}}), IsOk());
  ASSERT_THAT(Write([&](ProblemStore& store) {
                return store.SetBookmark(kBob, problem.id, true);
              }),
              IsOk());
  const Verdict verdict{.problem_id = problem.id,
                        .submission_id = grpccommon::UuidV7(clock_),
                        .user_id = "bob",
                        .accepted = true};
  ASSERT_THAT(
      Write([&](ProblemStore& store) { return store.RecordVerdict(verdict); }),
      IsOk());
  const auto erase = [&] {
    return Write(
        [&](ProblemStore& store) { return store.Delete(kAda, problem.id); });
  };
  EXPECT_THAT(erase(), IsOk());
  EXPECT_THAT(erase(), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store_->View(kAdmin, problem.id, 0),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Slugs(kBob, {.tags = {"a"}}), IsEmpty());
  EXPECT_THAT(
      Write([&](ProblemStore& store) { return store.RecordVerdict(verdict); }),
      StatusIs(absl::StatusCode::kNotFound));
  // The slug is free, and nothing of the old one clings to it.
  const Problem again = Publish("p");
  EXPECT_EQ(StatsOf(again).bookmarks, 0);
  EXPECT_THAT(ReadTests(again)->test_cases, IsEmpty());
  EXPECT_GT(again.number, problem.number);
}

// ---- Lists ----

TEST_P(ProblemStoreTest, ListsInTheOrderOfCreationWithoutStatements) {
  for (int i = 0; i < 5; ++i) {
    Publish("p-" + std::to_string(9 - i), {.statement = "long"});
  }
  EXPECT_THAT(Slugs(kBob), ElementsAre("p-9", "p-8", "p-7", "p-6", "p-5"));
  EXPECT_EQ(store_->List(kBob, {}, 0, 1)->problems[0].content.statement, "");
}

TEST_P(ProblemStoreTest, PagesNeitherSkipNorRepeatWhenProblemsComeAndGo) {
  std::vector<Problem> problems;
  for (int i = 0; i < 10; ++i) {
    problems.push_back(Publish("old-" + std::to_string(i)));
  }
  std::vector<std::string> seen;
  std::int64_t after = 0;
  for (int page_number = 0;; ++page_number) {
    const ProblemPage page = *store_->List(kBob, {}, after, 3);
    for (const Problem& problem : page.problems) {
      seen.push_back(problem.slug);
    }
    if (page.last) break;
    EXPECT_THAT(page.problems, SizeIs(3));
    after = page.problems.back().number;
    if (page_number == 0) {
      // One that was seen, the last one that was seen, and one to come go; one
      // comes.
      for (const int i : {0, 2, 5}) {
        ASSERT_THAT(Write([&](ProblemStore& store) {
                      return store.Delete(
                          kAda, problems[static_cast<std::size_t>(i)].id);
                    }),
                    IsOk());
      }
      Publish("new");
    }
  }
  EXPECT_THAT(seen, ElementsAre("old-0", "old-1", "old-2", "old-3", "old-4",
                                "old-6", "old-7", "old-8", "old-9", "new"));
}

TEST_P(ProblemStoreTest, FiltersByDifficultyTagsAuthorAndBookmark) {
  Publish("a", {.difficulty = Difficulty::kEasy, .tags = {"dp", "graphs"}});
  Publish("b", {.difficulty = Difficulty::kHard, .tags = {"dp"}});
  Create("c", {.tags = {"graphs"}, .published = true}, kBob);
  EXPECT_THAT(Slugs(kBob, {.difficulty = Difficulty::kEasy}), ElementsAre("a"));
  EXPECT_THAT(Slugs(kBob, {.tags = {"dp"}}), ElementsAre("a", "b"));
  EXPECT_THAT(Slugs(kBob, {.tags = {"dp", "graphs"}}), ElementsAre("a"));
  EXPECT_THAT(Slugs(kBob, {.tags = {"d_"}}), IsEmpty());
  EXPECT_THAT(Slugs(kBob, {.tags = {"dp' OR '1' = '1"}}), IsEmpty());
  EXPECT_THAT(Slugs(kBob, {.author_id = "bob"}), ElementsAre("c"));
  ASSERT_THAT(Write([&](ProblemStore& store) {
                return store.SetBookmark(
                    kBob, store.View(kBob, "b", 0)->problem.id, true);
              }),
              IsOk());
  EXPECT_THAT(Slugs(kBob, {.bookmarked = true}), ElementsAre("b"));
  EXPECT_THAT(Slugs(kAda, {.bookmarked = true}), IsEmpty());
}

TEST_P(ProblemStoreTest, ADraftIsInNobodyElsesListWhateverIsAskedFor) {
  const Problem draft = Create("draft", {.title = "Secret", .tags = {"x"}});
  EXPECT_THAT(Slugs(kBob, {.author_id = "ada"}), IsEmpty());
  EXPECT_THAT(Slugs(kBob, {.text = "Secret"}), IsEmpty());
  EXPECT_THAT(Slugs(kBob, {.tags = {"x"}}), IsEmpty());
  // Also one that was bookmarked while it was published.
  ASSERT_THAT(Update(draft, [](Content& c) { c.published = true; }), IsOk());
  ASSERT_THAT(Write([&](ProblemStore& store) {
                return store.SetBookmark(kBob, draft.id, true);
              }),
              IsOk());
  EXPECT_THAT(Slugs(kBob, {.bookmarked = true}), ElementsAre("draft"));
  Problem second = draft;
  second.version = 2;
  ASSERT_THAT(Update(second, [](Content& c) { c.published = false; }), IsOk());
  EXPECT_THAT(Slugs(kBob, {.bookmarked = true}), IsEmpty());
}

TEST_P(ProblemStoreTest, SearchesTitleAndStatementWhateverTheCase) {
  Publish("a", {.title = "The Tower of Hanoi", .statement = "100% of_it"});
  Publish("b", {.title = "Other", .statement = "about a TOWER\\"});
  EXPECT_THAT(Slugs(kBob, {.text = "tower"}), ElementsAre("a", "b"));
  EXPECT_THAT(Slugs(kBob, {.text = "OF HANOI"}), ElementsAre("a"));
  // Wildcards are text like any other.
  EXPECT_THAT(Slugs(kBob, {.text = "%"}), ElementsAre("a"));
  EXPECT_THAT(Slugs(kBob, {.text = "0%"}), ElementsAre("a"));
  EXPECT_THAT(Slugs(kBob, {.text = "_"}), ElementsAre("a"));
  EXPECT_THAT(Slugs(kBob, {.text = "t_wer"}), IsEmpty());
  EXPECT_THAT(Slugs(kBob, {.text = "\\"}), ElementsAre("b"));
  EXPECT_THAT(Slugs(kBob, {.text = "'"}), IsEmpty());
}

// ---- Test cases ----

std::vector<std::string> Inputs(const TestCasePage& page) {
  std::vector<std::string> inputs;
  for (const TestCase& test : page.test_cases) inputs.push_back(test.input);
  return inputs;
}

TEST_P(ProblemStoreTest, TestCasesKeepTheirBytesAndTheirOrder) {
  const Problem problem = Publish("p");
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<char>(i));
  const auto added =
      AddTests(problem, {{.sample = true, .input = "1", .expected_output = ""},
                         {.input = bytes, .expected_output = bytes + bytes}});
  ASSERT_THAT(added, IsOk());
  EXPECT_EQ(added->problem.test_count, 2);
  EXPECT_EQ(added->problem.tests_version, 2);
  EXPECT_EQ(added->problem.version, 1);
  ASSERT_THAT(AddTests(problem, {{.input = "3"}}), IsOk());
  const TestCasePage page = *ReadTests(problem);
  EXPECT_TRUE(page.last);
  EXPECT_EQ(page.tests_version, 3);
  EXPECT_THAT(Inputs(page), ElementsAre("1", bytes, "3"));
  EXPECT_EQ(page.test_cases[0].id, added->ids[0]);
  EXPECT_TRUE(page.test_cases[0].sample);
  EXPECT_FALSE(page.test_cases[1].sample);
  EXPECT_EQ(page.test_cases[1].expected_output, bytes + bytes);
  EXPECT_EQ(page.test_cases[2].position, 3);
}

TEST_P(ProblemStoreTest, HiddenTestCasesAreForTheAuthorAdminsAndServices) {
  const Problem problem = Publish("p");
  ASSERT_THAT(AddTests(problem, {{.sample = true, .input = "s1"},
                                 {.input = "hidden"},
                                 {.sample = true, .input = "s2"}}),
              IsOk());
  for (const Caller& caller : {kAda, kAdmin, kJudge}) {
    EXPECT_THAT(Inputs(*ReadTests(problem, caller)),
                ElementsAre("s1", "hidden", "s2"));
  }
  EXPECT_THAT(ReadTests(problem, kBob),
              AllOf(StatusIs(absl::StatusCode::kPermissionDenied),
                    HasReason("NOT_THE_AUTHOR")));
  const TestCasePage samples = *ReadTests(problem, kBob, false);
  EXPECT_THAT(Inputs(samples), ElementsAre("s1", "s2"));
  EXPECT_EQ(samples.test_cases[1].position, 3);
}

TEST_P(ProblemStoreTest, ATestCaseThatGoesMovesTheOthersUp) {
  const Problem problem = Publish("p");
  const auto added =
      AddTests(problem, {{.input = "1"}, {.input = "2"}, {.input = "3"}});
  ASSERT_THAT(added, IsOk());
  const auto erase = [&](const std::string& id) {
    return Write([&](ProblemStore& store) {
      return store.DeleteTestCase(kAda, problem.id, id);
    });
  };
  const auto after = erase(added->ids[1]);
  ASSERT_THAT(after, IsOk());
  EXPECT_EQ(after->test_count, 2);
  EXPECT_EQ(after->tests_version, 3);
  const TestCasePage page = *ReadTests(problem);
  EXPECT_THAT(Inputs(page), ElementsAre("1", "3"));
  EXPECT_EQ(page.test_cases[1].position, 2);
  EXPECT_THAT(erase(added->ids[1]), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(Get(problem).tests_version, 3);
}

TEST_P(ProblemStoreTest, ATestCaseOfAnotherProblemIsNotThere) {
  const Problem mine = Publish("mine");
  const Problem other = Create("other", {.published = true}, kBob);
  const auto added = AddTests(other, {{.input = "1"}}, kBob);
  ASSERT_THAT(added, IsOk());
  EXPECT_THAT(Write([&](ProblemStore& store) {
                return store.DeleteTestCase(kAda, mine.id, added->ids[0]);
              }),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(Get(other).test_count, 1);
}

TEST_P(ProblemStoreTest, BoundsTheNumberAndTheSizeOfTestCases) {
  store_ = Open({.max_test_cases = 3, .max_test_bytes = 100});
  const Problem problem = Publish("p");
  ASSERT_THAT(AddTests(problem, {{.input = "1"}, {.input = "2"}}), IsOk());
  const auto too_many = AllOf(StatusIs(absl::StatusCode::kFailedPrecondition),
                              HasReason("TOO_MANY_TEST_CASES"));
  const auto too_large = AllOf(StatusIs(absl::StatusCode::kFailedPrecondition),
                               HasReason("TEST_CASES_TOO_LARGE"));
  EXPECT_THAT(AddTests(problem, {{.input = "3"}, {.input = "4"}}), too_many);
  EXPECT_THAT(AddTests(problem, {{.input = std::string(49, 'x'),
                                  .expected_output = std::string(50, 'y')}}),
              too_large);
  EXPECT_THAT(Inputs(*ReadTests(problem)), ElementsAre("1", "2"));
  const auto full =
      AddTests(problem, {{.input = std::string(48, 'x'),
                          .expected_output = std::string(50, 'y')}});
  ASSERT_THAT(full, IsOk());
  EXPECT_THAT(AddTests(problem, {{.input = ""}}), too_many);
  // What is deleted makes room.
  ASSERT_THAT(Write([&](ProblemStore& store) {
                return store.DeleteTestCase(kAda, problem.id, full->ids[0]);
              }),
              IsOk());
  EXPECT_THAT(AddTests(problem, {{.input = std::string(98, 'x')}}), IsOk());
}

// Ten minutes: 30 tests of 20 s, and 200 of the default.
TEST_P(ProblemStoreTest, BoundsTheTimeThatTestCasesMayTakeTogether) {
  const Problem slow = Publish("slow", {.limits = {.cpu_time = 20s}});
  ASSERT_THAT(AddTests(slow, std::vector<TestCase>(29)), IsOk());
  const auto too_long = AllOf(StatusIs(absl::StatusCode::kFailedPrecondition),
                              HasReason("TESTS_TAKE_TOO_LONG"));
  EXPECT_THAT(AddTests(slow, std::vector<TestCase>(2)), too_long);
  EXPECT_EQ(Get(slow).test_count, 29);
  EXPECT_EQ(Get(slow).tests_version, 2);
  ASSERT_THAT(AddTests(slow, std::vector<TestCase>(1)), IsOk());
  EXPECT_THAT(AddTests(slow, std::vector<TestCase>(1)), too_long);

  const Problem many = Publish("many");
  ASSERT_THAT(AddTests(many, std::vector<TestCase>(200)), IsOk());
  const auto set_time = [&](std::chrono::nanoseconds time) {
    return Update(Get(many),
                  [&](Content& content) { content.limits.cpu_time = time; });
  };
  EXPECT_THAT(set_time(3s), IsOk());
  const auto refused = set_time(3s + 1ns);
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(std::string(refused.status().message()),
              ::testing::HasSubstr("problem.limits.cpu_time"));
  EXPECT_EQ(Get(many).content.limits.cpu_time, 3s);
  EXPECT_THAT(set_time(0s), IsOk());
}

// Of a problem that is older than the bound.
TEST(ProblemLimitsTest, MayStayTooLongOrBecomeShorterButNotLonger) {
  const Limits before{.cpu_time = 10s};
  const auto check = [&](std::chrono::nanoseconds time) {
    return CheckLimits(
        {.content = {.limits = {.cpu_time = time}}, .test_count = 100}, before);
  };
  EXPECT_THAT(check(10s), IsOk());
  EXPECT_THAT(check(9s), IsOk());
  EXPECT_THAT(check(10s + 1ns), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_P(ProblemStoreTest, ReadsTestCasesInPagesOfABoundedSize) {
  const Problem problem = Publish("p");
  std::vector<TestCase> tests;
  for (int i = 0; i < 5; ++i) {
    tests.push_back({.input = std::string(100, static_cast<char>('a' + i))});
  }
  ASSERT_THAT(AddTests(problem, tests), IsOk());
  const auto read = [&](std::int64_t after, std::size_t count,
                        std::int64_t bytes) {
    return *ReadTests(problem, kAda, true, after, count, bytes);
  };
  TestCasePage page = read(0, 10, 250);
  EXPECT_THAT(page.test_cases, SizeIs(2));
  EXPECT_FALSE(page.last);
  page = read(2, 1, 1000);
  EXPECT_THAT(page.test_cases, SizeIs(1));
  EXPECT_EQ(page.test_cases[0].position, 3);
  // One larger than a page goes alone.
  page = read(3, 10, 10);
  EXPECT_THAT(page.test_cases, SizeIs(1));
  EXPECT_FALSE(page.last);
  page = read(4, 10, 10);
  EXPECT_THAT(page.test_cases, SizeIs(1));
  EXPECT_TRUE(page.last);
  EXPECT_THAT(read(5, 10, 10).test_cases, IsEmpty());
}

TEST_P(ProblemStoreTest, AViewHasAsManySamplesAsFit) {
  const Problem problem = Publish("p");
  ASSERT_THAT(AddTests(problem, {{.input = "hidden"},
                                 {.sample = true, .input = "12345"},
                                 {.sample = true, .input = "12345"}}),
              IsOk());
  EXPECT_THAT(store_->View(kBob, "p", 10)->samples, SizeIs(2));
  EXPECT_THAT(store_->View(kBob, "p", 9)->samples, SizeIs(1));
  EXPECT_THAT(store_->View(kBob, "p", 4)->samples, IsEmpty());
}

// ---- Counters ----

TEST_P(ProblemStoreTest, LikesAndBookmarksCountEachPersonOnce) {
  const Problem problem = Publish("p");
  const auto like = [&](const Caller& caller, bool on) {
    return *Write([&](ProblemStore& store) {
      return store.SetLike(caller, problem.id, on);
    });
  };
  EXPECT_EQ(like(kAda, true), 1);
  EXPECT_EQ(like(kAda, true), 1);
  EXPECT_EQ(like(kBob, true), 2);
  EXPECT_EQ(like(kAda, false), 1);
  EXPECT_EQ(like(kAda, false), 1);
  const auto bookmark = [&](const Caller& caller, bool on) {
    EXPECT_THAT(Write([&](ProblemStore& store) {
                  return store.SetBookmark(caller, problem.id, on);
                }),
                IsOk());
    return StatsOf(problem).bookmarks;
  };
  EXPECT_EQ(bookmark(kBob, true), 1);
  EXPECT_EQ(bookmark(kBob, true), 1);
  const ProblemView view = *store_->View(kBob, problem.id, 0);
  EXPECT_TRUE(view.liked);
  EXPECT_TRUE(view.bookmarked);
  EXPECT_FALSE(store_->View(kAda, problem.id, 0)->liked);
  EXPECT_EQ(bookmark(kBob, false), 0);
  EXPECT_EQ(bookmark(kBob, false), 0);
  // None of it is a change of the problem.
  EXPECT_EQ(Get(problem).version, 1);
}

TEST_P(ProblemStoreTest, AVerdictCountsOncePerSubmission) {
  const Problem problem = Publish("p");
  const auto record = [&](const std::string& submission,
                          const std::string& user, bool accepted) {
    EXPECT_THAT(Write([&](ProblemStore& store) {
                  return store.RecordVerdict({.problem_id = problem.id,
                                              .submission_id = submission,
                                              .user_id = user,
                                              .accepted = accepted});
                }),
                IsOk());
  };
  const std::string first = "00000000-0000-4000-8000-00000000000a";
  record(first, "bob", false);
  record(first, "bob", false);
  record("00000000-0000-4000-8000-00000000000A", "bob", true);  // the same
  EXPECT_EQ(StatsOf(problem).submissions, 1);
  EXPECT_EQ(StatsOf(problem).accepted, 0);
  for (int i = 0; i < 3; ++i) record(grpccommon::UuidV7(clock_), "bob", true);
  record(grpccommon::UuidV7(clock_), "eve", true);
  const Stats stats = StatsOf(problem);
  EXPECT_EQ(stats.submissions, 5);
  EXPECT_EQ(stats.accepted, 4);
  EXPECT_EQ(stats.solvers, 2);
}

TEST_P(ProblemStoreTest, CountersAreExactWhateverHappensAtOnce) {
  const Problem problem = Publish("p");
  constexpr int kProcesses = 4;
  constexpr int kEach = 25;
  std::vector<std::thread> processes;
  for (int p = 0; p < kProcesses; ++p) {
    processes.emplace_back([&, store = Open()] {
      for (int i = 0; i < kEach; ++i) {
        const std::string person = "user-" + std::to_string(i);
        EXPECT_THAT(store->database().Begin(), IsOk());
        // The same in all processes.
        EXPECT_THAT(store->SetLike({.id = person}, problem.id, true), IsOk());
        EXPECT_THAT(store->RecordVerdict(
                        {.problem_id = problem.id,
                         .submission_id = "00000000-0000-4000-8000-0000000000" +
                                          std::to_string(10 + i),
                         .user_id = person,
                         .accepted = true}),
                    IsOk());
        EXPECT_THAT(store->database().Commit(), IsOk());
      }
    });
  }
  for (std::thread& process : processes) process.join();
  const Stats stats = StatsOf(problem);
  EXPECT_EQ(stats.likes, kEach);
  EXPECT_EQ(stats.submissions, kEach);
  EXPECT_EQ(stats.accepted, kEach);
  EXPECT_EQ(stats.solvers, kEach);
}

TEST_P(ProblemStoreTest, WhatFailedOrWasUndoneChangesNothing) {
  const Problem problem = Publish("p");
  ASSERT_THAT(store_->database().Begin(), IsOk());
  ASSERT_THAT(store_->SetLike(kBob, problem.id, true), IsOk());
  ASSERT_THAT(store_->AddTestCases(kAda, problem.id, {{.input = "1"}}), IsOk());
  store_->database().Rollback();
  EXPECT_EQ(StatsOf(problem).likes, 0);
  EXPECT_EQ(Get(problem).test_count, 0);
  EXPECT_THAT(ReadTests(problem)->test_cases, IsEmpty());
}

}  // namespace
}  // namespace platform::problem
