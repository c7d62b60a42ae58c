// SPDX-License-Identifier: Apache-2.0
// Many watch one board while solutions come in and are judged by the real
// execution service. What is printed: how fast a verdict reaches the watchers,
// what they lost, and the memory of the processes.
//
// Short by default; PLATFORM_LOAD=full makes it 200 watchers, 20 submissions a
// second and a minute, as `./dev check --all` does.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "google/protobuf/util/time_util.h"
#include "grpccommon/testing/status_matchers.h"
#include "gtest/gtest.h"
#include "platform/platform.h"
#include "support/sanitized.h"

namespace platform::test {
namespace {

using contest::v1::LeaderboardRow;
using contest::v1::LeaderboardUpdate;
using google::protobuf::util::TimeUtil;
using grpccommon::testing::IsOk;
using std::chrono::steady_clock;
using namespace std::chrono_literals;

// Watches the board from its beginning, on gRPC's threads.
class Watcher final : public grpc::ClientReadReactor<LeaderboardUpdate> {
 public:
  Watcher(seed::Clients& clients, const seed::Session& who,
          const std::string& contest_id) {
    contest::v1::GetLeaderboardRequest request;
    request.set_contest_id(contest_id);
    grpccommon::CallOptions options = who.Call();
    options.cancellation = &cancellation_;
    clients.contests().Open(&seed::ContestService::Stub::GetLeaderboardStream,
                            request, options, this);
    StartRead(&update_);
    StartCall();
  }
  ~Watcher() override {
    cancellation_.Cancel();
    const grpccommon::MutexLock lock(mutex_);
    while (!done_) changed_.Wait(mutex_);
  }

  // The board as it came, when its sequence is this one or it is too late.
  contest::v1::Leaderboard Get(std::int64_t sequence,
                               steady_clock::time_point give_up) {
    const grpccommon::MutexLock lock(mutex_);
    while (sequence_ < sequence && !done_) {
      if (!changed_.WaitUntil(mutex_, give_up)) break;
    }
    contest::v1::Leaderboard board;
    std::multimap<int, LeaderboardRow> ranked;
    for (const auto& [id, row] : rows_) ranked.emplace(row.rank(), row);
    for (const auto& [rank, row] : ranked) *board.add_rows() = row;
    return board;
  }
  // Nanoseconds from a change's record to here, of each update.
  std::vector<std::int64_t> latencies() {
    const grpccommon::MutexLock lock(mutex_);
    return latencies_;
  }
  std::size_t updates() {
    const grpccommon::MutexLock lock(mutex_);
    return latencies_.size();
  }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return;
    const std::int64_t now = WallNow();
    {
      const grpccommon::MutexLock lock(mutex_);
      if (update_.snapshot()) {
        rows_.clear();
      } else if (update_.rows_size() > 0) {
        latencies_.push_back(
            now - TimeUtil::TimestampToNanoseconds(update_.changed_at()));
      }
      for (const LeaderboardRow& row : update_.rows()) {
        rows_[row.user_id()] = row;
      }
      EXPECT_GE(update_.sequence(), sequence_);
      sequence_ = update_.sequence();
      changed_.NotifyAll();
    }
    StartRead(&update_);
  }
  void OnDone(const grpc::Status& /*status*/) override {
    const grpccommon::MutexLock lock(mutex_);
    done_ = true;
    changed_.NotifyAll();
  }

  grpccommon::Cancellation cancellation_;
  LeaderboardUpdate update_;  // gRPC's while it reads
  grpccommon::Mutex mutex_;
  grpccommon::CondVar changed_;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
  std::int64_t sequence_ ABSL_GUARDED_BY(mutex_) = -1;
  std::map<std::string, LeaderboardRow> rows_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::int64_t> latencies_ ABSL_GUARDED_BY(mutex_);
};

double Milliseconds(std::vector<std::int64_t>& sorted, double share) {
  if (sorted.empty()) return 0;
  const auto place =
      static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1));
  return static_cast<double>(sorted[place]) / 1e6;
}

struct Load {
  int watchers;
  int per_second;
  int seconds;
};

