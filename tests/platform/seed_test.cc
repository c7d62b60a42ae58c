// SPDX-License-Identifier: Apache-2.0
// What `./dev up --seed` fills a platform with, done twice.
#include "gmock/gmock.h"
#include "grpccommon/testing/status_matchers.h"
#include "gtest/gtest.h"
#include "platform/platform.h"
#include "services/seed/seeder.h"

namespace platform::test {
namespace {

using grpccommon::testing::IsOk;

TEST(SeedTest, DoneTwiceItChangesNothing) {
  Platform platform;
  ASSERT_TRUE(platform.StartAll());
  seed::SeedOptions options{.admin_login = "admin",
                            .admin_password = platform.admin_password()};
  for (const auto& [name, shown] : seed::People()) {
    options.passwords[name] = seed::RandomPassword();
  }
  const auto once = Seed(platform.clients(), platform.content(), options);
  ASSERT_THAT(once, IsOk());
  EXPECT_EQ(once->users.size(), seed::People().size());
  EXPECT_EQ(once->problems.size(), platform.content().problems.size());
  EXPECT_EQ(once->contest.phase(), contest::v1::CONTEST_PHASE_RUNNING);
  const auto twice = Seed(platform.clients(), platform.content(), options);
  ASSERT_THAT(twice, IsOk());
  EXPECT_TRUE(*once == *twice);

  // What is there works: somebody solves a problem of the contest.
  const auto alice =
      platform.clients().LogIn("alice", options.passwords.at("alice"));
  ASSERT_THAT(alice, IsOk());
  const auto& first = platform.content().problems.front();
  const auto submission = Submit(platform.clients(), *alice, once->contest.id(),
                                 "A", *first.Find("right.py"));
  ASSERT_THAT(submission, IsOk());
  const auto judged =
      AwaitVerdict(platform.clients(), *alice, submission->id());
  ASSERT_THAT(judged, IsOk());
  EXPECT_EQ(judged->verdict(), execution::v1::VERDICT_ACCEPTED);

  // A password that is not theirs does not make the account anew.
  options.passwords["alice"] = seed::RandomPassword();
  EXPECT_THAT(
      Seed(platform.clients(), platform.content(), options),
      grpccommon::testing::StatusIs(absl::StatusCode::kUnauthenticated));
}

TEST(SeedTest, ProblemsThatWereLeftUnfinishedAreFinished) {
  Platform platform;
  ASSERT_TRUE(platform.Start("registry"));
  ASSERT_TRUE(platform.Start("user"));
  ASSERT_TRUE(platform.Start("problem"));
  const auto judge = platform.Enter("judge", /*author=*/true);
  ASSERT_THAT(judge, IsOk());
  const seed::ProblemContent& content = *platform.content().Find("sum-of-two");
  problem::v1::CreateProblemRequest create;
  *create.mutable_problem() = content.problem;
  create.mutable_problem()->set_published(false);
  ASSERT_THAT(
      platform.clients().problems().Call(
          &seed::ProblemService::Stub::CreateProblem, create, judge->Call()),
      IsOk());
  const auto problem = EnsureProblem(platform.clients(), *judge, content);
  ASSERT_THAT(problem, IsOk());
  EXPECT_TRUE(problem->published());
  EXPECT_EQ(problem->test_count(), static_cast<int>(content.test_cases.size()));
}

}  // namespace
}  // namespace platform::test
