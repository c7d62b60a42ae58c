// SPDX-License-Identifier: Apache-2.0
#include "registry/network_registry.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "grpccommon/status/details.h"
#include "registry/backoff.h"
#include "registry/instances.h"

namespace grpccommon::internal {
namespace {

bool ByAddress(const Instance& a, const Instance& b) {
  return a.address < b.address;
}

// Both are clean; `fresh` wins. Moves from both.
std::vector<Instance> Merge(std::vector<Instance>& known,
                            std::vector<Instance>& fresh) {
  std::vector<Instance> merged;
  merged.reserve(known.size() + fresh.size());
  auto old = known.begin();
  for (Instance& instance : fresh) {
    while (old != known.end() && old->address < instance.address) {
      merged.push_back(std::move(*old++));
    }
    if (old != known.end() && old->address == instance.address) ++old;
    merged.push_back(std::move(instance));
  }
  std::move(old, known.end(), std::back_inserter(merged));
  return merged;
}

// A back end that grants less is not to be asked all the time, and one that
// grants more is asked all the same.
constexpr Clock::Duration kShortestTtl = std::chrono::seconds(1);
constexpr Clock::Duration kLongestTtl = std::chrono::hours(24);
// Nor does one decide for how long we stay away.
constexpr Clock::Duration kLongestAskedDelay = std::chrono::minutes(1);

}  // namespace

std::size_t CleanInstances(std::vector<Instance>& instances) {
  const auto malformed = std::remove_if(
      instances.begin(), instances.end(),
      [](const Instance& instance) { return !CheckInstance(instance).ok(); });
  const auto count =
      static_cast<std::size_t>(std::distance(malformed, instances.end()));
  instances.erase(malformed, instances.end());
  if (!std::is_sorted(instances.begin(), instances.end(), ByAddress)) {
    std::stable_sort(instances.begin(), instances.end(), ByAddress);
  }
  // From the back, so that what stays of equals is the last one.
  const auto first = std::unique(instances.rbegin(), instances.rend(),
                                 [](const Instance& a, const Instance& b) {
                                   return a.address == b.address;
                                 });
  instances.erase(instances.begin(), first.base());
  return count;
}

struct NetworkRegistry::Context {
  const Options options;
  Scheduler& scheduler;
  const Logger logger;
  const Clock& clock;
  const Random random;
};

namespace {

// How long the back end wants us to stay away.
Clock::Duration AskedDelay(const absl::Status& status) {
  return std::clamp(RetryDelayOf(status).value_or(Clock::Duration::zero()),
                    Clock::Duration::zero(), kLongestAskedDelay);
}

}  // namespace

// ------------------------------------------------------------ registrations

// Keeps one place. At most one call and one timer at a time: whoever finds none
// under way looks at how things are and does what is due (`Step`).
class NetworkRegistry::Keeper
    : public std::enable_shared_from_this<NetworkRegistry::Keeper> {
 public:
  Keeper(NetworkBackend& backend, const Context& context, std::string service,
         Instance instance, Clock::Duration ttl)
      : backend_(backend),
        context_(context),
        service_(std::move(service)),
        instance_(std::move(instance)),
        ttl_(ttl),
        // A lease is tried for several times before it ends.
        backoff_(context.options.reconnect_initial,
                 std::min(context.options.reconnect_maximum,
                          std::max(ttl / 3, context.options.reconnect_initial)),
                 context.random) {}

  void Start() { Step(); }

  absl::Status Update(Instance instance) {
    absl::Status valid = CheckInstance(instance);
    if (!valid.ok()) return valid;
    {
      const MutexLock lock(mutex_);
      if (instance.address != instance_.address) {
        return absl::InvalidArgumentError(
            absl::StrCat("address ", instance.address, " differs from ",
                         instance_.address, ", which is registered"));
      }
      if (instance == instance_) return absl::OkStatus();
      instance_ = std::move(instance);
      changed_ = true;
    }
    Step();
    return absl::OkStatus();
  }

  absl::Status WaitRegistered(Clock::Duration timeout) {
    const auto deadline =
        std::chrono::steady_clock::now() +
        std::min(timeout, Clock::Duration(std::chrono::hours(24)));
    const MutexLock lock(mutex_);
    while (!answered_) {
      if (!changed_state_.WaitUntil(mutex_, deadline) && !answered_) {
        return absl::DeadlineExceededError(
            "the registry has not answered in time");
      }
    }
    const bool held = lease_.has_value() && context_.clock.Now() < held_until_;
    return held ? absl::OkStatus() : error_;
  }

  // Takes the instance out, as well as that goes within the time there is.
  void Stop() {
    std::optional<Scheduler::TaskId> timer;
    {
      const MutexLock lock(mutex_);
      stopped_ = true;
      timer = std::exchange(timer_, std::nullopt);
    }
    // Without the lock, for which the task may wait.
    if (timer.has_value()) context_.scheduler.Cancel(*timer);
    Step();
    const auto deadline =
        std::chrono::steady_clock::now() + context_.options.deregister_timeout;
    const MutexLock lock(mutex_);
    while ((calling_ || lease_.has_value()) &&
           changed_state_.WaitUntil(mutex_, deadline)) {
    }
  }

 private:
  void Step() {
    enum class Next { kRegister, kRenew, kDeregister };
    Next next;
    std::string lease;
    Instance instance;
    std::optional<Scheduler::TaskId> timer;
    {
      const MutexLock lock(mutex_);
      // Whoever ends the call comes here again.
      if (calling_) return;
      if (stopped_) {
        if (!lease_.has_value()) return;
        next = Next::kDeregister;
        lease = *std::exchange(lease_, std::nullopt);
      } else if (!lease_.has_value() || changed_) {
        next = Next::kRegister;
        instance = instance_;
        changed_ = false;
      } else {
        next = Next::kRenew;
        lease = *lease_;
      }
      calling_ = true;
      sent_at_ = context_.clock.Now();
      timer = std::exchange(timer_, std::nullopt);
    }
    if (timer.has_value()) context_.scheduler.Cancel(*timer);
    const auto self = shared_from_this();
    switch (next) {
      case Next::kRegister:
        backend_.Register(
            service_, instance, ttl_,
            [self](absl::StatusOr<LeaseBackend::Granted> granted) {
              self->Registered(std::move(granted));
            });
        break;
      case Next::kRenew:
        backend_.Renew(service_, lease, [self](absl::Status status) {
          self->Renewed(std::move(status));
        });
        break;
      case Next::kDeregister:
        backend_.Deregister(service_, lease,
                            [self](const absl::Status& /*status*/) {
                              // Failed or not: the lease ends by itself.
                              self->Called(std::nullopt);
                            });
        break;
    }
  }

  void Registered(absl::StatusOr<LeaseBackend::Granted> granted) {
    std::optional<Clock::Duration> wait;
    {
      const MutexLock lock(mutex_);
      answered_ = true;
      if (granted.ok()) {
        lease_ = std::move(granted->lease_id);
        granted_ttl_ = std::clamp(granted->ttl, kShortestTtl, kLongestTtl);
        wait = HoldLocked();
      } else {
        // What was to be told is still to be told.
        changed_ = true;
        wait = FailLocked(granted.status());
      }
    }
    Called(wait);
  }

  void Renewed(absl::Status status) {
    std::optional<Clock::Duration> wait;
    {
      const MutexLock lock(mutex_);
      if (status.ok()) {
        wait = HoldLocked();
      } else if (status.code() == absl::StatusCode::kNotFound) {
        // The registry was started anew, or did not hear of us for too long.
        // Renewals are spread already, so this is not put off.
        lease_.reset();
        error_ = std::move(status);
        wait = Clock::Duration::zero();
      } else {
        wait = FailLocked(std::move(status));
      }
    }
    Called(wait);
  }

  // Returns when the lease is to be renewed.
  Clock::Duration HoldLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    backoff_.Reset();
    held_until_ = sent_at_ + granted_ttl_;
    error_ = absl::UnavailableError("the lease was not renewed in time");
    if (changed_) return Clock::Duration::zero();
    // Up to a tenth sooner, so that instances that were started together do not
    // go on together.
    const double share = (1.0 - 0.1 * context_.random()) / 3;
    return std::chrono::duration_cast<Clock::Duration>(granted_ttl_ * share);
  }