TEST(LoadTest, VerdictsReachEveryWatcherSoon) {
  const char* const scope = std::getenv("PLATFORM_LOAD");
  const bool full = scope != nullptr && std::string_view(scope) == "full";
  const Load load = full ? Load{200, 20, 60} : Load{50, 10, 6};
  Platform platform;
  ASSERT_TRUE(platform.StartAll());

  // One test, and programs that are compiled once: what is measured is the way
  // of the verdicts.
  seed::ProblemContent problem = *platform.content().Find("sum-of-two");
  problem.problem.set_slug("load");
  problem.test_cases.resize(1);
  problem.test_cases[0].set_sample(false);
  problem.solutions = {*problem.Find("right.c"),
                       {.name = "wrong.c",
                        .language = "c",
                        .source = "int main(void) { return 0; }\n",
                        .verdicts = {execution::v1::VERDICT_WRONG_ANSWER}}};
  platform.content().problems.push_back(problem);
  std::vector<std::string> people;
  for (int i = 0; i < 10; ++i) people.push_back("load" + std::to_string(i));
  Contest contest(platform, {"load"}, people);

  std::vector<std::unique_ptr<Watcher>> watchers;
  for (int i = 0; i < load.watchers; ++i) {
    watchers.push_back(std::make_unique<Watcher>(
        platform.clients(), contest.person(people[i % people.size()]),
        contest.id()));
  }
  for (const auto& watcher : watchers) {
    EXPECT_EQ(watcher->Get(0, steady_clock::now() + 20s).rows_size(),
              static_cast<int>(people.size()));
  }

  // Warm: the compiler has run, caches are filled.
  ASSERT_THAT(contest.HandIn(people[0], 0, "wrong.c"), IsOk());
  contest.ExpectAllJudged();
  const std::int64_t memory_before = platform.ResidentBytes("contest");

  // An open loop: each person has their times, whatever happens.
  const auto begin = steady_clock::now();
  const int each = load.per_second * load.seconds / 10;
  const auto interval = std::chrono::duration_cast<steady_clock::duration>(
      std::chrono::duration<double>(10.0 / load.per_second));
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < people.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int k = 0; k < each; ++k) {
        std::this_thread::sleep_until(begin + interval * k +
                                      interval / 10 * static_cast<int>(i));
        EXPECT_THAT(contest.HandIn(people[i], 0, "wrong.c"), IsOk());
      }
    });
  }
  std::this_thread::sleep_until(begin + std::chrono::seconds(load.seconds) / 2);
  const std::int64_t memory_middle = platform.ResidentBytes("contest");
  for (std::thread& thread : threads) thread.join();
  const auto handed_in = steady_clock::now() - begin;
  for (const std::string& name : people) {
    ASSERT_THAT(contest.HandIn(name, 0, "right.c"), IsOk());
  }
  contest.ExpectAllJudged();
  const auto judged = steady_clock::now() - begin;
  const std::int64_t memory_after = platform.ResidentBytes("contest");

  // Nothing is lost: everybody ends with the board as it should be.
  contest::v1::GetLeaderboardRequest get;
  get.set_contest_id(contest.id());
  const auto board = platform.clients().contests().Call(
      &seed::ContestService::Stub::GetLeaderboard, get, contest.judge().Call());
  ASSERT_THAT(board, IsOk());
  const contest::v1::Leaderboard expected = contest.Expected();
  int lost = 0;
  std::size_t updates = 0;
  std::vector<std::int64_t> latencies;
  const auto give_up = steady_clock::now() + 20s;
  for (const auto& watcher : watchers) {
    const auto seen = watcher->Get(board->leaderboard().sequence(), give_up);
    if (!seed::Differences(expected, seen).empty()) ++lost;
    updates += watcher->updates();
    const std::vector<std::int64_t> of_one = watcher->latencies();
    latencies.insert(latencies.end(), of_one.begin(), of_one.end());
  }
  std::sort(latencies.begin(), latencies.end());

  const double seconds = std::chrono::duration<double>(handed_in).count();
  const double until_judged = std::chrono::duration<double>(judged).count();
  std::cout << load.watchers << " watchers, " << contest.acknowledged()
            << " submissions, " << static_cast<double>(each * 10) / seconds
            << " a second; all judged after " << until_judged << " s ("
            << static_cast<double>(contest.acknowledged()) / until_judged
            << " a second)\n"
            << updates << " updates; from verdict to watcher p50 "
            << Milliseconds(latencies, 0.5) << " ms, p99 "
            << Milliseconds(latencies, 0.99) << " ms, longest "
            << Milliseconds(latencies, 1) << " ms; " << lost
            << " watchers lost something\n"
            << "resident memory of the contest service: "
            << memory_before / 1024 << " KiB before, " << memory_middle / 1024
            << " in the middle, " << memory_after / 1024
            << " after; of execution "
            << platform.ResidentBytes("execution") / 1024 << '\n';
  EXPECT_EQ(lost, 0);
  EXPECT_GT(latencies.size(), 0u);
#ifndef GRPCCOMMON_SANITIZED
  // What it allocates for so many calls at once it may keep, and no more.
  EXPECT_LT(memory_after, memory_middle + (8 << 20));
#endif
  if (std::getenv("FAULTS_SHARED_MACHINE") == nullptr) {
    EXPECT_LT(Milliseconds(latencies, 0.99), 100);
  }
}

}  // namespace
}  // namespace platform::test
