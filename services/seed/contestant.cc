// SPDX-License-Identifier: Apache-2.0
#include "services/seed/contestant.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "grpccommon/base/uuid.h"
#include "grpccommon/status/convert.h"

namespace platform::seed {
namespace {

using contest::v1::Leaderboard;
using contest::v1::LeaderboardRow;
using contest::v1::LeaderboardUpdate;
using std::chrono::steady_clock;
using namespace std::chrono_literals;

// Whether it is worth trying again: nobody has decided anything.
bool Passing(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsResourceExhausted(status) || absl::IsCancelled(status);
}

}  // namespace

absl::StatusOr<contest::v1::Submission> Submit(Clients& clients,
                                               const Session& who,
                                               const std::string& contest_id,
                                               const std::string& problem_label,
                                               const Solution& solution,
                                               std::chrono::seconds patience) {
  const auto give_up = steady_clock::now() + patience;
  contest::v1::SubmitSolutionRequest request;
  request.set_contest_id(contest_id);
  request.set_problem_label(problem_label);
  request.set_language(solution.language);
  request.set_source(solution.source);
  request.mutable_metadata()->set_idempotency_key(grpccommon::UuidV7());
  for (;;) {
    auto response = clients.contests().Call(
        &ContestService::Stub::SubmitSolution, request, who.Call());
    if (response.ok()) return std::move(*response->mutable_submission());
    if (!Passing(response.status()) || steady_clock::now() >= give_up) {
      return response.status();
    }
    std::this_thread::sleep_for(100ms);
  }
}

absl::StatusOr<contest::v1::Submission> AwaitVerdict(
    Clients& clients, const Session& who, const std::string& submission_id,
    std::chrono::seconds patience) {
  const auto give_up = steady_clock::now() + patience;
  contest::v1::WatchSubmissionRequest request;
  request.set_submission_id(submission_id);
  absl::Status status;
  do {
    grpccommon::CallOptions options = who.Call();
    options.timeout =
        std::max<steady_clock::duration>(give_up - steady_clock::now(), 10ms);
    const auto watch = clients.contests().Open(
        &ContestService::Stub::WatchSubmission, request, options);
    contest::v1::SubmissionUpdate update;
    while (watch->Read(&update)) {
      if (update.submission().state() == contest::v1::SUBMISSION_STATE_JUDGED) {
        return std::move(*update.mutable_submission());
      }
    }
    status = grpccommon::FromGrpcStatus(watch->Finish());
    if (!status.ok() && !Passing(status)) return status;
    std::this_thread::sleep_for(50ms);
  } while (steady_clock::now() < give_up);
  return absl::DeadlineExceededError(
      absl::StrCat("submission ", submission_id, " has no verdict after ",
                   patience.count(), " s: ", status.ToString()));
}

BoardWatch::BoardWatch(Clients& clients, Session who, std::string contest_id,
                       OnChange on_change)
    : clients_(clients),
      who_(std::move(who)),
      contest_id_(std::move(contest_id)),
      on_change_(std::move(on_change)),
      thread_([this] { Watch(); }) {}

BoardWatch::~BoardWatch() {
  cancellation_.Cancel();
  thread_.join();
}

Leaderboard BoardWatch::Get() const {
  const grpccommon::MutexLock lock(mutex_);
  return board_;
}

bool BoardWatch::WaitUntil(const std::function<bool(const Leaderboard&)>& right,
                           std::chrono::seconds patience) const {
  const auto give_up = steady_clock::now() + patience;
  const grpccommon::MutexLock lock(mutex_);
  while (!right(board_)) {
    if (!changed_.WaitUntil(mutex_, give_up)) return right(board_);
  }
  return true;
}

void BoardWatch::Watch() {
  contest::v1::GetLeaderboardRequest request;
  request.set_contest_id(contest_id_);
  while (!cancellation_.cancelled()) {
    grpccommon::CallOptions options = who_.Call();
    options.cancellation = &cancellation_;
    const auto stream = clients_.contests().Open(
        &ContestService::Stub::GetLeaderboardStream, request, options);
    LeaderboardUpdate update;
    while (stream->Read(&update)) Apply(update);
    static_cast<void>(stream->Finish());
    if (!cancellation_.cancelled()) std::this_thread::sleep_for(50ms);
  }
}

void BoardWatch::Apply(const LeaderboardUpdate& update) {
  std::map<std::string, LeaderboardRow> rows;
  Leaderboard board;
  {
    const grpccommon::MutexLock lock(mutex_);
    if (!update.snapshot()) {
      for (const LeaderboardRow& row : board_.rows()) {
        rows[row.user_id()] = row;
      }
    }
    for (const LeaderboardRow& row : update.rows()) rows[row.user_id()] = row;
    std::vector<LeaderboardRow> ranked;
    ranked.reserve(rows.size());
    for (auto& [id, row] : rows) ranked.push_back(std::move(row));
    std::stable_sort(ranked.begin(), ranked.end(),
                     [](const LeaderboardRow& a, const LeaderboardRow& b) {
                       return std::forward_as_tuple(a.rank(), a.team_name()) <
                              std::forward_as_tuple(b.rank(), b.team_name());
                     });
    board_.clear_rows();
    for (LeaderboardRow& row : ranked) *board_.add_rows() = std::move(row);
    if (update.problem_labels_size() > 0) {
      *board_.mutable_problem_labels() = update.problem_labels();
    }
    board_.set_contest_id(contest_id_);
    board_.set_sequence(update.sequence());
    board_.set_frozen(update.frozen());
    board_.set_phase(update.phase());
    board = board_;
    changed_.NotifyAll();
  }
  if (on_change_) on_change_(board, update);
}

}  // namespace platform::seed