  // Returns when to try again.
  Clock::Duration FailLocked(absl::Status status)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const Clock::Duration asked = AskedDelay(status);
    error_ = std::move(status);
    // Zero would be at once, and without a timer.
    return asked + std::max(backoff_.Next(), Clock::Duration(1));
  }

  // A call has ended; the next one is due after `wait`, if that is set.
  void Called(std::optional<Clock::Duration> wait) {
    bool now;
    {
      const MutexLock lock(mutex_);
      calling_ = false;
      now = stopped_ ? lease_.has_value() : wait == Clock::Duration::zero();
      if (!now && !stopped_ && wait.has_value()) {
        timer_ = context_.scheduler.RunAfter(
            *wait, [self = std::weak_ptr<Keeper>(shared_from_this())] {
              if (const auto alive = self.lock()) alive->OnTimer();
            });
      }
      changed_state_.NotifyAll();
    }
    if (now) Step();
  }

  void OnTimer() {
    {
      const MutexLock lock(mutex_);
      timer_.reset();
    }
    Step();
  }

  NetworkBackend& backend_;
  const Context& context_;
  const std::string service_;

  Mutex mutex_;
  CondVar changed_state_;
  Instance instance_ ABSL_GUARDED_BY(mutex_);
  const Clock::Duration ttl_;
  Backoff backoff_ ABSL_GUARDED_BY(mutex_);
  // The registry has not been told of `instance_` as it is.
  bool changed_ ABSL_GUARDED_BY(mutex_) = false;
  bool calling_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  bool answered_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<Scheduler::TaskId> timer_ ABSL_GUARDED_BY(mutex_);
  std::optional<std::string> lease_ ABSL_GUARDED_BY(mutex_);
  Clock::Duration granted_ttl_ ABSL_GUARDED_BY(mutex_){};
  Clock::TimePoint sent_at_ ABSL_GUARDED_BY(mutex_);
  Clock::TimePoint held_until_ ABSL_GUARDED_BY(mutex_);
  // Of the last call.
  absl::Status error_ ABSL_GUARDED_BY(mutex_);
};

