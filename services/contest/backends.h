// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/call/cancellation.h"
#include "grpccommon/client/client.h"
#include "platform/execution/v1/execution_service.grpc.pb.h"
#include "platform/problem/v1/problem_service.grpc.pb.h"
#include "services/contest/contest_store.h"
#include "services/contest/judging.h"

namespace grpccommon {
class ServerCall;
}

namespace platform::contest {

using ProblemClient = grpccommon::Client<problem::v1::ProblemService>;
using ExecutionClient = grpccommon::Client<execution::v1::ExecutionService>;

struct BackendsOptions {
  /// What is known of a problem, or of the languages, is asked for anew after
  /// this long, without anybody's waiting for it.
  Duration max_age = std::chrono::seconds(30);
  /// How long somebody waits for what is not known at all.
  Duration timeout = std::chrono::seconds(3);
};

/// What a submission needs to know of its problem.
struct ProblemInfo {
  std::string title;
  /// In which it may be solved; empty: all.
  std::vector<std::string> languages;
  std::int64_t tests_version = 0;
};

/// The services that this one calls: problem and execution. Nothing blocks;
/// callbacks come on threads of the clients, or within the call.
///
/// Thread-safe. Calls that are under way end with it.
class Backends {
 public:
  /// The clients are shared, the clock is borrowed.
  Backends(std::shared_ptr<ProblemClient> problems,
           std::shared_ptr<ExecutionClient> executions,
           BackendsOptions options = {},
           const grpccommon::Clock& clock = grpccommon::SteadyClock());
  /// Ends what is under way, and waits for that.
  ~Backends();

  Backends(const Backends&) = delete;
  Backends& operator=(const Backends&) = delete;

  /// Completes `problems` (title, languages) with what the caller of `call` may
  /// see, by their credential. `call` lives until `done` is called.
  /// Errors: kNotFound, naming the problem; kUnavailable.
  void Complete(
      const grpccommon::ServerCall* call, std::vector<ContestProblem> problems,
      std::function<void(absl::StatusOr<std::vector<ContestProblem>>)> done);

  /// Whether a solution of `problem` may be written in `language`, as the
  /// problem has it now or, while its service does not answer, had it when the
  /// contest took it.
  /// Errors: kInvalidArgument for an unknown language; kFailedPrecondition,
  /// reason LANGUAGE_NOT_ALLOWED; kUnavailable if the languages are not known.
  void CheckLanguage(const ContestProblem& problem, const std::string& language,
                     std::function<void(const absl::Status&)> done);

  /// As contest::Execute and contest::Tell have it.
  void RunTests(const Submission& submission,
                std::function<void(const JudgeProgress&)> progress,
                std::function<void(absl::StatusOr<Judgement>)> done);
  void RecordVerdict(const Report& report,
                     std::function<void(const absl::Status&)> done);

  /// Ends all executions, which are then judged later or elsewhere.
  void Cancel() { cancellation_.Cancel(); }

 private:
  // Something that is fetched by one call for all who want it, and kept.
  template <typename Value>
  struct Cached {
    // The latest that came; null: none yet.
    std::shared_ptr<const Value> value;
    // When the latest answer or failure came.
    std::optional<grpccommon::Clock::TimePoint> answered_at;
    bool fetching = false;
    std::vector<std::function<void(std::shared_ptr<const Value>)>> waiting;
  };
  using Languages = std::set<std::string>;
  class Run;

  // Hands `use` the value, at once or when it has come; null if there is none.
  // With `fresh`, not one from long ago.
  template <typename Value>
  void Want(Cached<Value>& cached, bool fresh,
            const std::function<void()>& fetch,
            std::function<void(std::shared_ptr<const Value>)> use)
      ABSL_LOCKS_EXCLUDED(mutex_);
  template <typename Value>
  void Fetched(Cached<Value>& cached, std::shared_ptr<const Value> value)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void FetchProblem(const std::string& id, Cached<ProblemInfo>& cached);
  void WantLanguages(bool fresh,
                     std::function<void(std::shared_ptr<const Languages>)> use);
  void CheckKnown(const std::string& language, bool allowed, bool fresh,
                  std::function<void(const absl::Status&)> done);
  // Between the two, a call is under way.
  void Begin();
  void End();

  const std::shared_ptr<ProblemClient> problems_;
  const std::shared_ptr<ExecutionClient> executions_;
  const BackendsOptions options_;
  const grpccommon::Clock& clock_;
  grpccommon::Cancellation cancellation_;

  grpccommon::Mutex mutex_;
  grpccommon::CondVar ended_;
  int running_ ABSL_GUARDED_BY(mutex_) = 0;
  // Of the problems that solutions came for; entries stay where they are, and
  // each is changed under the lock.
  std::map<std::string, Cached<ProblemInfo>> known_problems_
      ABSL_GUARDED_BY(mutex_);
  Cached<Languages> languages_;
};

}  // namespace platform::contest
