// SPDX-License-Identifier: Apache-2.0
#include "services/task/task_watch.h"

#include <algorithm>
#include <utility>

#include "grpccommon/status/details.h"
#include "services/task/convert.h"

namespace platform::task {
namespace {

using taskservice::TaskEvent;

// Twice what one transaction of the largest tasks (64 of 130 KB) tells at once.
constexpr std::size_t kMaxQueuedBytes = 16 << 20;

}  // namespace

TaskWatch::TaskWatch(const grpc::CallbackServerContext& context,
                     std::size_t max_queued, StoreQueue& store,
                     std::shared_ptr<ChangeFeed> feed,
                     const grpccommon::Clock& clock)
    : writer_(TaskEventWriter::Create(
          context, {.max_queued = max_queued,
                    .max_queued_bytes = kMaxQueuedBytes,
                    .resume_token =
                        [live_after = live_after_](const TaskEvent& last) {
                          return last.initial() ? ResumeToken(*live_after)
                                                : last.resume_token();
                        }})),
      store_(store),
      feed_(std::move(feed)),
      clock_(clock) {}

void TaskWatch::Run(Start start) {
  start_ = std::move(start);
  after_ = start_.resume_after;
  listing_ = start_.initial && !after_.has_value();
  caught_up_ = !start_.initial && !after_.has_value();
  Continue();
}

std::size_t TaskWatch::Room() const {
  return std::min(kMaxWatchRows, writer_->room());
}

void TaskWatch::Continue() {
  const auto next = [self = shared_from_this()] {
    if (self->writer_->closed()) return;
    const absl::Status status =
        self->caught_up_
            ? self->store_.ReadBetweenWrites([self](TaskStore& store) {
                const absl::Status live = self->GoLive(store);
                if (!live.ok()) self->writer_->Finish(live);
              })
            : self->store_.Read(
                  [self](TaskStore& store) { self->Step(store); });
    if (!status.ok()) self->writer_->Finish(status);
  };
  writer_->WhenWritable(next, /*waiting=*/0);
}

void TaskWatch::Step(TaskStore& store) {
  const std::size_t room = Room();
  if (room > 0 && listing_) {
    const absl::Status status = SendTasks(store, room);
    if (!status.ok()) return writer_->Finish(status);
  } else if (room > 0) {
    const absl::StatusOr<bool> last = SendChanges(store, room);
    if (!last.ok()) return writer_->Finish(last.status());
    caught_up_ = *last;
  }
  Continue();
}

absl::Status TaskWatch::SendTasks(TaskStore& store, std::size_t room) {
  const std::int64_t after = pages_.empty() ? 0 : pages_.back().up_to;
  const absl::StatusOr<TaskPage> page =
      store.List(start_.scope, start_.filter, after, room, kMaxWatchBytes);
  if (!page.ok()) return page.status();
  for (const Task& task : page->tasks) {
    // Fails when the client has gone; then the next step ends this.
    (void)writer_->Write(ToInitialEvent(task, clock_.WallNow()));
  }
  // What came before the first page is in all of them.
  if (pages_.empty()) after_ = page->sequence;
  pages_.push_back({.up_to = page->last ? page->sequence
                                        : page->tasks.back().created_sequence,
                    .sequence = page->sequence});
  listing_ = !page->last;
  return absl::OkStatus();
}

bool TaskWatch::Reflected(const Change& change) const {
  const auto page = std::lower_bound(
      pages_.begin(), pages_.end(), change.task.created_sequence,
      [](const Page& p, std::int64_t created) { return p.up_to < created; });
  return page != pages_.end() && change.sequence <= page->sequence;
}

absl::StatusOr<bool> TaskWatch::SendChanges(TaskStore& store,
                                            std::size_t room) {
  const absl::StatusOr<ChangePage> page =
      store.Changes(start_.scope, start_.filter, *after_, room, kMaxWatchBytes);
  switch (page.status().code()) {
    case absl::StatusCode::kOk:
      break;
    case absl::StatusCode::kInvalidArgument:
      return grpccommon::InvalidFields(
          {{"resume_token", "is not of this store"}});
    case absl::StatusCode::kOutOfRange:
      if (after_ != start_.resume_after) return ChangesNotKept();
      return grpccommon::WithReason(
          absl::OutOfRangeError("resume_token is too old: watch without it"),
          "RESUME_TOKEN_EXPIRED", "taskservice");
    default:
      return page.status();
  }
  for (const Change& change : page->changes) {
    if (!Reflected(change)) (void)writer_->Write(ToProto(change));
  }
  after_ = page->sequence;
  return page->last;
}

// All that was read before has left the queue, so the client will know all up
// to `after_`.
absl::Status TaskWatch::GoLive(TaskStore& store) {
  if (!after_.has_value()) {
    const absl::StatusOr<std::int64_t> latest = store.Latest();
    if (!latest.ok()) return latest.status();
    after_ = *latest;
  }
  *live_after_ = *after_;
  const std::size_t room = Room();
  const absl::StatusOr<bool> last =
      room > 0 ? SendChanges(store, room) : absl::StatusOr<bool>(false);
  if (!last.ok()) return last.status();
  caught_up_ = *last;
  if (!caught_up_) {
    Continue();
    return absl::OkStatus();
  }
  return feed_->Subscribe(
      writer_, *after_,
      [scope = start_.scope, filter = start_.filter](const Change& change) {
        return scope.Covers(change.task) && Matches(change.task, filter);
      });
}

}  // namespace platform::task
