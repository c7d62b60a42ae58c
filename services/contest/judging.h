// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/random.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/log/logger.h"
#include "grpccommon/retry/backoff.h"
#include "services/contest/contest_store.h"

namespace platform::contest {

/// What is known while a submission is judged.
struct JudgeProgress {
  /// As execution.v1.ExecutionState numbers them.
  static constexpr int kQueued = 1;
  int state = 0;
  int queue_position = 0;
  int test = 0;
  int test_count = 0;
};

/// Runs a submission's program against its problem's tests, elsewhere, and does
/// not block. `done` is called once, on any thread, perhaps within the call: a
/// judgement, or why there is none, as the execution service's errors tell.
/// After `progress`, which may be called any number of times.
using Execute =
    std::function<void(const Submission& submission,
                       std::function<void(const JudgeProgress&)> progress,
                       std::function<void(absl::StatusOr<Judgement>)> done)>;

struct JudgingOptions {
  /// Of this process among those that share the database, which it keeps when
  /// it starts again.
  std::string name = "contest";
  /// Submissions that are executed at the same time, in [1, 1000].
  std::size_t max_running = 16;
  /// Of one user's, by all processes, in [1, 1000]: who submits hundreds has
  /// so many in the execution service's queue before another's first one.
  std::size_t max_running_per_user = 4;
  /// How long others wait before they take over what this process judges and
  /// does not renew, which it does three times in that time; in [1 s, 1 h].
  Duration lease = std::chrono::seconds(30);
  /// How often it is looked for submissions whose time has come or that others
  /// left behind, in [10 ms, 1 min].
  Duration poll_interval = std::chrono::milliseconds(250);
  /// Between two attempts at a submission, where the execution service does
  /// not ask for a longer wait.
  grpccommon::BackoffOptions retry = {
      .kind = grpccommon::BackoffKind::kEqualJitter,
      .initial = std::chrono::milliseconds(250),
      .max = std::chrono::seconds(30)};
  /// A submission that the execution service refuses for a reason that does not
  /// pass by itself (its problem was deleted, its language removed) is tried so
  /// often before that is believed, in [1, 1e6]: with the delays above, for
  /// three quarters of a minute.
  int max_refusals = 8;
  /// One whose execution begins and fails, or never gets a verdict, is tried so
  /// often, refusals included, in [1, 1e6]: for a quarter of an hour at least.
  int max_failures = 50;
  /// Between two attempts to store a verdict.
  Duration store_retry = std::chrono::seconds(1);
};

/// Judges what was submitted, in the background: takes the leases of pending
/// submissions from the database, by turns of their users, has them executed,
/// at most so many at a time, and records each verdict once. What could not be
/// executed is tried again with growing delay: for ever while the execution
/// service is away, full, or does not let us in, so that a submission gets no
/// verdict because of that; else so often as the options say, and then ends
/// with kInternal and the reason. None is lost, whenever this process ends.
///
/// Thread-safe.
class Judging {
 public:
  struct Listener {
    /// A submission's judgement goes on.
    std::function<void(const std::string& id, const JudgeProgress&)> progress;
    /// Its verdict was recorded, by us.
    std::function<void(const Submission& judged)> judged;
    /// It may have a verdict by somebody else.
    std::function<void(const std::string& id)> lost;
  };

  /// Store, scheduler and clock are borrowed and must outlive this.
  /// Errors: kInvalidArgument, naming the option.
  static absl::StatusOr<std::unique_ptr<Judging>> Create(
      ContestQueue& store, grpccommon::Scheduler& scheduler, Execute execute,
      Listener listener, JudgingOptions options = {},
      grpccommon::Logger logger = {},
      const grpccommon::Clock& clock = grpccommon::SteadyClock(),
      grpccommon::Random random = grpccommon::UniformRandom);
  /// Stops.
  ~Judging();

  Judging(const Judging&) = delete;
  Judging& operator=(const Judging&) = delete;

  /// Takes back what an earlier start of this process was judging, and begins.
  void Start();
  /// There is something to judge.
  void Wake();
  /// Takes no more. What is being judged goes on.
  void Drain();
  /// Takes no more, waits until nothing is executed any more (whoever executes
  /// has been told to end) and gives back what was not judged. The second call
  /// does nothing.
  void Stop();

  /// Submissions that are executed just now.
  std::size_t running() const;

 private:
  struct State;

  explicit Judging(std::shared_ptr<State> state);

  const std::shared_ptr<State> state_;
  std::optional<grpccommon::PeriodicTask> poll_;
  std::optional<grpccommon::PeriodicTask> renewal_;
};

}  // namespace platform::contest
