// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "grpccommon/auth/credentials_interceptor.h"
#include "grpccommon/auth/token_provider.h"
#include "grpccommon/base/uuid.h"
#include "grpccommon/client/client_manager.h"
#include "grpccommon/registry/memory_registry.h"
#include "grpccommon/server/server.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/testing/recording_log_sink.h"
#include "grpccommon/testing/status_matchers.h"
#include "gtest/gtest.h"
#include "platform/contest/v1/contest_service.grpc.pb.h"
#include "services/contest/contest_app.h"
#include "services/contest/convert.h"
#include "services/contest/fake_backends.h"
#include "support/believer.h"

namespace platform::contest {

/// How the contest service calls others in tests: at once again, for tests of
/// what happens when they fail want to see that soon.
inline grpccommon::ClientManagerOptions TestClients(
    std::shared_ptr<grpccommon::Registry> registry) {
  grpccommon::ClientManagerOptions options{.registry = std::move(registry)};
  options.interceptors = {std::make_shared<grpccommon::CredentialsInterceptor>(
      *grpccommon::CreateStaticToken("service"),
      grpccommon::CredentialsInterceptorOptions{.allow_plaintext = true})};
  options.defaults.breaker.reset();
  options.defaults.discovery.ejection.reset();
  return options;
}

/// A contest service that tries everything again soon.
inline ContestAppOptions TestApp(std::string database) {
  using std::chrono::milliseconds;
  return {.database = std::move(database),
          .judging = {.poll_interval = milliseconds(20),
                      .retry = {.initial = milliseconds(5),
                                .max = milliseconds(50)}},
          .reporting = {.poll_interval = milliseconds(20),
                        .grace = milliseconds(0),
                        .retry = {.initial = milliseconds(5),
                                  .max = milliseconds(50)}},
          .live = {.poll_interval = milliseconds(50)},
          .watches = {.poll_interval = milliseconds(50)}};
}

/// One process of the contest service, with all its chain but who calls, which
/// is what the "authorization" of a call says: "<user> [role]".
class ContestProcess {
 public:
  ContestProcess(const ContestAppOptions& options,
                 std::shared_ptr<grpccommon::Registry> registry)
      : ContestProcess(options, TestClients(std::move(registry))) {}
  ContestProcess(const ContestAppOptions& options,
                 grpccommon::ClientManagerOptions clients) {
    clients_ = *grpccommon::ClientManager::Create(std::move(clients));
    grpccommon::ServerOptions server_options{.name = "contest",
                                             .grpc_address = "127.0.0.1:0"};
    server_options.log_sink = log_;
    server_options.drain_delay = std::chrono::nanoseconds(0);
    server_options.rate_limit.reset();
    server_options.concurrency.reset();
    server_options.auth.make_authenticator = [](auto&, auto&) {
      return std::make_unique<grpccommon::test::Believer>();
    };
    server_ = *grpccommon::Server::Create(std::move(server_options));
    auto app = ContestApp::Create(
        options, *clients_->Get<problem::v1::ProblemService>(),
        *clients_->Get<execution::v1::ExecutionService>(), server_->scheduler(),
        server_->logger());
    if (!app.ok()) {
      ADD_FAILURE() << app.status();
      std::abort();
    }
    app_ = *std::move(app);
    server_->Add<v1::ContestService>(app_->service()).OnDrain([this] {
      app_->Drain();
    });
    const absl::Status started = server_->Start();
    if (!started.ok()) {
      ADD_FAILURE() << started;
      std::abort();
    }
    app_->Start();
    channel_ =
        grpc::CreateChannel(address(), grpc::InsecureChannelCredentials());
    stub_ = v1::ContestService::NewStub(channel_);
  }
  ~ContestProcess() {
    server_->Shutdown(std::chrono::nanoseconds(0), std::chrono::seconds(1));
    app_.reset();
    clients_.reset();
    server_.reset();
  }

