// SPDX-License-Identifier: Apache-2.0
#include "services/execution/program_cache.h"

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "grpccommon/metrics/metrics_registry.h"
#include "grpccommon/testing/status_matchers.h"
#include "gtest/gtest.h"
#include "services/execution/fake_sandbox.h"

namespace platform::execution {
namespace {

using grpccommon::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

class ProgramCacheTest : public ::testing::Test {
 protected:
  using Result = absl::StatusOr<std::shared_ptr<const Program>>;

  void Make(const ProgramCacheOptions& options) {
    cache_ = std::make_unique<ProgramCache>(sandbox_, options, *metrics_,
                                            grpccommon::Logger());
  }
  // Results come into the returned list.
  ProgramCache::RequestId Get(const std::string& source,
                              std::vector<Result>& results,
                              const std::string& language = "cpp") {
    return cache_->Get(
        *languages_.Find(language), source,
        [&results](Result result) { results.push_back(std::move(result)); });
  }
  Result Built(const std::string& source, const std::string& language = "cpp") {
    std::vector<Result> results;
    Get(source, results, language);
    sandbox_.Pump();
    EXPECT_THAT(results, SizeIs(1));
    return results.at(0);
  }

  const Languages languages_ = testing::FakeLanguages();
  std::optional<SandboxResult> answer_;
  testing::FakeSandbox sandbox_{[this](const SandboxRequest& request) {
    return answer_.has_value() ? answer_ : testing::Interpret(request);
  }};
  grpccommon::MetricsRegistry registry_;
  std::unique_ptr<ExecutionMetrics> metrics_ =
      *ExecutionMetrics::Create(registry_);
  std::unique_ptr<ProgramCache> cache_ = std::make_unique<ProgramCache>(
      sandbox_, ProgramCacheOptions(), *metrics_, grpccommon::Logger());
};

TEST_F(ProgramCacheTest, BuildsAProgramOnce) {
  const Result first = Built("echo");
  ASSERT_TRUE(first.ok());
  EXPECT_NE((*first)->workspace, nullptr);
  for (int i = 0; i < 49; ++i) {
    std::vector<Result> results;
    Get("echo", results);  // known: no need to wait
    ASSERT_THAT(results, SizeIs(1));
    EXPECT_EQ(*results[0], *first);
  }
  EXPECT_EQ(sandbox_.builds(), 1);
  EXPECT_EQ(metrics_->programs.hit->Value(), 49u);
  EXPECT_EQ(metrics_->programs.miss->Value(), 1u);
}

TEST_F(ProgramCacheTest, ThoseWhoComeMeanwhileWaitForTheSameBuild) {
  std::vector<Result> results;
  for (int i = 0; i < 5; ++i) Get("echo", results);
  EXPECT_THAT(results, IsEmpty());
  sandbox_.Pump();
  EXPECT_THAT(results, SizeIs(5));
  EXPECT_EQ(sandbox_.builds(), 1);
  EXPECT_EQ(metrics_->programs.shared->Value(), 4u);
}

TEST_F(ProgramCacheTest, TellsSourcesAndLanguagesApart) {
  EXPECT_NE(*Built("echo"), *Built("echo "));
  EXPECT_NE(*Built("echo"), *Built("echo", "java"));
  EXPECT_EQ(sandbox_.builds(), 3);
}

TEST_F(ProgramCacheTest, KeepsWhatTheCompilerRefused) {
  for (int i = 0; i < 2; ++i) {
    const Result program = Built("nonsense");
    ASSERT_TRUE(program.ok());
    EXPECT_EQ((*program)->workspace, nullptr);
    EXPECT_THAT((*program)->compiler_output, HasSubstr("error: 'nonsense'"));
  }
  EXPECT_EQ(sandbox_.builds(), 1);
}

TEST_F(ProgramCacheTest, ACompilerThatDidNotFinishIsTriedAgain) {
  answer_ = {.outcome = SandboxOutcome::kCpuTimeLimit};
  const Result program = Built("bomb");
  ASSERT_TRUE(program.ok());
  EXPECT_EQ((*program)->workspace, nullptr);
  EXPECT_THAT((*program)->compiler_output, HasSubstr("too long"));
  for (const SandboxOutcome outcome :
       {SandboxOutcome::kWallTimeLimit, SandboxOutcome::kMemoryLimit,
        SandboxOutcome::kOutputLimit, SandboxOutcome::kProcessLimit,
        SandboxOutcome::kSignalled}) {
    answer_ = {.outcome = outcome};
    EXPECT_THAT((*Built("bomb"))->compiler_output, StartsWith("the compiler"));
  }
  answer_.reset();
  EXPECT_NE((*Built("bomb"))->workspace, nullptr);
}

TEST_F(ProgramCacheTest, AFailureOfTheSandboxIsOursAndTriedAgain) {
  answer_ = {.outcome = SandboxOutcome::kSandboxFailure, .message = "/secret"};
  const Result failed = Built("echo");
  EXPECT_THAT(failed, StatusIs(absl::StatusCode::kInternal));
  EXPECT_THAT(std::string(failed.status().message()),
              ::testing::Not(HasSubstr("secret")));
  answer_ = {.outcome = SandboxOutcome::kExited,
             .exit_code = 126,
             .message = "no such file"};
  EXPECT_THAT(Built("echo"), StatusIs(absl::StatusCode::kInternal));
  sandbox_.Refuse(absl::ResourceExhaustedError("max_runs"));
  EXPECT_THAT(Built("echo"), StatusIs(absl::StatusCode::kInternal));
  sandbox_.Refuse(absl::OkStatus());
  answer_.reset();
  EXPECT_TRUE(Built("echo").ok());
}

TEST_F(ProgramCacheTest, ABuildThatTheSandboxFailedIsMadeOnceMore) {
  bool failed = false;
  testing::FakeSandbox sandbox([&failed](const SandboxRequest& request) {
    SandboxResult result = *testing::Interpret(request);
    if (!std::exchange(failed, true)) {
      result.outcome = SandboxOutcome::kSandboxFailure;
    }
    return std::optional(result);
  });
  ProgramCache cache(sandbox, {}, *metrics_, {});
  std::vector<Result> results;
  cache.Get(*languages_.Find("cpp"), "echo", [&results](Result result) {
    results.push_back(std::move(result));
  });
  sandbox.Pump();
  ASSERT_THAT(results, SizeIs(1));
  EXPECT_TRUE(results[0].ok());
  EXPECT_EQ(sandbox.builds(), 2);
}

TEST_F(ProgramCacheTest, TheLeastRecentlyUsedProgramGoes) {
  Make({.max_programs = 2});
  ASSERT_TRUE(Built("a").ok());
  ASSERT_TRUE(Built("b").ok());
  ASSERT_TRUE(Built("a").ok());
  ASSERT_TRUE(Built("c").ok());
  EXPECT_EQ(cache_->programs(), 2u);
  EXPECT_EQ(sandbox_.builds(), 3);
  ASSERT_TRUE(Built("a").ok());
  EXPECT_EQ(sandbox_.builds(), 3);
  ASSERT_TRUE(Built("b").ok());
  EXPECT_EQ(sandbox_.builds(), 4);
}

TEST_F(ProgramCacheTest, ShortensWhatTheCompilerSaidAndMakesItUtf8) {
  answer_ = testing::Exited("", 1);
  answer_->error = std::string(100'000, 'x');
  EXPECT_THAT((*Built("long"))->compiler_output, SizeIs(16 * 1024));
  answer_->error =
      "a\xFF"
      "b";
  answer_->output = "c";
  EXPECT_EQ((*Built("bytes"))->compiler_output,
            "a\xEF\xBF\xBD"
            "bc");
}

TEST_F(ProgramCacheTest, ShowsNothingThatRearrangesWhatOthersRead) {
  answer_ = testing::Exited("", 1);
  const std::string letters = "\xC3\xA9\xC2\xA0\xE2\x80\x8E\xE2\x82\xAC";
  answer_->error =
      "a\x1B[31m\tb\r\n\x7F\xC2\x9B"
      "c\xE2\x80\xAE"
      "d\xE2\x81\xA6"
      "e\xE2\x80\xA8" +
      letters + std::string(1, '\0') + "\xE2\x80\xA7\xE2\x80\xAF";
  EXPECT_EQ((*Built("escape"))->compiler_output,
            "a?[31m\tb?\n??c?d?e?" + letters + "?\xE2\x80\xA7\xE2\x80\xAF");
}

TEST_F(ProgramCacheTest, TheLastWhoCancelsEndsTheBuild) {
  std::vector<Result> results;
  const auto first = Get("forever-compiling", results);
  const auto second = Get("forever-compiling", results);
  sandbox_.Pump();
  EXPECT_EQ(sandbox_.held(), 1u);
  cache_->Cancel(first);  // at once, since others wait
  ASSERT_THAT(results, SizeIs(1));
  EXPECT_THAT(results[0], StatusIs(absl::StatusCode::kCancelled));
  EXPECT_EQ(sandbox_.held(), 1u);
  cache_->Cancel(second);
  EXPECT_THAT(results, SizeIs(1));  // not before nothing of it is left
  sandbox_.Pump();
  ASSERT_THAT(results, SizeIs(2));
  EXPECT_THAT(results[1], StatusIs(absl::StatusCode::kCancelled));
  EXPECT_EQ(sandbox_.held(), 0u);
  cache_->Cancel(second);  // twice does no harm
  EXPECT_THAT(results, SizeIs(2));
}

TEST_F(ProgramCacheTest, WhoeverComesAfterACancelledBuildGetsANewOne) {
  std::vector<Result> cancelled;
  cache_->Cancel(Get("echo", cancelled));
  std::vector<Result> results;
  Get("echo", results);
  sandbox_.Pump();
  ASSERT_THAT(cancelled, SizeIs(1));
  EXPECT_THAT(cancelled[0], StatusIs(absl::StatusCode::kCancelled));
  ASSERT_THAT(results, SizeIs(1));
  EXPECT_TRUE(results[0].ok());
  EXPECT_EQ(cache_->programs(), 1u);
}

}  // namespace
}  // namespace platform::execution
