// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/testing/fake_clock.h"

namespace grpccommon::testing {
namespace {

constexpr Clock::TimePoint kStart{std::chrono::hours(1)};
// 2026-01-01T00:00:00Z
constexpr Clock::WallTime kWallStart{std::chrono::seconds(1767225600)};

}  // namespace

Clock::TimePoint FakeClock::Now() const {
  return kStart + Duration(elapsed_ns_.load());
}

Clock::WallTime FakeClock::WallNow() const {
  return kWallStart + Duration(elapsed_ns_.load() + wall_offset_ns_.load());
}

void FakeClock::Advance(Duration by) {
  if (scheduler_ != nullptr) {
    scheduler_->RunUntil(Now() + by);
  } else {
    elapsed_ns_ += by.count();
  }
}

void FakeClock::SetWall(WallTime now) {
  wall_offset_ns_ = (now - kWallStart).count() - elapsed_ns_.load();
}

FakeScheduler::FakeScheduler(FakeClock& clock) : clock_(clock) {
  clock_.scheduler_ = this;
}

FakeScheduler::~FakeScheduler() { clock_.scheduler_ = nullptr; }

Scheduler::TaskId FakeScheduler::RunAfter(Clock::Duration delay,
                                          std::function<void()> task) {
  const MutexLock lock(mutex_);
  tasks_.emplace(std::make_pair(clock_.Now() + delay, ++last_id_),
                 std::move(task));
  return last_id_;
}

bool FakeScheduler::Cancel(TaskId id) {
  const MutexLock lock(mutex_);
  return std::erase_if(tasks_, [id](const auto& task) {
           return task.first.second == id;
         }) > 0;
}

std::size_t FakeScheduler::pending() const {
  const MutexLock lock(mutex_);
  return tasks_.size();
}

void FakeScheduler::RunUntil(Clock::TimePoint end) {
  while (true) {
    std::function<void()> task;
    {
      const MutexLock lock(mutex_);
      const auto next = tasks_.begin();
      if (next == tasks_.end() || next->first.first > end) break;
      if (next->first.first > clock_.Now()) {
        clock_.elapsed_ns_ += (next->first.first - clock_.Now()).count();
      }
      task = std::move(next->second);
      tasks_.erase(next);
    }
    task();
  }
  if (end > clock_.Now()) clock_.elapsed_ns_ += (end - clock_.Now()).count();
}

}  // namespace grpccommon::testing