  v1::ContestService::Stub& stub() { return *stub_; }
  ContestApp& app() { return *app_; }
  grpccommon::Server& server() { return *server_; }
  grpccommon::testing::RecordingLogSink& log() { return *log_; }
  std::string address() const {
    return "127.0.0.1:" + std::to_string(server_->grpc_port());
  }

 private:
  std::shared_ptr<grpccommon::testing::RecordingLogSink> log_ =
      std::make_shared<grpccommon::testing::RecordingLogSink>();
  std::unique_ptr<grpccommon::ClientManager> clients_;
  std::unique_ptr<grpccommon::Server> server_;
  std::unique_ptr<ContestApp> app_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::ContestService::Stub> stub_;
};

/// What a client of the contest service does.
class ContestClient {
 public:
  explicit ContestClient(v1::ContestService::Stub& stub) : stub_(stub) {}

  // Long enough for a machine that has much else to do.
  static std::unique_ptr<grpc::ClientContext> As(
      const std::string& who,
      std::chrono::seconds timeout = std::chrono::minutes(3)) {
    auto context = std::make_unique<grpc::ClientContext>();
    if (!who.empty()) context->AddMetadata("authorization", who);
    context->set_deadline(std::chrono::system_clock::now() + timeout);
    return context;
  }

  /// Any unary method: `Call(&Stub::GetContest, request, "bob")`.
  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(
      grpc::Status (v1::ContestService::Stub::*method)(grpc::ClientContext*,
                                                       const Request&,
                                                       Response*),
      const Request& request, const std::string& who) {
    Response response;
    const grpc::Status status =
        (stub_.*method)(As(who).get(), request, &response);
    if (!status.ok()) return grpccommon::FromGrpcStatus(status);
    return response;
  }

  absl::StatusOr<v1::Contest> Create(const v1::Contest& contest,
                                     const std::string& who = "ada author") {
    v1::CreateContestRequest request;
    *request.mutable_contest() = contest;
    auto response =
        Call(&v1::ContestService::Stub::CreateContest, request, who);
    if (!response.ok()) return response.status();
    return response->contest();
  }
  absl::StatusOr<v1::GetContestResponse> Get(const std::string& id,
                                             const std::string& who = "bob") {
    v1::GetContestRequest request;
    request.set_contest_id(id);
    return Call(&v1::ContestService::Stub::GetContest, request, who);
  }
  absl::StatusOr<v1::Contest> Update(const v1::Contest& contest,
                                     const std::vector<std::string>& paths,
                                     const std::string& who = "ada author") {
    v1::UpdateContestRequest request;
    *request.mutable_contest() = contest;
    for (const std::string& path : paths) {
      request.mutable_update_mask()->add_paths(path);
    }
    auto response =
        Call(&v1::ContestService::Stub::UpdateContest, request, who);
    if (!response.ok()) return response.status();
    return response->contest();
  }
  absl::StatusOr<v1::RegisterForContestResponse> Register(
      const std::string& contest, const std::string& who,
      const std::string& team = "") {
    v1::RegisterForContestRequest request;
    request.set_contest_id(contest);
    request.set_team_name(team);
    return Call(&v1::ContestService::Stub::RegisterForContest, request, who);
  }
  absl::StatusOr<v1::Submission> Submit(const std::string& contest,
                                        const std::string& who,
                                        const std::string& source,
                                        const std::string& label = "A",
                                        const std::string& key = "",
                                        const std::string& language = "c") {
    v1::SubmitSolutionRequest request;
    request.set_contest_id(contest);
    request.set_problem_label(label);
    request.set_language(language);
    request.set_source(source);
    request.mutable_metadata()->set_idempotency_key(key);
    auto response =
        Call(&v1::ContestService::Stub::SubmitSolution, request, who);
    if (!response.ok()) return response.status();
    return response->submission();
  }
  absl::StatusOr<v1::Submission> GetSubmission(const std::string& id,
                                               const std::string& who) {
    v1::GetSubmissionRequest request;
    request.set_submission_id(id);
    auto response =
        Call(&v1::ContestService::Stub::GetSubmission, request, who);
    if (!response.ok()) return response.status();
    return response->submission();
  }
  absl::StatusOr<v1::Leaderboard> Board(const std::string& contest,
                                        const std::string& who = "bob") {
    v1::GetLeaderboardRequest request;
    request.set_contest_id(contest);
    auto response =
        Call(&v1::ContestService::Stub::GetLeaderboard, request, who);
    if (!response.ok()) return response.status();
    return response->leaderboard();
  }
  /// Watches until the verdict; all updates, or how the stream ended instead.
  absl::StatusOr<std::vector<v1::SubmissionUpdate>> Judged(
      const std::string& id, const std::string& who) {
    const auto context = As(who);
    v1::WatchSubmissionRequest request;
    request.set_submission_id(id);
    const auto reader = stub_.WatchSubmission(context.get(), request);
    std::vector<v1::SubmissionUpdate> updates;
    v1::SubmissionUpdate update;
    while (reader->Read(&update)) updates.push_back(update);
    const grpc::Status status = reader->Finish();
    if (!status.ok()) return grpccommon::FromGrpcStatus(status);
    return updates;
  }

