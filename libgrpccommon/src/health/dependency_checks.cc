// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/health/dependency_checks.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/base/utf8.h"

namespace grpccommon {
namespace {

using std::chrono::nanoseconds;

constexpr nanoseconds kMaxFirstDelay = std::chrono::seconds(1);
// A report is for people; an error of a megabyte is not.
constexpr std::size_t kMaxErrorBytes = 256;

absl::Status CheckOptions(const DependencyOptions& options) {
  if (options.name.empty()) {
    return absl::InvalidArgumentError("name must not be empty");
  }
  using std::chrono::hours;
  using std::chrono::milliseconds;
  absl::Status valid =
      CheckRange("interval", options.interval, milliseconds(10), hours(24));
  if (valid.ok()) {
    valid = CheckRange("timeout", options.timeout, milliseconds(1),
                       options.interval);
  }
  valid.Update(CheckRange("failures_before_down", options.failures_before_down,
                          1, 1000));
  valid.Update(
      CheckRange("successes_before_up", options.successes_before_up, 1, 1000));
  return valid;
}

std::string Rfc3339(Clock::WallTime time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(
      std::chrono::floor<std::chrono::seconds>(time));
  std::tm utc = {};
  gmtime_r(&seconds, &utc);
  char text[64];
  const std::size_t size = std::strftime(text, sizeof(text), "%FT%TZ", &utc);
  return std::string(text, size);
}

std::string ErrorText(const absl::Status& error) {
  if (error.ok()) return "";
  if (error.message().empty()) return absl::StatusCodeToString(error.code());
  return std::string(error.message());
}

// Runs a blocking check on a thread of its own.
class Worker {
 public:
  explicit Worker(DependencyChecks::BlockingCheck check)
      : check_(std::move(check)) {}

  // Waits for the check if it runs.
  void Stop() {
    {
      const MutexLock lock(mutex_);
      stopping_ = true;
    }
    wake_.NotifyAll();
    if (thread_.joinable()) thread_.join();
  }

  void Run(DependencyChecks::Done done) {
    const MutexLock lock(mutex_);
    if (stopping_) return;
    waiting_ = std::move(done);
    if (!thread_.joinable()) thread_ = std::thread([this] { Loop(); });
    wake_.NotifyAll();
  }

 private:
  void Loop() {
    mutex_.Lock();
    while (!stopping_) {
      if (!waiting_) {
        wake_.Wait(mutex_);
        continue;
      }
      const DependencyChecks::Done done = std::exchange(waiting_, nullptr);
      mutex_.Unlock();
      absl::Status status;
      try {
        status = check_();
      } catch (const std::exception& error) {
        status = absl::InternalError(absl::StrCat("threw: ", error.what()));
      } catch (...) {
        status = absl::InternalError("threw");
      }
      done(std::move(status));
      mutex_.Lock();
    }
    mutex_.Unlock();
  }

  const DependencyChecks::BlockingCheck check_;
  Mutex mutex_;
  CondVar wake_;
  DependencyChecks::Done waiting_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

// What all checks of one DependencyChecks use.
struct Surroundings {
  HealthRegistry& registry;
  Scheduler& scheduler;
  const Logger logger;
  const Clock& clock;
  const Random random;
};

class Check : public std::enable_shared_from_this<Check> {
 public:
  Check(const Surroundings& surroundings, DependencyOptions options,
        DependencyChecks::AsyncCheck check)
      : surroundings_(surroundings),
        options_(std::move(options)),
        check_(std::move(check)) {
    report_.name = options_.name;
    report_.critical = options_.critical;
    report_.since = surroundings_.clock.WallNow();
  }

  void Begin() {
    if (options_.critical) surroundings_.registry.Hold(options_.services);
    const nanoseconds first = std::min(options_.interval, kMaxFirstDelay);
    const MutexLock lock(mutex_);
    Plan(std::chrono::duration_cast<nanoseconds>(
        first * std::clamp(surroundings_.random(), 0.0, 1.0)));
  }

  // After this no run begins, none that is out counts, and nothing that was
  // borrowed is used any more.
  void Stop() {
    Scheduler::TaskId next;
    Scheduler::TaskId timeout;
    {
      const MutexLock lock(mutex_);
      stopped_ = true;
      while (busy_ > 0) idle_.Wait(mutex_);
      next = next_task_;
      timeout = timeout_task_;
    }
    surroundings_.scheduler.Cancel(next);
    surroundings_.scheduler.Cancel(timeout);
  }

