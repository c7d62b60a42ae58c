// SPDX-License-Identifier: Apache-2.0
// 200 watchers of one board while 20 solutions come a second, all on this
// machine, with an execution service that judges at once: how long a change
// takes from the database to every watcher, whether one is lost, and what it
// costs in memory. For five seconds, or CONTEST_LOAD_SECONDS, which also makes
// the promised latency count.
#include <algorithm>
#include <iostream>
#include <map>
#include <thread>

#include "absl/strings/numbers.h"
#include "services/common/temp_folder.h"
#include "services/contest/contest_environment.h"
#include "support/resident_memory.h"

namespace platform::contest {
namespace {

using namespace std::chrono_literals;
using grpccommon::MutexLock;
using grpccommon::testing::IsOk;

constexpr int kWatchers = 200;
constexpr int kChannels = 8;
constexpr int kTeams = 60;
constexpr int kProblems = 8;
constexpr int kPerSecond = 20;

// One client that watches, on gRPC's threads.
class Watcher final : public grpc::ClientReadReactor<v1::LeaderboardUpdate> {
 public:
  struct Arrival {
    std::int64_t sequence = 0;
    WallTime changed_at;
    WallTime at;
  };

  Watcher(v1::ContestService::Stub& stub, const std::string& contest,
          const std::string& who)
      : context_(ContestClient::As(who, 1h)) {
    request_.set_contest_id(contest);
    stub.async()->GetLeaderboardStream(context_.get(), &request_, this);
    StartRead(&update_);
    StartCall();
  }
  // Blocks until it knows this change.
  void WaitFor(std::int64_t sequence) {
    const MutexLock lock(mutex_);
    while (!ended_ &&
           (arrivals_.empty() || arrivals_.back().sequence < sequence)) {
      changed_.Wait(mutex_);
    }
    EXPECT_FALSE(ended_) << "it was ended";
  }
  void Cancel() {
    context_->TryCancel();
    const MutexLock lock(mutex_);
    while (!ended_) changed_.Wait(mutex_);
  }
  std::vector<std::string> Known() const {
    std::vector<v1::LeaderboardRow> rows;
    const MutexLock lock(mutex_);
    for (const auto& [user, row] : rows_) rows.push_back(row);
    std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) {
      return std::tuple(a.rank(), a.team_name()) <
             std::tuple(b.rank(), b.team_name());
    });
    return Lines(rows);
  }
  std::vector<Arrival> arrivals() const {
    const MutexLock lock(mutex_);
    return arrivals_;
  }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return;
    const auto& changed_at = update_.changed_at();
    const Arrival arrival{
        .sequence = update_.sequence(),
        .changed_at = WallTime(std::chrono::seconds(changed_at.seconds()) +
                               std::chrono::nanoseconds(changed_at.nanos())),
        .at = grpccommon::SteadyClock().WallNow()};
    {
      const MutexLock lock(mutex_);
      if (update_.snapshot()) rows_.clear();
      for (const v1::LeaderboardRow& row : update_.rows()) {
        rows_[row.user_id()] = row;
      }
      arrivals_.push_back(arrival);
    }
    changed_.NotifyAll();
    StartRead(&update_);
  }
  void OnDone(const grpc::Status& /*status*/) override {
    const MutexLock lock(mutex_);
    ended_ = true;
    changed_.NotifyAll();
  }

  const std::unique_ptr<grpc::ClientContext> context_;
  v1::GetLeaderboardRequest request_;
  v1::LeaderboardUpdate update_;
  mutable grpccommon::Mutex mutex_;
  grpccommon::CondVar changed_;
  std::map<std::string, v1::LeaderboardRow> rows_ ABSL_GUARDED_BY(mutex_);
  std::vector<Arrival> arrivals_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

double ResidentMebibytes() {
  return static_cast<double>(grpccommon::test::ResidentBytes()) / (1 << 20);
}

std::string Team(int number) { return "team" + std::to_string(number); }

