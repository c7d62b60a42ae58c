// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/base/scheduler.h"

#include <map>
#include <thread>
#include <utility>

#include "grpccommon/base/mutex.h"

namespace grpccommon {
namespace {

class ThreadScheduler : public Scheduler {
 public:
  ~ThreadScheduler() override {
    {
      const MutexLock lock(mutex_);
      stopping_ = true;
    }
    wake_.NotifyAll();
    if (thread_.joinable()) thread_.join();
  }

  TaskId RunAfter(Clock::Duration delay, std::function<void()> task) override {
    const MutexLock lock(mutex_);
    const TaskId id = ++last_id_;
    const Clock::TimePoint due = SteadyClock().Now() + delay;
    const auto place =
        tasks_.emplace(std::make_pair(due, id), std::move(task)).first;
    due_by_id_[id] = due;
    if (!thread_.joinable()) {
      thread_ = std::thread([this] { Run(); });
    } else if (place == tasks_.begin()) {
      wake_.NotifyAll();
    }
    return id;
  }

  bool Cancel(TaskId id) override {
    const MutexLock lock(mutex_);
    const auto due = due_by_id_.find(id);
    if (due != due_by_id_.end()) {
      tasks_.erase({due->second, id});
      due_by_id_.erase(due);
      return true;
    }
    // A task may cancel itself; waiting for it there would never end. No task
    // has the number 0, which is what runs while none does.
    while (id != 0 && running_ == id &&
           std::this_thread::get_id() != thread_.get_id()) {
      done_.Wait(mutex_);
    }
    return false;
  }

 private:
  void Run() {
    mutex_.Lock();
    while (!stopping_) {
      if (tasks_.empty()) {
        wake_.Wait(mutex_);
        continue;
      }
      const auto next = tasks_.begin();
      if (next->first.first > SteadyClock().Now()) {
        wake_.WaitUntil(mutex_, next->first.first);
        continue;
      }
      std::function<void()> task = std::move(next->second);
      running_ = next->first.second;
      due_by_id_.erase(running_);
      tasks_.erase(next);
      mutex_.Unlock();
      task();
      task = nullptr;  // what it owns may call back into the scheduler
      mutex_.Lock();
      running_ = 0;
      done_.NotifyAll();
    }
    mutex_.Unlock();
  }

  Mutex mutex_;
  CondVar wake_;
  CondVar done_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  TaskId last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  TaskId running_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::pair<Clock::TimePoint, TaskId>, std::function<void()>> tasks_
      ABSL_GUARDED_BY(mutex_);
  std::map<TaskId, Clock::TimePoint> due_by_id_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Scheduler> CreateScheduler() {
  return std::make_unique<ThreadScheduler>();
}

struct PeriodicTask::State : std::enable_shared_from_this<State> {
  State(Scheduler& s, Clock::Duration i, std::function<void()> t)
      : scheduler(s), interval(i), task(std::move(t)) {}

  void Plan() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    id = scheduler.RunAfter(interval, [self = shared_from_this()] {
      self->task();
      const MutexLock lock(self->mutex);
      if (!self->stopped) self->Plan();
    });
  }

  Scheduler& scheduler;
  const Clock::Duration interval;
  const std::function<void()> task;
  Mutex mutex;
  bool stopped ABSL_GUARDED_BY(mutex) = false;
  Scheduler::TaskId id ABSL_GUARDED_BY(mutex) = 0;
};

PeriodicTask::PeriodicTask(Scheduler& scheduler, Clock::Duration interval,
                           std::function<void()> task)
    : state_(std::make_shared<State>(scheduler, interval, std::move(task))) {
  const MutexLock lock(state_->mutex);
  state_->Plan();
}

PeriodicTask::~PeriodicTask() {
  Scheduler::TaskId id;
  {
    const MutexLock lock(state_->mutex);
    state_->stopped = true;
    id = state_->id;
  }
  state_->scheduler.Cancel(id);
}

}  // namespace grpccommon