 private:
  v1::ContestService::Stub& stub_;
};

/// A board as its rows read: "1 bob 2:45 | +10/1 ?0/1 -0/0" for rank, team,
/// solved, penalty and, of each problem, whether it is solved ('*': first),
/// waits for a verdict or not, the minutes or wrong ones, and what is pending.
inline std::string Line(const v1::LeaderboardRow& row) {
  std::string line = std::to_string(row.rank()) + " " + row.team_name() + " " +
                     std::to_string(row.solved()) + ":" +
                     std::to_string(row.penalty_minutes()) + " |";
  for (const v1::LeaderboardCell& cell : row.cells()) {
    line += cell.solved() ? (cell.first() ? " *" : " +") : " -";
    if (cell.solved()) line += std::to_string(cell.solved_minutes());
    line += "/" + std::to_string(cell.wrong()) + "/" +
            std::to_string(cell.pending());
  }
  return line;
}
template <typename Rows>
std::vector<std::string> Lines(const Rows& rows) {
  std::vector<std::string> lines;
  for (const v1::LeaderboardRow& row : rows) lines.push_back(Line(row));
  return lines;
}

/// Problems "A" (any language) and "B" (C and C++; perhaps only to be seen by
/// ada), and a contest of them that has run for ten minutes, of five hours.
class ContestEnvironment {
 public:
  explicit ContestEnvironment(bool with_draft = true) {
    for (const auto& [id, title] :
         {std::pair(&problem_a, "Apples"), std::pair(&problem_b, "Bananas")}) {
      *id = grpccommon::UuidV7();
      problem::v1::Problem problem;
      problem.set_id(*id);
      problem.set_title(title);
      problem.set_published(id == &problem_a || !with_draft);
      problem.set_author_id("ada");
      if (id == &problem_b) {
        problem.add_languages("c");
        problem.add_languages("cpp");
      }
      problem.set_tests_version(7);
      backends.problems.Put(problem);
    }
  }

  v1::Contest NewContest(std::chrono::minutes begun = std::chrono::minutes(10),
                         std::chrono::minutes length = std::chrono::hours(5)) {
    v1::Contest contest;
    contest.set_title("Finals");
    const WallTime start = grpccommon::SteadyClock().WallNow() - begun;
    SetTime(start, *contest.mutable_starts_at());
    SetTime(start + length, *contest.mutable_ends_at());
    for (const auto& [label, id] :
         {std::pair("A", problem_a), std::pair("B", problem_b)}) {
      v1::ContestProblem& problem = *contest.add_problems();
      problem.set_label(label);
      problem.set_problem_id(id);
    }
    return contest;
  }

  std::unique_ptr<grpccommon::Scheduler> scheduler =
      grpccommon::CreateScheduler();
  std::shared_ptr<grpccommon::Registry> registry =
      grpccommon::CreateMemoryRegistry(*scheduler);
  FakeBackends backends{*registry};
  std::string problem_a;
  std::string problem_b;
};

}  // namespace platform::contest
