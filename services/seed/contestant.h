// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/call/cancellation.h"
#include "platform/contest/v1/contest_service.pb.h"
#include "services/seed/clients.h"
#include "services/seed/content.h"

namespace platform::seed {

/// Sends a solution, under one idempotency key, until the contest service has
/// acknowledged or refused it.
/// Errors: the refusal's; the last one's when `patience` is over.
absl::StatusOr<contest::v1::Submission> Submit(
    Clients& clients, const Session& who, const std::string& contest_id,
    const std::string& problem_label, const Solution& solution,
    std::chrono::seconds patience = std::chrono::seconds(30));

/// Watches a submission, as often as it takes, until it is judged.
/// Errors: kDeadlineExceeded when `patience` is over.
absl::StatusOr<contest::v1::Submission> AwaitVerdict(
    Clients& clients, const Session& who, const std::string& submission_id,
    std::chrono::seconds patience = std::chrono::seconds(90));

/// The board as somebody sees it who watches, from the stream alone; comes back
/// when the stream breaks.
class BoardWatch {
 public:
  /// Called after each update, on the watch's own thread.
  using OnChange = std::function<void(const contest::v1::Leaderboard&,
                                      const contest::v1::LeaderboardUpdate&)>;

  /// `clients` is borrowed and must outlive the watch.
  BoardWatch(Clients& clients, Session who, std::string contest_id,
             OnChange on_change = {});
  ~BoardWatch();

  contest::v1::Leaderboard Get() const;
  /// Waits until the board is as it should be; false: `patience` was over.
  bool WaitUntil(
      const std::function<bool(const contest::v1::Leaderboard&)>& right,
      std::chrono::seconds patience) const;

 private:
  void Watch();
  void Apply(const contest::v1::LeaderboardUpdate& update);

  Clients& clients_;
  const Session who_;
  const std::string contest_id_;
  const OnChange on_change_;
  grpccommon::Cancellation cancellation_;
  mutable grpccommon::Mutex mutex_;
  mutable grpccommon::CondVar changed_;
  contest::v1::Leaderboard board_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace platform::seed
