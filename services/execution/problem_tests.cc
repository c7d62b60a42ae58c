// SPDX-License-Identifier: Apache-2.0
#include "services/execution/problem_tests.h"

#include <algorithm>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/status/details.h"

namespace platform::execution {
namespace {

using grpccommon::CheckRange;
using grpccommon::Clock;
using grpccommon::MutexLock;
using problem::v1::Problem;
using problem::v1::TestCase;

constexpr std::string_view kDomain = "platform.execution";

// While the problem service is away, it is asked so often.
constexpr std::chrono::nanoseconds kRetryInterval = std::chrono::seconds(1);

absl::Status Unavailable(const std::string& why) {
  return grpccommon::WithReason(
      grpccommon::WithRetryDelay(
          absl::UnavailableError(absl::StrCat(
              "the tests of the problem could not be fetched: ", why)),
          kRetryInterval),
      "TESTS_UNAVAILABLE", kDomain);
}

// What callers get. That the problem service does not let us in is not theirs
// to know about.
absl::Status ForCallers(const absl::Status& status, const std::string& id) {
  if (absl::IsNotFound(status)) return grpccommon::NotFound("problem", id);
  if (absl::IsFailedPrecondition(status)) return status;
  if (absl::IsUnavailable(status) &&
      grpccommon::ReasonOf(status) == "TESTS_UNAVAILABLE") {
    return status;
  }
  return Unavailable(absl::StatusCodeToString(status.code()));
}

// Whether it speaks of the problem itself.
bool IsAnswer(const absl::Status& status) {
  return absl::IsNotFound(status) || absl::IsFailedPrecondition(status);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ProblemTests>> ProblemTests::Create(
    ProblemSource& source, const ProblemTestsOptions& options,
    const ExecutionMetrics& metrics, const Clock& clock) {
  absl::Status valid =
      CheckRange("max_bytes", static_cast<double>(options.max_bytes), 1, 1e15);
  valid.Update(CheckRange("max_age", options.max_age,
                          std::chrono::nanoseconds(0), std::chrono::hours(1)));
  if (!valid.ok()) return valid;
  return absl::WrapUnique(new ProblemTests(source, options, metrics, clock));
}

ProblemTests::ProblemTests(ProblemSource& source,
                           const ProblemTestsOptions& options,
                           const ExecutionMetrics& metrics, const Clock& clock)
    : source_(source), options_(options), metrics_(metrics), clock_(clock) {}

void ProblemTests::Get(const std::string& id, std::int64_t min_version,
                       Done done) {
  std::shared_ptr<const TestSuite> suite;
  {
    const MutexLock lock(mutex_);
    const auto found = entries_.find(id);
    if (found != entries_.end()) {
      Entry& entry = found->second;
      uses_.splice(uses_.begin(), uses_, entry.use);
      if (entry.suite->tests_version >= min_version &&
          clock_.Now() - entry.checked_at <= options_.max_age) {
        suite = entry.suite;
      }
    }
    if (suite == nullptr) {
      const auto [waiters, first] = waiters_.try_emplace(id);
      waiters->second.push_back({.min_version = min_version,
                                 .done = std::move(done),
                                 .late = !first});
      if (!first) {
        metrics_.tests.shared->Increment();
        return;
      }
    }
  }
  if (suite != nullptr) {
    metrics_.tests.hit->Increment();
    // Moved only without a suite.  NOLINTNEXTLINE(bugprone-use-after-move)
    done(std::move(suite));
  } else {
    metrics_.tests.miss->Increment();
    Fetch(id);
  }
}

void ProblemTests::Fetch(const std::string& id) {
  source_.GetProblem(id, [this, id](absl::StatusOr<Problem> problem) {
    if (problem.ok()) {
      OnProblem(id, *std::move(problem));
    } else {
      Finish(id, problem.status());
    }
  });
}

void ProblemTests::OnProblem(const std::string& id, Problem problem) {
  bool current = false;
  {
    const MutexLock lock(mutex_);
    const auto found = entries_.find(id);
    if (found != entries_.end() &&
        found->second.problem_version == problem.version() &&
        found->second.suite->tests_version == problem.tests_version()) {
      found->second.checked_at = clock_.Now();
      current = true;
    }
  }
  if (current) return Finish(id, absl::OkStatus());
  source_.ListTestCases(id, [this, id, problem = std::move(problem)](
                                absl::StatusOr<std::vector<TestCase>> cases) {
    if (cases.ok()) {
      OnTestCases(id, problem, *std::move(cases));
    } else {
      Finish(id, cases.status());
    }
  });
}

void ProblemTests::OnTestCases(const std::string& id, const Problem& problem,
                               std::vector<TestCase> cases) {
  if (cases.empty()) {
    return Finish(
        id, grpccommon::WithReason(absl::FailedPreconditionError(
                                       "the problem has no test cases yet"),
                                   "PROBLEM_HAS_NO_TESTS", kDomain));
  }
  const auto suite = std::make_shared<TestSuite>();
  suite->tests.reserve(cases.size());
  for (TestCase& test : cases) {
    suite->tests.push_back(
        {.input = std::move(*test.mutable_input()),
         .expected_output = std::move(*test.mutable_expected_output())});
  }
  suite->limits = ToRunLimits(problem.limits());
  suite->checker = ToChecker(problem.checker());
  suite->tests_version = cases.front().tests_version();
  suite->languages = {problem.languages().begin(), problem.languages().end()};
  const std::size_t bytes = suite->ByteSize();
  std::vector<std::shared_ptr<const TestSuite>> evicted;  // without the lock
  {
    const MutexLock lock(mutex_);
    EraseLocked(id);
    uses_.push_front(id);
    entries_[id] = {.suite = suite,
                    .bytes = bytes,
                    .problem_version = problem.version(),
                    .checked_at = clock_.Now(),
                    .use = uses_.begin()};
    bytes_ += bytes;
    while (bytes_ > options_.max_bytes && entries_.size() > 1) {
      evicted.push_back(entries_[uses_.back()].suite);
      EraseLocked(std::string(uses_.back()));
    }
  }
  Finish(id, absl::OkStatus());
}

void ProblemTests::Finish(const std::string& id, const absl::Status& fetched) {
  std::shared_ptr<const TestSuite> suite;
  std::vector<Waiter> served;
  bool again = false;
  {
    const MutexLock lock(mutex_);
    auto waiters = waiters_.extract(id);
    if (IsAnswer(fetched)) EraseLocked(id);
    const auto found = entries_.find(id);
    if (found != entries_.end()) {
      suite = found->second.suite;
      if (!fetched.ok()) {
        found->second.checked_at = clock_.Now() - options_.max_age +
                                   std::min(options_.max_age, kRetryInterval);
      }
    }
    for (Waiter& waiter : waiters.mapped()) {
      const bool old =
          suite == nullptr || suite->tests_version < waiter.min_version;
      if (fetched.ok() && old && waiter.late) {
        // Its version may have come while the fetch was under way.
        waiter.late = false;
        waiters_[id].push_back(std::move(waiter));
        again = true;
      } else {
        served.push_back(std::move(waiter));
      }
    }
  }
  for (Waiter& waiter : served) {
    if (suite != nullptr && suite->tests_version >= waiter.min_version) {
      waiter.done(suite);
    } else if (fetched.ok()) {
      waiter.done(
          Unavailable(absl::StrCat("the problem service has version ",
                                   suite != nullptr ? suite->tests_version : 0,
                                   " of them, not ", waiter.min_version)));
    } else {
      waiter.done(ForCallers(fetched, id));
    }
  }
  if (again) Fetch(id);
}

void ProblemTests::EraseLocked(const std::string& id) {
  const auto found = entries_.find(id);
  if (found == entries_.end()) return;
  bytes_ -= found->second.bytes;
  uses_.erase(found->second.use);
  entries_.erase(found);
}

std::size_t ProblemTests::bytes() const {
  const MutexLock lock(mutex_);
  return bytes_;
}

}  // namespace platform::execution
