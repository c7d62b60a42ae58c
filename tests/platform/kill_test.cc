// SPDX-License-Identifier: Apache-2.0
// What was acknowledged is judged, once, whichever process is killed.
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "grpccommon/testing/status_matchers.h"
#include "gtest/gtest.h"
#include "platform/platform.h"

namespace platform::test {
namespace {

using grpccommon::testing::IsOk;
using namespace std::chrono_literals;

class KillTest : public ::testing::TestWithParam<const char*> {};

TEST_P(KillTest, EveryAcknowledgedSubmissionHasItsVerdict) {
  const std::string victim = GetParam();
  Platform platform;
  ASSERT_TRUE(platform.StartAll());
  Contest contest(platform, {"sum-of-two", "primes-below"},
                  {"ann", "ben", "cat"});
  seed::BoardWatch watch(platform.clients(), contest.person("ann"),
                         contest.id());

  // Everybody goes on as if nothing had happened.
  const std::vector<std::pair<int, std::string>> moves = {
      {0, "wrong.py"}, {1, "wrong.py"}, {0, "right.py"}, {1, "slow.py"},
      {0, "wrong.js"}, {1, "broken.c"}, {1, "right.py"}, {0, "right.c"}};
  std::vector<std::thread> threads;
  for (const std::string& name : contest.names()) {
    threads.emplace_back([&, name] {
      for (const auto& [problem, solution] : moves) {
        EXPECT_THAT(contest.HandIn(name, problem, solution), IsOk());
      }
    });
  }
  // In the middle: some have been judged, some are being judged, some are
  // still to come or, if the machine is fast, wait.
  const bool judging = watch.WaitUntil(
      [](const contest::v1::Leaderboard& board) {
        int judged = 0;
        for (const auto& row : board.rows()) {
          for (const auto& cell : row.cells()) {
            judged += cell.wrong() + (cell.solved() ? 1 : 0);
          }
        }
        return judged >= 2;
      },
      60s);
  EXPECT_TRUE(judging);
  platform.Kill(victim);
  ASSERT_TRUE(platform.Start(victim));
  for (std::thread& thread : threads) thread.join();

  contest.ExpectAllJudged();
  EXPECT_EQ(contest.acknowledged(), 3 * moves.size());
  const contest::v1::Leaderboard expected = contest.Expected();
  EXPECT_TRUE(watch.WaitUntil(
      [&](const contest::v1::Leaderboard& board) {
        return seed::Differences(expected, board).empty();
      },
      30s))
      << seed::Differences(expected, watch.Get());
  // And people can still come in.
  EXPECT_THAT(platform.Enter("dan"), IsOk());
}

INSTANTIATE_TEST_SUITE_P(Each, KillTest,
                         ::testing::Values("registry", "user", "problem",
                                           "execution", "contest"),
                         [](const auto& process) {
                           return std::string(process.param);
                         });

// Twice in a row, the second time while it picks up what the first one left.
TEST(KillAgainTest, AContestServiceThatIsKilledWhileItCatchesUp) {
  Platform platform;
  ASSERT_TRUE(platform.StartAll());
  Contest contest(platform, {"sum-of-two"}, {"ann", "ben"});
  for (int i = 0; i < 4; ++i) {
    for (const std::string& name : contest.names()) {
      ASSERT_THAT(contest.HandIn(name, 0, i < 3 ? "wrong.py" : "right.py"),
                  IsOk());
    }
  }
  for (int i = 0; i < 2; ++i) {
    platform.Kill("contest");
    ASSERT_TRUE(platform.Start("contest"));
  }
  contest.ExpectAllJudged();
}

// Not a process of ours, but what all of them stand on.
TEST(KillAgainTest, TheDatabaseServer) {
  auto* const postgresql = Postgresql();
  if (postgresql == nullptr) GTEST_SKIP() << "on SQLite there is none";
  Platform platform;
  ASSERT_TRUE(platform.StartAll());
  Contest contest(platform, {"sum-of-two"}, {"ann", "ben"});
  for (const std::string& name : contest.names()) {
    ASSERT_THAT(contest.HandIn(name, 0, "wrong.py"), IsOk());
  }
  postgresql->Kill();
  std::vector<std::thread> threads;
  for (const std::string& name : contest.names()) {
    threads.emplace_back([&, name] {
      EXPECT_THAT(contest.HandIn(name, 0, "right.py"), IsOk());
    });
  }
  postgresql->Start();
  for (std::thread& thread : threads) thread.join();
  contest.ExpectAllJudged();
  EXPECT_THAT(platform.Enter("dan"), IsOk());
}

// The instance that judges is gone for good; the other one takes over.
TEST(KillAgainTest, AnExecutionServiceThatDoesNotComeBack) {
  Platform platform;
  ASSERT_TRUE(platform.StartAll());
  ASSERT_TRUE(platform.Start("execution-2"));
  Contest contest(platform, {"primes-below"}, {"ann", "ben"});
  for (const char* const solution : {"slow.py", "wrong.py", "right.py"}) {
    for (const std::string& name : contest.names()) {
      ASSERT_THAT(contest.HandIn(name, 0, solution), IsOk());
    }
  }
  platform.Kill("execution");
  contest.ExpectAllJudged();
}

}  // namespace
}  // namespace platform::test
