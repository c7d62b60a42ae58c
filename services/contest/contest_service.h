// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/validate/updatable_fields.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"
#include "platform/contest/v1/contest_service.grpc.pb.h"
#include "services/common/watch_quota.h"
#include "services/contest/backends.h"
#include "services/contest/contest_store.h"
#include "services/contest/judging.h"
#include "services/contest/live_contest.h"
#include "services/contest/submission_watches.h"

namespace platform::contest {

/// platform.contest.v1.ContestService: translates, asks the store and those
/// who judge and watch, translates back.
class ContestService final : public v1::ContestService::CallbackService {
 public:
  /// Whom it asks; all are borrowed and must outlive the calls.
  struct Parts {
    ContestQueue& store;
    Backends& backends;
    LiveContests& live;
    SubmissionWatches& watches;
    Judging& judging;
    common::WatchQuota& quota;
  };

  /// The clock is borrowed and must outlive the service.
  /// Errors: kInternal if the contract makes no sense.
  static absl::StatusOr<std::unique_ptr<ContestService>> Create(
      Parts parts, const grpccommon::Clock& clock = grpccommon::SteadyClock());

  grpc::ServerUnaryReactor* CreateContest(
      grpc::CallbackServerContext* context,
      const v1::CreateContestRequest* request,
      v1::CreateContestResponse* response) override;
  grpc::ServerUnaryReactor* GetContest(
      grpc::CallbackServerContext* context,
      const v1::GetContestRequest* request,
      v1::GetContestResponse* response) override;
  grpc::ServerUnaryReactor* ListContests(
      grpc::CallbackServerContext* context,
      const v1::ListContestsRequest* request,
      v1::ListContestsResponse* response) override;
  grpc::ServerUnaryReactor* UpdateContest(
      grpc::CallbackServerContext* context,
      const v1::UpdateContestRequest* request,
      v1::UpdateContestResponse* response) override;
  grpc::ServerUnaryReactor* RegisterForContest(
      grpc::CallbackServerContext* context,
      const v1::RegisterForContestRequest* request,
      v1::RegisterForContestResponse* response) override;
  grpc::ServerUnaryReactor* SubmitSolution(
      grpc::CallbackServerContext* context,
      const v1::SubmitSolutionRequest* request,
      v1::SubmitSolutionResponse* response) override;
  grpc::ServerUnaryReactor* GetSubmission(
      grpc::CallbackServerContext* context,
      const v1::GetSubmissionRequest* request,
      v1::GetSubmissionResponse* response) override;
  grpc::ServerUnaryReactor* ListSubmissions(
      grpc::CallbackServerContext* context,
      const v1::ListSubmissionsRequest* request,
      v1::ListSubmissionsResponse* response) override;
  grpc::ServerWriteReactor<v1::SubmissionUpdate>* WatchSubmission(
      grpc::CallbackServerContext* context,
      const v1::WatchSubmissionRequest* request) override;
  grpc::ServerUnaryReactor* GetLeaderboard(
      grpc::CallbackServerContext* context,
      const v1::GetLeaderboardRequest* request,
      v1::GetLeaderboardResponse* response) override;
  grpc::ServerWriteReactor<v1::LeaderboardUpdate>* GetLeaderboardStream(
      grpc::CallbackServerContext* context,
      const v1::GetLeaderboardRequest* request) override;
  grpc::ServerUnaryReactor* CreateAnnouncement(
      grpc::CallbackServerContext* context,
      const v1::CreateAnnouncementRequest* request,
      v1::CreateAnnouncementResponse* response) override;
  grpc::ServerUnaryReactor* ListAnnouncements(
      grpc::CallbackServerContext* context,
      const v1::ListAnnouncementsRequest* request,
      v1::ListAnnouncementsResponse* response) override;
  grpc::ServerWriteReactor<v1::Announcement>* WatchAnnouncements(
      grpc::CallbackServerContext* context,
      const v1::WatchAnnouncementsRequest* request) override;

 private:
  ContestService(Parts parts, const grpccommon::Clock& clock,
                 grpccommon::UpdatableFields updatable)
      : parts_(parts), clock_(clock), updatable_(std::move(updatable)) {}

  absl::StatusOr<Contest> Update(
      ContestStore& store, const v1::UpdateContestRequest& request,
      const Caller& caller, const std::vector<ContestProblem>& problems) const;
  v1::Contest Show(const Contest& contest, const Caller& caller) const;
  // A place for a stream of the caller's.
  template <typename Writer>
  absl::Status TakePlace(const Caller& caller,
                         const std::shared_ptr<Writer>& writer) const;

  const Parts parts_;
  const grpccommon::Clock& clock_;
  const grpccommon::UpdatableFields updatable_;
};

}  // namespace platform::contest