TEST(ContestLoadTest, EveryWatcherGetsEveryChangeInTime) {
  int seconds = 5;
  const char* const wanted = std::getenv("CONTEST_LOAD_SECONDS");
  if (wanted != nullptr) {
    ASSERT_TRUE(absl::SimpleAtoi(wanted, &seconds));
  }

  common::TempFolder folder;
  ContestEnvironment environment;
  ContestAppOptions options = TestApp(folder / "contest.db");
  options.judging.poll_interval = 250ms;
  options.live = LiveContestsOptions();
  ContestProcess process(options, environment.registry);
  ContestClient client(process.stub());
  v1::Contest contest = environment.NewContest();
  contest.clear_problems();
  for (int i = 0; i < kProblems; ++i) {
    problem::v1::Problem problem;
    problem.set_id(grpccommon::UuidV7());
    problem.set_title("problem");
    problem.set_published(true);
    environment.backends.problems.Put(problem);
    v1::ContestProblem& added = *contest.add_problems();
    added.set_label(std::string(1, static_cast<char>('A' + i)));
    added.set_problem_id(problem.id());
  }
  contest = *client.Create(contest);
  for (int team = 0; team < kTeams; ++team) {
    ASSERT_THAT(client.Register(contest.id(), Team(team)), IsOk());
  }

  std::vector<std::unique_ptr<v1::ContestService::Stub>> stubs;
  for (int i = 0; i < kChannels; ++i) {
    grpc::ChannelArguments arguments;
    arguments.SetInt("watchers", i);  // a connection of its own
    stubs.push_back(v1::ContestService::NewStub(grpc::CreateCustomChannel(
        process.address(), grpc::InsecureChannelCredentials(), arguments)));
  }
  std::vector<std::unique_ptr<Watcher>> watchers;
  for (int i = 0; i < kWatchers; ++i) {
    watchers.push_back(std::make_unique<Watcher>(
        *stubs[static_cast<std::size_t>(i % kChannels)], contest.id(),
        "watcher" + std::to_string(i)));
  }
  for (const auto& watcher : watchers) watcher->WaitFor(1);

  double memory_early = 0;
  const auto start = std::chrono::steady_clock::now();
  const int submissions = seconds * kPerSecond;
  std::vector<std::string> ids;
  for (int i = 0; i < submissions; ++i) {
    if (i == submissions / 3) memory_early = ResidentMebibytes();
    std::this_thread::sleep_until(start + i * 1s / kPerSecond);
    const auto taken = client.Submit(
        contest.id(), Team((i * 7) % kTeams),
        (i % 3 == 0 ? "accept #" : "wrong #") + std::to_string(i),
        std::string(1, static_cast<char>('A' + (i / kTeams + i) % kProblems)));
    ASSERT_THAT(taken, IsOk());
    ids.push_back(taken->id());
  }
  const auto took = std::chrono::steady_clock::now() - start;
  for (const std::string& id : ids) {
    ASSERT_THAT(client.Judged(id, "ada author"), IsOk());
  }
  const double memory_late = ResidentMebibytes();

  // No update is lost: all know the board as it is, which is what was
  // submitted.
  const auto board = client.Board(contest.id());
  ASSERT_THAT(board, IsOk());
  const std::vector<std::string> lines = Lines(board->rows());
  for (const auto& watcher : watchers) watcher->WaitFor(board->sequence());
  for (const auto& watcher : watchers) ASSERT_EQ(watcher->Known(), lines);
  const auto store =
      ContestStore::Open({.database = folder / "contest.db"}, true);
  const auto stored = (*store)->ReadBoard(contest.id(), 0);
  const auto recomputed = (*store)->RecomputeScores(stored->contest);
  ASSERT_EQ(stored->cells.size(), recomputed->size());
  EXPECT_EQ(stored->contest.sequence, 1 + kTeams + 2 * submissions);

  // When each change was made, as far as it was the latest for somebody; how
  // long until each watcher had it.
  std::map<std::int64_t, WallTime> changes;
  for (const auto& watcher : watchers) {
    for (const Watcher::Arrival& arrival : watcher->arrivals()) {
      changes[arrival.sequence] = arrival.changed_at;
    }
  }
  changes.erase(changes.begin());  // what was there when they came
  std::vector<double> latencies;
  std::size_t updates = 0;
  for (const auto& watcher : watchers) {
    const std::vector<Watcher::Arrival> arrivals = watcher->arrivals();
    updates += arrivals.size();
    auto arrival = arrivals.begin();
    for (const auto& [sequence, at] : changes) {
      while (arrival != arrivals.end() && arrival->sequence < sequence) {
        ++arrival;
      }
      if (arrival == arrivals.end()) break;
      latencies.push_back(
          std::chrono::duration<double, std::milli>(arrival->at - at).count());
    }
    watcher->Cancel();
  }
  ASSERT_FALSE(latencies.empty());
  std::sort(latencies.begin(), latencies.end());
  const auto percentile = [&](double share) {
    return latencies[static_cast<std::size_t>(
        share * static_cast<double>(latencies.size() - 1))];
  };
  std::cout << kWatchers << " watchers, " << submissions << " submissions in "
            << std::chrono::duration<double>(took).count() << " s, "
            << changes.size() << " changes, " << updates << " updates\n"
            << "database to watcher: p50 " << percentile(0.5) << " ms, p99 "
            << percentile(0.99) << " ms, max " << latencies.back() << " ms\n"
            << "resident memory: " << memory_early << " MiB after a third, "
            << memory_late << " MiB at the end\n";
  if (wanted != nullptr) {
    EXPECT_LT(percentile(0.99), 100);
    // What the watchers and the other services of this test write down is most
    // of it: 24 bytes for each update, say.
    EXPECT_LT(memory_late - memory_early, 0.4 * seconds + 8);
  }
}

}  // namespace
}  // namespace platform::contest
