// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/mutex.h"
#include "platform/problem/v1/problem_service.pb.h"
#include "services/execution/execution_metrics.h"
#include "services/execution/test_suite.h"

namespace platform::execution {

/// Where problems are. Thread-safe; `done` is called exactly once, on any
/// thread, perhaps before the method returns.
class ProblemSource {
 public:
  virtual ~ProblemSource() = default;

  virtual void GetProblem(
      const std::string& id,
      std::function<void(absl::StatusOr<problem::v1::Problem>)> done) = 0;
  /// All of them, hidden ones included, of one version.
  virtual void ListTestCases(
      const std::string& id,
      std::function<void(absl::StatusOr<std::vector<problem::v1::TestCase>>)>
          done) = 0;
};

struct ProblemTestsOptions {
  /// Of the suites that are kept, at least 1; one that is larger is kept alone.
  std::size_t max_bytes = std::size_t{256} << 20;
  /// For so long a suite is used without asking whether it is still the
  /// current one, in [0, 1 h].
  std::chrono::nanoseconds max_age = std::chrono::seconds(10);
};

/// The test suites of problems, kept in memory. A suite that was looked at
/// longer than `max_age` ago is used if the problem has still the same
/// versions, else it is read anew. While the problem service is away, what is
/// known goes on being used, unless somebody needs a newer one.
///
/// Thread-safe.
class ProblemTests {
 public:
  using Done =
      std::function<void(absl::StatusOr<std::shared_ptr<const TestSuite>>)>;

  /// All are borrowed; they must outlive the cache, which must outlive its
  /// requests. Errors: kInvalidArgument, naming the option.
  static absl::StatusOr<std::unique_ptr<ProblemTests>> Create(
      ProblemSource& source, const ProblemTestsOptions& options,
      const ExecutionMetrics& metrics,
      const grpccommon::Clock& clock = grpccommon::SteadyClock());
  ProblemTests(const ProblemTests&) = delete;
  ProblemTests& operator=(const ProblemTests&) = delete;

  /// The suite, with test cases at least as new as `min_version`. `done` is
  /// called exactly once: on this thread if the suite is known, else on one of
  /// the source. Requests for one problem share the answer.
  /// Errors: kNotFound; kFailedPrecondition, reason PROBLEM_HAS_NO_TESTS; else
  /// kUnavailable, reason TESTS_UNAVAILABLE.
  void Get(const std::string& problem_id, std::int64_t min_version, Done done);

  std::size_t bytes() const;

 private:
  struct Waiter {
    std::int64_t min_version = 0;
    Done done;
    // It came while the fetch was under way, whose answer may be too old.
    bool late = false;
  };
  struct Entry {
    std::shared_ptr<const TestSuite> suite;
    std::size_t bytes = 0;
    std::int64_t problem_version = 0;
    grpccommon::Clock::TimePoint checked_at;
    std::list<std::string>::iterator use;
  };
  ProblemTests(ProblemSource& source, const ProblemTestsOptions& options,
               const ExecutionMetrics& metrics, const grpccommon::Clock& clock);

  void Fetch(const std::string& id);
  void OnProblem(const std::string& id, problem::v1::Problem problem);
  void OnTestCases(const std::string& id, const problem::v1::Problem& problem,
                   std::vector<problem::v1::TestCase> cases);
  // Ends a fetch, whose suite, if it is OK, is the entry's by now.
  void Finish(const std::string& id, const absl::Status& fetched);
  void EraseLocked(const std::string& id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  ProblemSource& source_;
  const ProblemTestsOptions options_;
  const ExecutionMetrics& metrics_;
  const grpccommon::Clock& clock_;

  mutable grpccommon::Mutex mutex_;
  std::unordered_map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  // The most recently used one first.
  std::list<std::string> uses_ ABSL_GUARDED_BY(mutex_);
  std::size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  // Of fetches under way.
  std::unordered_map<std::string, std::vector<Waiter>> waiters_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace platform::execution