  const std::string& name() const { return options_.name; }

  DependencyReport Report() const {
    const MutexLock lock(mutex_);
    return report_;
  }

 private:
  // While one of these lives, Stop waits. Made under the lock.
  class Busy {
   public:
    explicit Busy(Check& check) ABSL_EXCLUSIVE_LOCKS_REQUIRED(check.mutex_)
        : check_(check) {
      ++check_.busy_;
    }
    ~Busy() {
      const MutexLock lock(check_.mutex_);
      --check_.busy_;
      check_.idle_.NotifyAll();
    }
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;

   private:
    Check& check_;
  };

  void Plan(nanoseconds delay) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    next_task_ =
        surroundings_.scheduler.RunAfter(delay, [weak = weak_from_this()] {
          if (const auto check = weak.lock()) check->Run();
        });
  }

  void Run() {
    std::optional<Busy> busy;
    std::uint64_t run = 0;
    {
      const MutexLock lock(mutex_);
      if (stopped_) return;
      busy.emplace(*this);
      Plan(options_.interval);
      if (!out_) {
        out_ = true;
        counted_ = false;
        run = ++run_;
        started_ = surroundings_.clock.Now();
        timeout_task_ = surroundings_.scheduler.RunAfter(
            options_.timeout, [weak = weak_from_this(), run] {
              if (const auto check = weak.lock()) check->TimeOut(run);
            });
      }
    }
    if (run == 0) {
      Count(absl::DeadlineExceededError("an earlier run has not ended"));
      return;
    }
    const auto done = [weak = weak_from_this(),
                       run](const absl::Status& status) {
      if (const auto check = weak.lock()) check->End(run, status);
    };
    try {
      check_(done);
    } catch (const std::exception& error) {
      done(absl::InternalError(absl::StrCat("threw: ", error.what())));
    } catch (...) {
      done(absl::InternalError("threw"));
    }
  }

  void TimeOut(std::uint64_t run) {
    {
      const MutexLock lock(mutex_);
      if (stopped_ || !out_ || run != run_) return;
      counted_ = true;
      report_.duration = surroundings_.clock.Now() - started_;
    }
    Count(absl::DeadlineExceededError("timed out"));
  }

  void End(std::uint64_t run, const absl::Status& status) {
    {
      const MutexLock lock(mutex_);
      if (stopped_ || !out_ || run != run_) return;  // or a second call
      out_ = false;
      report_.duration = surroundings_.clock.Now() - started_;
      if (counted_) return;
    }
    Count(status);
  }

  void Count(const absl::Status& status) {
    const std::string error(
        TruncateUtf8(ToStd(status.message()), kMaxErrorBytes));
    std::optional<Busy> busy;
    bool hold;
    DependencyStatus next;
    {
      const MutexLock lock(mutex_);
      if (stopped_) return;
      report_.error = absl::Status(status.code(), error);
      const DependencyStatus before = report_.status;
      next = before;
      if (status.ok()) {
        failures_ = 0;
        if (++successes_ >= options_.successes_before_up ||
            before == DependencyStatus::kPending) {
          next = DependencyStatus::kUp;
        }
      } else {
        successes_ = 0;
        if (++failures_ >= options_.failures_before_down ||
            before == DependencyStatus::kPending) {
          next = DependencyStatus::kDown;
        }
      }
      if (next == before) return;
      // From pending to down, the services stay held.
      hold = before == DependencyStatus::kUp;
      report_.status = next;
      report_.since = surroundings_.clock.WallNow();
      busy.emplace(*this);
    }
    if (options_.critical) {
      if (hold) surroundings_.registry.Hold(options_.services);
      if (next == DependencyStatus::kUp) {
        surroundings_.registry.Release(options_.services);
      }
    }
    surroundings_.logger.Log(
        next == DependencyStatus::kUp ? LogLevel::kInfo : LogLevel::kWarning,
        "dependency changed",
        {{"dependency", options_.name},
         {"status", DependencyStatusName(next)},
         {"critical", options_.critical},
         {"error", error}});
  }

  const Surroundings& surroundings_;
  const DependencyOptions options_;
  const DependencyChecks::AsyncCheck check_;

