// SPDX-License-Identifier: Apache-2.0
#pragma once

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
#include "grpccommon/base/mutex.h"
#include "grpccommon/log/logger.h"
#include "services/execution/execution_metrics.h"
#include "services/execution/languages.h"
#include "services/execution/sandbox/sandbox.h"

namespace platform::execution {

/// What came of building a source.
struct Program {
  /// Null if the source has errors.
  std::shared_ptr<SandboxWorkspace> workspace;
  /// What the compiler said, shortened, in UTF-8.
  std::string compiler_output;
};

struct ProgramCacheOptions {
  /// Programs that are kept, at least 1; the least recently used one goes.
  std::size_t max_programs = 500;
  /// Of their files, at least 1.
  std::int64_t max_bytes = std::int64_t{1} << 30;
};

/// Builds programs and keeps them, so that fifty runs of one source compile it
/// once; those that come while it is being built wait for the same build. Also
/// keeps what compilers refused, but not what they could not finish in time.
///
/// Programs are told apart by SHA-256 of language and source. That they are
/// shared between callers is safe, since a run cannot write to /program.
///
/// Thread-safe.
class ProgramCache {
 public:
  /// kInternal: the sandbox failed; kCancelled.
  using Done =
      std::function<void(absl::StatusOr<std::shared_ptr<const Program>>)>;
  /// Never used twice, never 0.
  using RequestId = std::uint64_t;

  /// All are borrowed and must outlive the cache, which must outlive its
  /// builds.
  ProgramCache(Sandbox& sandbox, const ProgramCacheOptions& options,
               const ExecutionMetrics& metrics, grpccommon::Logger logger);
  ProgramCache(const ProgramCache&) = delete;
  ProgramCache& operator=(const ProgramCache&) = delete;

  /// `done` is called exactly once: on this thread if the program is known,
  /// else on one of the sandbox.
  RequestId Get(const Language& language, const std::string& source, Done done);

  /// Calls the request's `done` with kCancelled, unless it was called: at once
  /// if others wait for the same program, else when its build has ended.
  void Cancel(RequestId request);

  /// Programs that are kept, and the bytes of their files.
  std::size_t programs() const;
  std::int64_t bytes() const;

 private:
  struct Waiter {
    RequestId id = 0;
    Done done;
  };
  // Goes on when its last waiter has gone, until the sandbox says that it has
  // ended.
  struct Build {
    std::string key;
    std::shared_ptr<SandboxWorkspace> workspace;
    // Until the sandbox has said which it is.
    Sandbox::RunId run = 0;
    bool cancelled = false;
    std::vector<Waiter> waiters;
  };
  struct Built {
    std::string key;
    std::shared_ptr<const Program> program;
    std::int64_t bytes = 0;
  };

  // A build that the sandbox failed is made once more, if `again`.
  void Start(const Language& language, const std::string& source,
             const std::shared_ptr<Build>& build, bool again);
  void Finish(const std::shared_ptr<Build>& build,
              absl::StatusOr<std::shared_ptr<const Program>> program,
              bool keep);
  absl::StatusOr<std::shared_ptr<const Program>> Judge(
      const Build& build, const SandboxResult& result) const;

  Sandbox& sandbox_;
  const ProgramCacheOptions options_;
  const ExecutionMetrics& metrics_;
  const grpccommon::Logger logger_;

  mutable grpccommon::Mutex mutex_;
  RequestId last_request_ ABSL_GUARDED_BY(mutex_) = 0;
  std::unordered_map<std::string, std::shared_ptr<Build>> builds_
      ABSL_GUARDED_BY(mutex_);
  std::unordered_map<RequestId, std::shared_ptr<Build>> requests_
      ABSL_GUARDED_BY(mutex_);
  // The most recently used one first.
  std::list<Built> built_ ABSL_GUARDED_BY(mutex_);
  std::unordered_map<std::string, std::list<Built>::iterator> known_
      ABSL_GUARDED_BY(mutex_);
  std::int64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace platform::execution
