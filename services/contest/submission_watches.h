// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/stream/writer.h"
#include "platform/contest/v1/contest_service.pb.h"
#include "services/contest/contest_store.h"
#include "services/contest/judging.h"

namespace platform::contest {

struct SubmissionWatchesOptions {
  /// How often verdicts by other processes are looked for.
  Duration poll_interval = std::chrono::milliseconds(500);
  std::size_t max_watches = 10'000;
};

/// Who watches the judgement of a submission. Thread-safe.
///
/// At the end: `Close`, then the store, then this.
class SubmissionWatches {
 public:
  using Writer = grpccommon::StreamWriter<v1::SubmissionUpdate>;

  /// All are borrowed; scheduler and clock must outlive this.
  SubmissionWatches(ContestQueue& store, grpccommon::Scheduler& scheduler,
                    SubmissionWatchesOptions options = {},
                    const grpccommon::Clock& clock = grpccommon::SteadyClock());

  /// Adds a stream, which is told nothing but the verdict before `Start`.
  /// Errors: kResourceExhausted, and the status of `Close` after that.
  absl::Status Add(const std::string& id,
                   const std::shared_ptr<Writer>& writer);
  /// Tells the stream how its submission was after it had been added, and from
  /// here on what comes.
  void Start(const std::shared_ptr<Writer>& writer,
             const Submission& submission);

  /// A step of judging.
  void Tell(const std::string& id, const JudgeProgress& progress);
  /// The verdict; ends the submission's streams.
  void Tell(const Submission& judged);
  /// The submission may have its verdict: looks.
  void Look(const std::string& id);

  /// Ends all streams, also those to come, with `status`.
  void Close(const absl::Status& status);
  std::size_t watches() const;

 private:
  using Update = std::shared_ptr<const v1::SubmissionUpdate>;

  struct Watch {
    std::shared_ptr<Writer> writer;
    bool started = false;
  };
  struct Watched {
    std::vector<Watch> watches;
    // Without its texts, for the steps; null before the first `Start`.
    std::shared_ptr<const v1::Submission> submission;
    std::optional<JudgeProgress> progress;
    // For those who start after the verdict; null before it.
    Update verdict;
  };
  struct Delivery {
    std::shared_ptr<Writer> writer;
    Update update;
    bool last = false;
  };
  // Streams may outlive this, and take themselves out when they end.
  struct State {
    mutable grpccommon::Mutex mutex;
    std::map<std::string, Watched, std::less<>> watched ABSL_GUARDED_BY(mutex);
    std::size_t watches ABSL_GUARDED_BY(mutex) = 0;
    absl::Status closed ABSL_GUARDED_BY(mutex);
    // Streams are written to without the lock, by one thread at a time, so
    // that each gets its steps in order.
    std::deque<Delivery> deliveries ABSL_GUARDED_BY(mutex);
    bool delivering ABSL_GUARDED_BY(mutex) = false;

    void Remove(const std::string& id, const Writer* writer);
    void Deliver();
  };

  void Poll();

  ContestQueue& store_;
  const SubmissionWatchesOptions options_;
  const grpccommon::Clock& clock_;
  const std::shared_ptr<State> state_ = std::make_shared<State>();
  std::optional<grpccommon::PeriodicTask> poll_;
};

}  // namespace platform::contest