  mutable Mutex mutex_;
  CondVar idle_;
  int busy_ ABSL_GUARDED_BY(mutex_) = 0;
  DependencyReport report_ ABSL_GUARDED_BY(mutex_);
  int failures_ ABSL_GUARDED_BY(mutex_) = 0;  // in a row
  int successes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  Scheduler::TaskId next_task_ ABSL_GUARDED_BY(mutex_) = 0;
  Scheduler::TaskId timeout_task_ ABSL_GUARDED_BY(mutex_) = 0;
  std::uint64_t run_ ABSL_GUARDED_BY(mutex_) = 0;
  bool out_ ABSL_GUARDED_BY(mutex_) = false;      // a run has not ended
  bool counted_ ABSL_GUARDED_BY(mutex_) = false;  // by its timeout
  Clock::TimePoint started_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

std::string_view DependencyStatusName(DependencyStatus status) {
  switch (status) {
    case DependencyStatus::kUp:
      return "up";
    case DependencyStatus::kDown:
      return "down";
    case DependencyStatus::kPending:
      break;
  }
  return "pending";
}

struct DependencyChecks::Impl {
  std::vector<std::shared_ptr<Check>> Checks() const {
    const MutexLock lock(mutex);
    return checks;
  }

  const Surroundings surroundings;
  mutable Mutex mutex;
  std::vector<std::shared_ptr<Check>> checks ABSL_GUARDED_BY(mutex);
  std::vector<std::shared_ptr<Worker>> workers ABSL_GUARDED_BY(mutex);
};

DependencyChecks::DependencyChecks(HealthRegistry& registry,
                                   Scheduler& scheduler, Logger logger,
                                   const Clock& clock, Random random)
    : impl_(new Impl{.surroundings = {registry, scheduler, std::move(logger),
                                      clock, std::move(random)}}) {}

DependencyChecks::~DependencyChecks() {
  for (const std::shared_ptr<Check>& check : impl_->Checks()) check->Stop();
  std::vector<std::shared_ptr<Worker>> workers;
  {
    const MutexLock lock(impl_->mutex);
    workers = impl_->workers;
  }
  // Here, for the last reference to a check may be that of the thread to join.
  for (const std::shared_ptr<Worker>& worker : workers) worker->Stop();
}

absl::Status DependencyChecks::Add(const DependencyOptions& options,
                                   AsyncCheck check) {
  absl::Status valid = CheckOptions(options);
  if (!valid.ok()) return valid;
  auto added =
      std::make_shared<Check>(impl_->surroundings, options, std::move(check));
  {
    const MutexLock lock(impl_->mutex);
    for (const std::shared_ptr<Check>& other : impl_->checks) {
      if (other->name() == options.name) {
        return absl::AlreadyExistsError(
            absl::StrCat("dependency \"", options.name, "\""));
      }
    }
    impl_->checks.push_back(added);
  }
  added->Begin();
  return absl::OkStatus();
}

absl::Status DependencyChecks::AddBlocking(const DependencyOptions& options,
                                           BlockingCheck check) {
  auto worker = std::make_shared<Worker>(std::move(check));
  {
    const MutexLock lock(impl_->mutex);
    impl_->workers.push_back(worker);
  }
  return Add(options, [worker](Done done) { worker->Run(std::move(done)); });
}

std::vector<DependencyReport> DependencyChecks::Report() const {
  std::vector<DependencyReport> reports;
  for (const std::shared_ptr<Check>& check : impl_->Checks()) {
    reports.push_back(check->Report());
  }
  return reports;
}

std::string DependencyChecks::ReportJson() const {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const DependencyReport& report : Report()) {
    json.push_back(
        {{"name", report.name},
         {"status", std::string(DependencyStatusName(report.status))},
         {"critical", report.critical},
         {"error", ErrorText(report.error)},
         {"duration_ms",
          std::chrono::duration<double, std::milli>(report.duration).count()},
         {"since", Rfc3339(report.since)}});
  }
  // An error's text comes from anywhere; invalid UTF-8 must not throw here.
  return json.dump(-1, ' ', false,
                   nlohmann::ordered_json::error_handler_t::replace);
}

bool DependencyChecks::ready() const {
  for (const DependencyReport& report : Report()) {
    if (report.critical && report.status != DependencyStatus::kUp) return false;
  }
  return true;
}

}  // namespace grpccommon
