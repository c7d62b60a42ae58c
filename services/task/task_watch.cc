// SPDX-License-Identifier: Apache-2.0
#include "services/task/task_watch.h"

#include <algorithm>
#include <utility>

#include "grpccommon/status/details.h"
#include "services/task/convert.h"

namespace platform::task {
namespace {

// What one read takes from the store at most; others wait meanwhile.
constexpr std::size_t kMaxRows = 256;

}  // namespace

TaskWatch::TaskWatch(std::shared_ptr<TaskEventWriter> writer, StoreQueue& store,
                     TaskBroadcaster& broadcaster,
                     const grpccommon::Clock& clock, Start start)
    : writer_(std::move(writer)),
      store_(store),
      broadcaster_(broadcaster),
      clock_(clock),
      start_(std::move(start)),
      listing_(start_.initial && !start_.resume_after.has_value()),
      live_only_(!start_.initial && !start_.resume_after.has_value()),
      after_(start_.resume_after.value_or(0)) {}

void TaskWatch::Run() { Continue(); }

std::size_t TaskWatch::Room() const {
  return std::min(kMaxRows, writer_->room());
}

void TaskWatch::Continue() {
  writer_->WhenWritable([self = shared_from_this()] {
    if (self->writer_->closed()) return;
    const absl::Status status =
        self->store_.Read([self](TaskStore& store) { self->Step(store); });
    if (!status.ok()) self->writer_->Finish(status);
  });
}

void TaskWatch::Step(TaskStore& store) {
  const std::size_t room = Room();
  if (room == 0) return Continue();
  if (listing_) {
    const absl::Status status = SendTasks(store, room);
    if (!status.ok()) return writer_->Finish(status);
    return Continue();
  }
  if (!live_only_) {
    const absl::StatusOr<bool> last = SendChanges(store, room);
    if (!last.ok()) return writer_->Finish(last.status());
    if (!*last) return Continue();
  }
  const absl::Status status =
      store_.ReadBetweenWrites([self = shared_from_this()](TaskStore& writing) {
        self->GoLive(writing);
      });
  if (!status.ok()) writer_->Finish(status);
}

absl::Status TaskWatch::SendTasks(TaskStore& store, std::size_t room) {
  const std::int64_t after = pages_.empty() ? 0 : pages_.back().up_to;
  const absl::StatusOr<TaskPage> page =
      store.List(start_.scope, start_.filter, after, room);
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
      store.Changes(start_.scope, start_.filter, after_, room);
  switch (page.status().code()) {
    case absl::StatusCode::kOk:
      break;
    case absl::StatusCode::kInvalidArgument:
      return grpccommon::InvalidFields(
          {{"resume_token", "is not of this store"}});
    case absl::StatusCode::kOutOfRange:
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

void TaskWatch::GoLive(TaskStore& store) {
  if (!live_only_) {
    const std::size_t room = Room();
    if (room == 0) return Continue();
    const absl::StatusOr<bool> last = SendChanges(store, room);
    if (!last.ok()) return writer_->Finish(last.status());
    if (!*last) return Continue();
  }
  const absl::Status status = broadcaster_.Subscribe(
      writer_,
      [scope = start_.scope, filter = start_.filter](const Change& change) {
        return scope.Covers(change.task) && Matches(change.task, filter);
      });
  if (!status.ok()) writer_->Finish(status);
}

}  // namespace platform::task