class NetworkRegistry::LeasedRegistration : public Registration {
 public:
  LeasedRegistration(std::unique_ptr<RegistrationTable::Place> place,
                     std::shared_ptr<Keeper> keeper)
      : place_(std::move(place)), keeper_(std::move(keeper)) {}
  ~LeasedRegistration() override { keeper_->Stop(); }

  absl::Status Update(Instance instance) override {
    return keeper_->Update(std::move(instance));
  }
  absl::Status WaitRegistered(Clock::Duration timeout) override {
    return keeper_->WaitRegistered(timeout);
  }

 private:
  const std::unique_ptr<RegistrationTable::Place> place_;
  const std::shared_ptr<Keeper> keeper_;
};

// ------------------------------------------------------------------ watches

// Follows one service for all who watch it.
class NetworkRegistry::Watcher
    : public WatchSink,
      public std::enable_shared_from_this<NetworkRegistry::Watcher> {
 public:
  Watcher(NetworkBackend& backend, const Context& context, WatchHub& hub,
          std::string service)
      : backend_(backend),
        context_(context),
        hub_(hub),
        service_(std::move(service)),
        backoff_(context.options.reconnect_initial,
                 context.options.reconnect_maximum, context.random) {}

  void Open() {
    std::string resume;
    std::uint64_t number;
    {
      const MutexLock lock(mutex_);
      if (stopped_) return;
      reconnect_.reset();
      resume = resume_;
      based_ = !resume_.empty();
      number = ++number_;
      heard_ = false;
      ended_ = false;
      refused_ = absl::OkStatus();
    }
    // Without the lock: gRPC may call back before it returns.
    const std::shared_ptr<WatchCall> call =
        backend_.OpenWatch(service_, resume, shared_from_this());
    if (call == nullptr) return;
    absl::Status unwanted;
    {
      const MutexLock lock(mutex_);
      if (number == number_) unwanted = refused_;
      if (stopped_) unwanted = Unwatched();
      const bool current = number == number_ && !ended_;
      if (current) call_ = call;
      if (current && unwanted.ok() && !heard_) {
        // A peer that takes the call and then says nothing looks alive to
        // keepalive.
        watchdog_ = context_.scheduler.RunAfter(
            2 * context_.options.call_timeout,
            [self = std::weak_ptr<Watcher>(shared_from_this()), number] {
              if (const auto alive = self.lock()) alive->OnSilence(number);
            });
      }
    }
    if (!unwanted.ok()) call->Cancel(unwanted);
  }

  /// Nothing is published from here on.
  void Disown() {
    const MutexLock lock(mutex_);
    stopped_ = true;
  }

  /// After Disown: the scheduler and the back end forget it.
  void Stop() {
    std::optional<Scheduler::TaskId> reconnect;
    std::optional<Scheduler::TaskId> watchdog;
    std::shared_ptr<WatchCall> call;
    {
      const MutexLock lock(mutex_);
      reconnect = std::exchange(reconnect_, std::nullopt);
      watchdog = std::exchange(watchdog_, std::nullopt);
      call.swap(call_);
    }
    // Without the lock, for which the tasks may wait.
    if (reconnect.has_value()) context_.scheduler.Cancel(*reconnect);
    if (watchdog.has_value()) context_.scheduler.Cancel(*watchdog);
    if (call != nullptr) call->Cancel(Unwatched());
  }

  void OnUpdate(WatchUpdate update) override {
    EndWatchdog();
    std::shared_ptr<WatchCall> call;
    absl::Status refused;
    {
      const MutexLock lock(mutex_);
      if (stopped_ || !refused_.ok()) return;
      refused = ApplyLocked(update);
      if (refused.ok()) {
        backoff_.Reset();
        away_ = update.complete.code();
        resume_ = std::move(update.position);
        hub_.Publish(service_, instances_, 0, update.complete);
      } else {
        refused_ = refused;
        call = call_;
      }
    }
    if (call != nullptr) call->Cancel(refused);
  }

  void OnEnd(absl::Status status, bool resumable) override {
    EndWatchdog();
    std::shared_ptr<WatchCall> call;  // goes without the lock
    const MutexLock lock(mutex_);
    ended_ = true;
    call.swap(call_);
    if (stopped_) return;
    if (!resumable || !refused_.ok()) resume_.clear();
    reconnect_ = context_.scheduler.RunAfter(
        AskedDelay(status) + backoff_.Next(),
        [self = std::weak_ptr<Watcher>(shared_from_this())] {
          if (const auto alive = self.lock()) alive->Open();
        });
    // Told once, not with each try; and last, so that whoever is told finds the
    // next try planned.
    if (!status.ok() && away_ != status.code()) {
      away_ = status.code();
      hub_.MarkAway(service_, status);
    }
  }

 private:
  static absl::Status Unwatched() {
    return absl::CancelledError("nobody watches");
  }

  void EndWatchdog() {
    std::optional<Scheduler::TaskId> watchdog;
    {
      const MutexLock lock(mutex_);
      // Open starts none after this.
      heard_ = true;
      watchdog = std::exchange(watchdog_, std::nullopt);
    }
    // Without the lock, for which the task may wait.
    if (watchdog.has_value()) context_.scheduler.Cancel(*watchdog);
  }

  void OnSilence(std::uint64_t number) {
    std::shared_ptr<WatchCall> call;
    {
      const MutexLock lock(mutex_);
      watchdog_.reset();
      if (stopped_ || heard_ || number != number_) return;
      call = call_;
    }
    if (call != nullptr) {
      call->Cancel(absl::DeadlineExceededError("the registry says nothing"));
    }
  }

  // Errors: what no registry that works would send.
  absl::Status ApplyLocked(WatchUpdate& update)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!update.snapshot && !based_) {
      return absl::DataLossError("the registry tells changes of nothing");
    }
    if (const std::size_t malformed = CleanInstances(update.changed);
        malformed > 0) {
      context_.logger.Warning(
          "left out what the registry tells of instances that make no sense",
          {{"registered_service", service_}, {"instances", malformed}});
    }
    if (update.snapshot && update.complete.ok()) {
      instances_ = std::move(update.changed);
    } else {
      if (!update.removed.empty()) {
        std::sort(update.removed.begin(), update.removed.end());
        instances_.erase(std::remove_if(instances_.begin(), instances_.end(),
                                        [&update](const Instance& instance) {
                                          return std::binary_search(
                                              update.removed.begin(),
                                              update.removed.end(),
                                              instance.address);
                                        }),
                         instances_.end());
      }
      if (!update.changed.empty()) {
        instances_ = Merge(instances_, update.changed);
      }
    }
    based_ = true;
    if (instances_.size() > kMaxInstances) {
      instances_.clear();
      based_ = false;
      return absl::DataLossError(absl::StrCat(
          "the registry tells of more than ", kMaxInstances, " instances"));
    }
    return absl::OkStatus();
  }

  NetworkBackend& backend_;
  const Context& context_;
  WatchHub& hub_;
  const std::string service_;

  // The hub's lock may be taken under this one.
  Mutex mutex_;
  Backoff backoff_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<WatchCall> call_ ABSL_GUARDED_BY(mutex_);
  // Of the call: which one it is, and how it goes.
  std::uint64_t number_ ABSL_GUARDED_BY(mutex_) = 0;
  bool heard_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status refused_ ABSL_GUARDED_BY(mutex_);
  std::optional<Scheduler::TaskId> reconnect_ ABSL_GUARDED_BY(mutex_);
  std::optional<Scheduler::TaskId> watchdog_ ABSL_GUARDED_BY(mutex_);
  // What is known, and whether changes may be told of it.
  std::vector<Instance> instances_ ABSL_GUARDED_BY(mutex_);
  bool based_ ABSL_GUARDED_BY(mutex_) = false;
  std::string resume_ ABSL_GUARDED_BY(mutex_);
  absl::StatusCode away_ ABSL_GUARDED_BY(mutex_) = absl::StatusCode::kOk;
};

