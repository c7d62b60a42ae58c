// SPDX-License-Identifier: Apache-2.0
#include "services/task/change_feed.h"

#include <utility>

#include "absl/status/statusor.h"
#include "grpccommon/status/details.h"
#include "services/task/convert.h"

namespace platform::task {

absl::Status ChangesNotKept() {
  return grpccommon::WithReason(
      absl::OutOfRangeError("changes that this watch has not told are no "
                            "longer kept: watch again without a resume_token"),
      "CHANGES_NOT_KEPT", "taskservice");
}

ChangeFeed::ChangeFeed(StoreQueue& store, std::size_t max_watchers)
    : store_(store), broadcaster_({.max_watchers = max_watchers}) {}

absl::Status ChangeFeed::Subscribe(
    const std::shared_ptr<TaskEventWriter>& writer, std::int64_t after,
    std::function<bool(const Change&)> filter) {
  if (watchers() == 0) told_ = after;
  // The others may have been told less.
  return broadcaster_.Subscribe(
      writer, [after, filter = std::move(filter)](const Change& change) {
        return change.sequence > after && filter(change);
      });
}

void ChangeFeed::Publish(const Change& change) {
  if (watchers() == 0) return;
  if (change.sequence == told_ + 1) return Tell(change);
  // The database is not what it was: a backup was restored, or the last changes
  // were lost with the server that had them.
  if (change.sequence <= told_) return broadcaster_.FinishAll(ChangesNotKept());
  // Another process made those before it. The store has them all, in order.
  LookForOthers();
}

void ChangeFeed::LookForOthers() {
  if (watchers() == 0 || looking_.exchange(true)) return;
  const absl::Status status = store_.ReadBetweenWrites(
      [self = shared_from_this()](TaskStore& store) { self->CatchUp(store); });
  if (!status.ok()) looking_ = false;  // the next one tries again
}

void ChangeFeed::CatchUp(TaskStore& store) {
  looking_ = false;
  const absl::StatusOr<ChangePage> page = store.Changes(
      Scope{.all = true}, "", told_, kMaxWatchRows, kMaxWatchBytes);
  if (absl::IsOutOfRange(page.status()) ||
      absl::IsInvalidArgument(page.status())) {
    return broadcaster_.FinishAll(ChangesNotKept());
  }
  if (!page.ok()) return;  // the next one tries again
  for (const Change& change : page->changes) Tell(change);
  // Writes that wait, and watchers, get their turn in between.
  if (!page->last) LookForOthers();
}

void ChangeFeed::Tell(const Change& change) {
  told_ = change.sequence;
  broadcaster_.Publish(
      std::make_shared<const taskservice::TaskEvent>(ToProto(change)), change);
}

}  // namespace platform::task
