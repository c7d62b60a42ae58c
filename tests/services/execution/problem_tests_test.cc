// SPDX-License-Identifier: Apache-2.0
#include "services/execution/problem_tests.h"

#include <chrono>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "grpccommon/metrics/metrics_registry.h"
#include "grpccommon/status/details.h"
#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/testing/status_matchers.h"
#include "gtest/gtest.h"

namespace platform::execution {
namespace {

using grpccommon::testing::FakeClock;
using grpccommon::testing::HasReason;
using grpccommon::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using namespace std::chrono_literals;

constexpr char kId[] = "0191b2c3-0000-7000-8000-000000000001";
constexpr char kOther[] = "0191b2c3-0000-7000-8000-000000000002";

// Has one problem; answers when told to.
class FakeProblems final : public ProblemSource {
 public:
  void GetProblem(
      const std::string& /*id*/,
      std::function<void(absl::StatusOr<problem::v1::Problem>)> done) override {
    ++gets;
    if (hold) {
      held.emplace_back([this, done = std::move(done)] { AnswerGet(done); });
    } else {
      AnswerGet(done);
    }
  }
  void ListTestCases(
      const std::string& /*id*/,
      std::function<void(absl::StatusOr<std::vector<problem::v1::TestCase>>)>
          done) override {
    ++lists;
    if (!status.ok()) return done(status);
    std::vector<problem::v1::TestCase> cases(
        static_cast<std::size_t>(test_count));
    for (problem::v1::TestCase& test : cases) {
      test.set_input(std::string(input_bytes, 'i'));
      test.set_expected_output("out");
      test.set_tests_version(problem.tests_version());
    }
    done(cases);
  }
  void Release() {
    auto now = std::exchange(held, {});
    for (const auto& answer : now) answer();
  }

  absl::Status status;
  problem::v1::Problem problem;
  int test_count = 2;
  std::size_t input_bytes = 10;
  int gets = 0;
  int lists = 0;
  bool hold = false;
  std::vector<std::function<void()>> held;

 private:
  void AnswerGet(
      const std::function<void(absl::StatusOr<problem::v1::Problem>)>& done) {
    if (status.ok()) {
      done(problem);
    } else {
      done(status);
    }
  }
};

class ProblemTestsTest : public ::testing::Test {
 protected:
  using Result = absl::StatusOr<std::shared_ptr<const TestSuite>>;

  ProblemTestsTest() {
    problems_.problem.set_version(1);
    problems_.problem.set_tests_version(1);
  }
  void Make(const ProblemTestsOptions& options) {
    tests_ = *ProblemTests::Create(problems_, options, *metrics_, clock_);
  }
  Result Get(std::int64_t min_version = 0, const std::string& id = kId) {
    Result result = absl::UnknownError("not called");
    tests_->Get(id, min_version, [&](Result got) { result = std::move(got); });
    return result;
  }

