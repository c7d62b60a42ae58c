// SPDX-License-Identifier: Apache-2.0
#include "services/contest/submission_watches.h"

#include <algorithm>
#include <utility>

#include "grpccommon/status/details.h"
#include "services/contest/convert.h"

namespace platform::contest {
namespace {

using grpccommon::MutexLock;

// How far back verdicts are looked for: clocks differ, and a look may have
// failed.
constexpr auto kLookBack = std::chrono::seconds(30);

v1::SubmissionUpdate ToUpdate(const v1::Submission& submission,
                              const std::optional<JudgeProgress>& progress) {
  v1::SubmissionUpdate update;
  *update.mutable_submission() = submission;
  if (!progress.has_value()) return update;
  update.set_execution_state(
      static_cast<execution::v1::ExecutionState>(progress->state));
  update.set_queue_position(progress->queue_position);
  update.set_test(progress->test);
  update.set_test_count(progress->test_count);
  return update;
}

}  // namespace

SubmissionWatches::SubmissionWatches(ContestQueue& store,
                                     grpccommon::Scheduler& scheduler,
                                     SubmissionWatchesOptions options,
                                     const grpccommon::Clock& clock)
    : store_(store), options_(options), clock_(clock) {
  poll_.emplace(scheduler, options_.poll_interval, [this] { Poll(); });
}

absl::Status SubmissionWatches::Add(const std::string& id,
                                    const std::shared_ptr<Writer>& writer) {
  {
    const MutexLock lock(state_->mutex);
    if (!state_->closed.ok()) return state_->closed;
    if (state_->watches >= options_.max_watches) {
      return grpccommon::Exhausted("TOO_MANY_WATCHERS", "watchers",
                                   "too many submissions are watched",
                                   std::chrono::seconds(5));
    }
    state_->watched[id].watches.push_back({.writer = writer});
    ++state_->watches;
  }
  writer->WhenDone(
      [weak = std::weak_ptr<State>(state_), id, ended = writer.get()] {
        if (const auto state = weak.lock()) state->Remove(id, ended);
      });
  return absl::OkStatus();
}

void SubmissionWatches::State::Remove(const std::string& id,
                                      const Writer* writer) {
  std::vector<Watch> removed;  // go without the lock
  const MutexLock lock(mutex);
  const auto entry = watched.find(id);
  if (entry == watched.end()) return;
  std::vector<Watch>& all = entry->second.watches;
  const auto gone = std::find_if(
      all.begin(), all.end(),
      [&](const Watch& watch) { return watch.writer.get() == writer; });
  if (gone == all.end()) return;
  removed.push_back(std::move(*gone));
  all.erase(gone);
  --watches;
  if (all.empty()) watched.erase(entry);
}

void SubmissionWatches::State::Deliver() {
  for (bool first = true;; first = false) {
    Delivery next;
    {
      const MutexLock lock(mutex);
      if (first && std::exchange(delivering, true)) return;
      if (deliveries.empty()) {
        delivering = false;
        return;
      }
      next = std::move(deliveries.front());
      deliveries.pop_front();
    }
    (void)next.writer->Write(std::move(next.update));  // or it has ended
    if (next.last) next.writer->Finish(absl::OkStatus());
  }
}

void SubmissionWatches::Start(const std::shared_ptr<Writer>& writer,
                              const Submission& submission) {
  const v1::Submission with_texts = ToProto(submission, true);
  bool judged = submission.judgement.has_value();
  {
    const MutexLock lock(state_->mutex);
    const auto entry = state_->watched.find(submission.id);
    if (entry == state_->watched.end()) return;  // the stream has ended
    Watched& watched = entry->second;
    if (watched.submission == nullptr) {
      watched.submission =
          std::make_shared<const v1::Submission>(ToProto(submission, false));
    }
    for (Watch& watch : watched.watches) {
      if (watch.writer == writer) watch.started = true;
    }
    Update update = watched.verdict;
    if (update == nullptr) {
      update = std::make_shared<const v1::SubmissionUpdate>(
          ToUpdate(with_texts, judged ? std::nullopt : watched.progress));
    } else {
      judged = true;
    }
    state_->deliveries.push_back({writer, std::move(update), judged});
  }
  state_->Deliver();
}

void SubmissionWatches::Tell(const std::string& id,
                             const JudgeProgress& progress) {
  {
    const MutexLock lock(state_->mutex);
    const auto entry = state_->watched.find(id);
    if (entry == state_->watched.end()) return;
    Watched& watched = entry->second;
    watched.progress = progress;
    if (watched.submission == nullptr || watched.verdict != nullptr) return;
    const auto update = std::make_shared<const v1::SubmissionUpdate>(
        ToUpdate(*watched.submission, progress));
    for (const Watch& watch : watched.watches) {
      if (watch.started) state_->deliveries.push_back({watch.writer, update});
    }
  }
  state_->Deliver();
}

void SubmissionWatches::Tell(const Submission& judged) {
  {
    const MutexLock lock(state_->mutex);
    const auto entry = state_->watched.find(judged.id);
    if (entry == state_->watched.end()) return;
    Watched& watched = entry->second;
    if (watched.verdict != nullptr) return;
    watched.verdict = std::make_shared<const v1::SubmissionUpdate>(
        ToUpdate(ToProto(judged, true), std::nullopt));
    // The others may not be allowed to see it, which they are about to learn.
    for (const Watch& watch : watched.watches) {
      if (!watch.started) continue;
      state_->deliveries.push_back({watch.writer, watched.verdict, true});
    }
  }
  state_->Deliver();
}

void SubmissionWatches::Look(const std::string& id) {
  // If too many jobs wait, the next poll looks again.
  (void)store_.Read([this, id](ContestStore& store) {
    const absl::StatusOr<Submission> submission = store.GetSubmission(id);
    if (submission.ok() && submission->judgement.has_value()) {
      Tell(*submission);
    }
  });
}

void SubmissionWatches::Poll() {
  {
    const MutexLock lock(state_->mutex);
    if (state_->watched.empty()) return;
  }
  // Too many jobs wait: the next look comes soon.
  (void)store_.Read([this](ContestStore& store) {
    const auto judged = store.JudgedAfter(clock_.WallNow() - kLookBack);
    if (!judged.ok()) return;
    for (const std::string& id : *judged) {
      bool waits;
      {
        const MutexLock lock(state_->mutex);
        const auto entry = state_->watched.find(id);
        waits =
            entry != state_->watched.end() && entry->second.verdict == nullptr;
      }
      if (waits) Look(id);
    }
  });
}

void SubmissionWatches::Close(const absl::Status& status) {
  poll_.reset();
  std::map<std::string, Watched, std::less<>> watched;
  {
    const MutexLock lock(state_->mutex);
    state_->closed = status;
    watched.swap(state_->watched);
    state_->watches = 0;
  }
  for (const auto& [id, entry] : watched) {
    for (const Watch& watch : entry.watches) watch.writer->Finish(status);
  }
}

std::size_t SubmissionWatches::watches() const {
  const MutexLock lock(state_->mutex);
  return state_->watches;
}

}  // namespace platform::contest