// ----------------------------------------------------------------- registry

NetworkRegistry::NetworkRegistry(std::unique_ptr<NetworkBackend> backend,
                                 const RegistryConnectionOptions& options,
                                 Scheduler& scheduler, const Logger& logger,
                                 const Clock& clock, Random random)
    : backend_(std::move(backend)),
      context_(new Context{
          .options = {.call_timeout = options.call_timeout,
                      .reconnect_initial = options.reconnect_initial,
                      .reconnect_maximum = options.reconnect_maximum,
                      .deregister_timeout = options.deregister_timeout},
          .scheduler = scheduler,
          .logger = logger,
          .clock = clock,
          .random = std::move(random)}),
      hub_(scheduler, logger,
           [this](const std::string& service) { SyncWatch(service); }) {}

NetworkRegistry::~NetworkRegistry() { backend_->Close(); }

absl::StatusOr<std::unique_ptr<Registration>> NetworkRegistry::Register(
    std::string service, Instance instance, RegistrationOptions options) {
  absl::Status valid = CheckServiceName(service);
  valid.Update(CheckInstance(instance));
  valid.Update(CheckRegistrationOptions(options));
  if (!valid.ok()) return valid;
  auto place = table_.Take(service, instance.address);
  if (!place.ok()) return place.status();
  auto keeper =
      std::make_shared<Keeper>(*backend_, *context_, std::move(service),
                               std::move(instance), options.ttl);
  keeper->Start();
  return std::make_unique<LeasedRegistration>(*std::move(place),
                                              std::move(keeper));
}

absl::StatusOr<std::unique_ptr<InstanceWatch>> NetworkRegistry::Watch(
    std::string service, Registry::OnChange on_change) {
  if (absl::Status valid = CheckServiceName(service); !valid.ok()) return valid;
  return hub_.Watch(std::move(service), std::move(on_change));
}

void NetworkRegistry::SyncWatch(const std::string& service) {
  std::shared_ptr<Watcher> begins;
  std::shared_ptr<Watcher> ends;
  {
    const MutexLock lock(mutex_);
    const auto place = watchers_.find(service);
    if (hub_.IsWatched(service)) {
      if (place != watchers_.end()) return;
      begins = std::make_shared<Watcher>(*backend_, *context_, hub_, service);
      watchers_.emplace(service, begins);
    } else {
      if (place == watchers_.end()) return;
      ends = std::move(place->second);
      watchers_.erase(place);
      ends->Disown();
    }
  }
  if (begins != nullptr) begins->Open();
  if (ends != nullptr) ends->Stop();
}

}  // namespace grpccommon::internal