  FakeClock clock_;
  FakeProblems problems_;
  grpccommon::MetricsRegistry registry_;
  std::unique_ptr<ExecutionMetrics> metrics_ =
      *ExecutionMetrics::Create(registry_);
  std::unique_ptr<ProblemTests> tests_ =
      *ProblemTests::Create(problems_, {}, *metrics_, clock_);
};

TEST_F(ProblemTestsTest, BringsTestsLimitsCheckerAndLanguages) {
  problems_.problem.mutable_limits()->mutable_cpu_time()->set_nanos(500000000);
  problems_.problem.mutable_limits()->set_memory_bytes(1000);
  problems_.problem.mutable_checker()->set_kind(
      problem::v1::Checker::KIND_NUMBERS);
  problems_.problem.mutable_checker()->set_tolerance(0.5);
  problems_.problem.add_languages("cpp");
  problems_.problem.set_tests_version(7);
  const Result suite = Get();
  ASSERT_TRUE(suite.ok()) << suite.status();
  EXPECT_THAT((*suite)->tests, SizeIs(2));
  EXPECT_EQ((*suite)->tests[0].expected_output, "out");
  EXPECT_EQ((*suite)->limits.cpu_time, 500ms);
  EXPECT_EQ((*suite)->limits.memory_bytes, 1000);
  EXPECT_EQ((*suite)->limits.output_bytes, 1 << 20);
  EXPECT_EQ((*suite)->checker.kind, CheckerKind::kNumbers);
  EXPECT_EQ((*suite)->checker.tolerance, 0.5);
  EXPECT_THAT((*suite)->languages, ::testing::ElementsAre("cpp"));
  EXPECT_EQ((*suite)->tests_version, 7);
  EXPECT_FALSE((*suite)->show_output);
  EXPECT_TRUE((*suite)->check_output);
}

TEST_F(ProblemTestsTest, DoesNotAskForWhatItKnows) {
  const Result first = Get();
  EXPECT_EQ(*Get(), *first);
  clock_.Advance(10s);
  EXPECT_EQ(*Get(1), *first);
  EXPECT_EQ(problems_.gets, 1);
  EXPECT_EQ(metrics_->tests.hit->Value(), 2u);
}

TEST_F(ProblemTestsTest, LooksAfterAWhileWhetherTheProblemHasChanged) {
  const Result first = Get();
  clock_.Advance(10s + 1ns);
  EXPECT_EQ(*Get(), *first);
  EXPECT_EQ(problems_.gets, 2);
  EXPECT_EQ(problems_.lists, 1);  // it has not
  EXPECT_EQ(*Get(), *first);
  EXPECT_EQ(problems_.gets, 2);
  clock_.Advance(11s);
  problems_.problem.set_version(2);
  problems_.problem.mutable_limits()->set_memory_bytes(1000);
  EXPECT_EQ((*Get())->limits.memory_bytes, 1000);
  clock_.Advance(11s);
  problems_.problem.set_tests_version(2);
  EXPECT_EQ((*Get())->tests_version, 2);
  EXPECT_EQ(problems_.lists, 3);
}

TEST_F(ProblemTestsTest, FetchesAgainWhatIsOlderThanAskedFor) {
  ASSERT_EQ((*Get())->tests_version, 1);
  problems_.problem.set_tests_version(2);
  EXPECT_EQ((*Get())->tests_version, 1);
  EXPECT_EQ((*Get(2))->tests_version, 2);
  EXPECT_EQ((*Get())->tests_version, 2);
}

TEST_F(ProblemTestsTest, AVersionThatIsNotThereIsUnavailable) {
  EXPECT_THAT(Get(2), AllOf(StatusIs(absl::StatusCode::kUnavailable),
                            HasReason("TESTS_UNAVAILABLE")));
}

TEST_F(ProblemTestsTest, ServesWhatItHasWhileTheProblemServiceIsAway) {
  const Result first = Get();
  problems_.status = absl::UnavailableError("10.0.0.7 refused");
  clock_.Advance(11s);
  EXPECT_EQ(*Get(1), *first);
  EXPECT_EQ(problems_.gets, 2);
  EXPECT_EQ(*Get(1), *first);  // not asked again at once
  EXPECT_EQ(problems_.gets, 2);
  clock_.Advance(1s + 1ns);
  EXPECT_EQ(*Get(1), *first);
  EXPECT_EQ(problems_.gets, 3);
  const Result newer = Get(2);
  EXPECT_THAT(newer, AllOf(StatusIs(absl::StatusCode::kUnavailable),
                           HasReason("TESTS_UNAVAILABLE")));
  EXPECT_TRUE(grpccommon::RetryDelayOf(newer.status()).has_value());
  EXPECT_THAT(std::string(newer.status().message()), Not(HasSubstr("10.0")));
}

TEST_F(ProblemTestsTest, OurOwnCredentialIsNotTheCallersBusiness) {
  for (const auto code :
       {absl::StatusCode::kPermissionDenied, absl::StatusCode::kUnauthenticated,
        absl::StatusCode::kInvalidArgument}) {
    problems_.status = absl::Status(code, "role");
    EXPECT_THAT(Get(), StatusIs(absl::StatusCode::kUnavailable));
  }
}

TEST_F(ProblemTestsTest, AProblemThatHasGoneIsNotServed) {
  ASSERT_TRUE(Get().ok());
  problems_.status = absl::NotFoundError("gone");
  clock_.Advance(11s);
  EXPECT_THAT(Get(), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(tests_->bytes(), 0u);
  problems_.status = absl::UnavailableError("away");
  EXPECT_THAT(Get(), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(ProblemTestsTest, AProblemWithoutTestsJudgesNobody) {
  problems_.test_count = 0;
  EXPECT_THAT(Get(), AllOf(StatusIs(absl::StatusCode::kFailedPrecondition),
                           HasReason("PROBLEM_HAS_NO_TESTS")));
}

TEST_F(ProblemTestsTest, ThoseWhoComeMeanwhileShareTheAnswer) {
  problems_.hold = true;
  std::vector<Result> results;
  for (int i = 0; i < 5; ++i) {
    tests_->Get(kId, 1, [&](Result got) { results.push_back(std::move(got)); });
  }
  EXPECT_THAT(results, SizeIs(0));
  problems_.Release();
  ASSERT_THAT(results, SizeIs(5));
  for (const Result& result : results) EXPECT_EQ(*result, *results[0]);
  EXPECT_EQ(problems_.gets, 1);
  EXPECT_EQ(metrics_->tests.shared->Value(), 4u);
}

TEST_F(ProblemTestsTest, WhoeverCameWithANewerVersionMeanwhileIsAskedForAgain) {
  problems_.hold = true;
  std::vector<Result> results(2, absl::UnknownError("not called"));
  tests_->Get(kId, 1, [&](Result got) { results[0] = std::move(got); });
  tests_->Get(kId, 2, [&](Result got) { results[1] = std::move(got); });
  problems_.Release();
  EXPECT_EQ((*results[0])->tests_version, 1);
  ASSERT_THAT(results[1], StatusIs(absl::StatusCode::kUnknown));
  problems_.problem.set_tests_version(2);
  problems_.Release();
  ASSERT_TRUE(results[1].ok()) << results[1].status();
  EXPECT_EQ((*results[1])->tests_version, 2);
  EXPECT_EQ(problems_.gets, 2);
}

TEST_F(ProblemTestsTest, TheLeastRecentlyUsedSuiteGoes) {
  problems_.input_bytes = 1000;
  Make({.max_bytes = 5000});  // two suites of about 2100 bytes
  ASSERT_TRUE(Get().ok());
  ASSERT_TRUE(Get(0, kOther).ok());
  ASSERT_TRUE(Get().ok());
  EXPECT_EQ(problems_.lists, 2);
  ASSERT_TRUE(Get(0, "0191b2c3-0000-7000-8000-000000000003").ok());
  EXPECT_LE(tests_->bytes(), 5000u);
  ASSERT_TRUE(Get().ok());
  EXPECT_EQ(problems_.lists, 3);
  ASSERT_TRUE(Get(0, kOther).ok());
  EXPECT_EQ(problems_.lists, 4);
}

TEST_F(ProblemTestsTest, ASuiteThatIsTooLargeIsKeptAlone) {
  Make({.max_bytes = 1});
  ASSERT_TRUE(Get().ok());
  ASSERT_TRUE(Get().ok());
  EXPECT_EQ(problems_.lists, 1);
  ASSERT_TRUE(Get(0, kOther).ok());
  ASSERT_TRUE(Get().ok());
  EXPECT_EQ(problems_.lists, 3);
}

TEST_F(ProblemTestsTest, RefusesOptionsOutOfRange) {
  EXPECT_THAT(
      std::string(ProblemTests::Create(problems_, {.max_bytes = 0}, *metrics_)
                      .status()
                      .message()),
      HasSubstr("max_bytes"));
  EXPECT_THAT(
      std::string(ProblemTests::Create(problems_, {.max_age = 2h}, *metrics_)
                      .status()
                      .message()),
      HasSubstr("max_age"));
}

}  // namespace
}  // namespace platform::execution
