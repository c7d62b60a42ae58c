// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/registry/lease_store.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "grpccommon/base/base64.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/string_view.h"
#include "openssl/rand.h"
#include "registry/instances.h"
#include "registry/watch_hub.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;

// A timer that is later than this says that the process stood still: stopped,
// swapped out or suspended. Its clients could not reach it either.
constexpr Clock::Duration kStandstill = 1s;

struct Record {
  Instance instance;
  std::string lease_id;
  Clock::Duration ttl{};
  Clock::TimePoint deadline;
};

struct Service {
  std::map<std::string, Record, std::less<>> records;  // by address
  std::uint64_t revision = 0;
};

using Services = std::map<std::string, Service, std::less<>>;

// Of a lease; both stay where they are while it lives.
struct Place {
  Services::iterator service;
  Record* record = nullptr;
};

absl::StatusOr<std::string> NewLeaseId() {
  unsigned char bytes[16];
  if (RAND_bytes(bytes, sizeof bytes) != 1) {
    return absl::InternalError("no random bytes for a lease");
  }
  return Base64UrlEncode(
      std::string_view(reinterpret_cast<const char*>(bytes), sizeof bytes));
}

absl::Status NoSuchLease() {
  return absl::NotFoundError("no such lease: it ended, or never was");
}

}  // namespace

class LeaseStore::Impl {
 public:
  Impl(Scheduler& scheduler, const LeaseStoreOptions& options,
       const Logger& logger, const Clock& clock)
      : options_(options),
        scheduler_(scheduler),
        logger_(logger),
        clock_(clock),
        hub_(scheduler, logger, [this](const std::string& service) {
          const MutexLock lock(mutex_);
          Changed(service);
        }) {}

  ~Impl() {
    std::vector<Scheduler::TaskId> tasks;
    {
      const MutexLock lock(mutex_);
      ended_ = true;
      for (const auto& [due, id] : timers_) tasks.push_back(id);
      if (expiring_ != 0) tasks.push_back(expiring_);
      if (flush_ != 0) tasks.push_back(flush_);
    }
    // Not under the lock, for which a running task may wait.
    for (const Scheduler::TaskId id : tasks) scheduler_.Cancel(id);
  }

  absl::StatusOr<Lease> Register(std::string_view service, Instance instance,
                                 Clock::Duration ttl) {
    absl::Status valid = CheckServiceName(service);
    valid.Update(CheckInstance(instance));
    if (ttl != kForever) {
      valid.Update(internal::CheckRegistrationOptions({.ttl = ttl}));
    }
    if (!valid.ok()) return valid;
    absl::StatusOr<std::string> id = NewLeaseId();
    if (!id.ok()) return id.status();

    const MutexLock lock(mutex_);
    const absl::StatusOr<Place> place = MakePlace(service, instance.address);
    if (!place.ok()) return place.status();
    Record& record = *place->record;
    if (!record.lease_id.empty()) Forget(record);
    record.lease_id = *id;
    record.ttl = ttl;
    leases_[*id] = *place;
    StartTime(record);
    Change(*place, std::move(instance));
    return Lease{.id = *std::move(id), .ttl = ttl, .revision = revision_};
  }

  absl::Status Renew(std::string_view lease_id) {
    const MutexLock lock(mutex_);
    const auto lease = leases_.find(ToAbsl(lease_id));
    if (lease == leases_.end()) return NoSuchLease();
    StopTime(*lease->second.record);
    StartTime(*lease->second.record);
    return absl::OkStatus();
  }

  absl::StatusOr<std::uint64_t> Update(std::string_view lease_id,
                                       Instance instance) {
    if (absl::Status valid = CheckInstance(instance); !valid.ok()) return valid;
    const MutexLock lock(mutex_);
    const auto lease = leases_.find(ToAbsl(lease_id));
    if (lease == leases_.end()) return NoSuchLease();
    if (instance.address != lease->second.record->instance.address) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the address of a lease cannot change, here from ",
          lease->second.record->instance.address, " to ", instance.address));
    }
    Change(lease->second, std::move(instance));
    return revision_;
  }

  absl::Status Deregister(std::string_view lease_id) {
    const MutexLock lock(mutex_);
    const auto lease = leases_.find(ToAbsl(lease_id));
    if (lease == leases_.end()) return NoSuchLease();
    Remove(lease->second);
    return absl::OkStatus();
  }

  View Lookup(std::string_view service) const {
    const MutexLock lock(mutex_);
    View view{.revision = revision_};
    const auto found = services_.find(service);
    if (found == services_.end()) return view;
    view.revision = found->second.revision;
    view.instances.reserve(found->second.records.size());
    for (const auto& [address, record] : found->second.records) {
      view.instances.push_back(record.instance);
    }
    return view;
  }

  std::vector<Summary> List(std::string_view after, std::size_t limit) const {
    std::vector<Summary> page;
    const MutexLock lock(mutex_);
    for (auto place = services_.upper_bound(after);
         place != services_.end() && page.size() < limit; ++place) {
      page.push_back({.service = place->first,
                      .instances = place->second.records.size(),
                      .revision = place->second.revision});
    }
    return page;
  }

  std::uint64_t revision() const {
    const MutexLock lock(mutex_);
    return revision_;
  }

  absl::StatusOr<std::unique_ptr<InstanceWatch>> Watch(std::string service,
                                                       OnChange on_change) {
    if (absl::Status valid = CheckServiceName(service); !valid.ok()) {
      return valid;
    }
    return hub_.Watch(std::move(service), std::move(on_change));
  }

 private:
  // Finds or makes the place of an address, as far as there is room.
  absl::StatusOr<Place> MakePlace(std::string_view service,
                                  const std::string& address)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    auto found = services_.find(service);
    if (found != services_.end()) {
      const auto record = found->second.records.find(address);
      if (record != found->second.records.end()) {
        return Place{found, &record->second};
      }
    }
    if (leases_.size() >= options_.max_instances) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the registry is full: it holds ",
                       options_.max_instances, " instances"));
    }
    if (found == services_.end()) {
      if (services_.size() >= options_.max_services) {
        return absl::ResourceExhaustedError(
            absl::StrCat("the registry is full: it holds ",
                         options_.max_services, " services"));
      }
      found = services_.try_emplace(std::string(service)).first;
    }
    return Place{found, &found->second.records[address]};
  }

  void StartTime(Record& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (record.ttl == kForever) return;
    record.deadline = clock_.Now() + record.ttl;
    deadlines_.emplace(record.deadline, record.lease_id);
    PlanTimer();
  }

  void StopTime(const Record& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (record.ttl == kForever) return;
    deadlines_.erase({record.deadline, record.lease_id});
  }

  void Forget(const Record& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    StopTime(record);
    leases_.erase(record.lease_id);
  }

  void Change(const Place& place, Instance instance)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (place.record->instance == instance) return;
    place.record->instance = std::move(instance);
    place.service->second.revision = ++revision_;
    Changed(place.service->first);
  }

  // By value: the place goes with its lease.
  void Remove(Place place) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    Forget(*place.record);
    Service& service = place.service->second;
    service.revision = ++revision_;
    Changed(place.service->first);
    // By iterator: the key would be the record's own while it is destroyed.
    service.records.erase(service.records.find(place.record->instance.address));
    if (service.records.empty()) services_.erase(place.service);
  }

  // Has the watchers told, if there are any, of all that changes until then.
  void Changed(const std::string& service)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (ended_ || !hub_.IsWatched(service)) return;
    dirty_.insert(service);
    if (!flush_planned_) PlanFlush();
  }

  void PlanFlush() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    flush_planned_ = true;
    flush_ = scheduler_.RunAfter(Clock::Duration::zero(), [this] { Flush(); });
  }

  // The next one is planned by this one when it is done: the destructor waits
  // for the latest, and so for every one.
  void Flush() {
    std::set<std::string> dirty;
    {
      const MutexLock lock(mutex_);
      dirty.swap(dirty_);
    }
    for (const std::string& service : dirty) {
      View view = Lookup(service);
      hub_.Publish(service, std::move(view.instances), view.revision);
    }
    const MutexLock lock(mutex_);
    flush_planned_ = false;
    if (!dirty_.empty() && !ended_) PlanFlush();
  }

  // One timer at the earliest deadline does: when it fires and the lease has
  // been renewed meanwhile, the next one is planned. A renewal plans nothing.
  void PlanTimer() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (deadlines_.empty() || ended_) return;
    const Clock::TimePoint due = deadlines_.begin()->first;
    if (!timers_.empty() && timers_.begin()->first <= due) return;
    timers_[due] =
        scheduler_.RunAfter(due - clock_.Now(), [this, due] { Expire(due); });
  }

  void Expire(Clock::TimePoint due) {
    std::map<std::string, std::size_t> expired;
    {
      const MutexLock lock(mutex_);
      const auto timer = timers_.find(due);
      expiring_ = timer->second;
      timers_.erase(timer);
      const Clock::TimePoint now = clock_.Now();
      // Of several timers that are late, the first speaks for all.
      if (now - std::max(due, forgiven_at_) > kStandstill) Forgive(now);
      while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
        const Place place = leases_[deadlines_.begin()->second];
        ++expired[place.service->first];
        Remove(place);
      }
      PlanTimer();
    }
    for (const auto& [service, count] : expired) {
      logger_.Warning("leases expired",
                      {{"registry_service", service}, {"instances", count}});
    }
  }

  // Nobody knows when it began to stand still, so all times begin anew.
  void Forgive(Clock::TimePoint now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    deadlines_.clear();
    for (const auto& [id, place] : leases_) {
      Record& record = *place.record;
      if (record.ttl == kForever) continue;
      record.deadline = now + record.ttl;
      deadlines_.emplace(record.deadline, id);
    }
    forgiven_at_ = now;
  }

  const LeaseStoreOptions options_;
  Scheduler& scheduler_;
  const Logger logger_;
  const Clock& clock_;

  mutable Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::uint64_t revision_ ABSL_GUARDED_BY(mutex_) = 0;
  Services services_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, Place> leases_ ABSL_GUARDED_BY(mutex_);
  std::set<std::pair<Clock::TimePoint, std::string>> deadlines_
      ABSL_GUARDED_BY(mutex_);
  // Planned runs of Expire, and the one that began last.
  std::map<Clock::TimePoint, Scheduler::TaskId> timers_ ABSL_GUARDED_BY(mutex_);
  Scheduler::TaskId expiring_ ABSL_GUARDED_BY(mutex_) = 0;
  Clock::TimePoint forgiven_at_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> dirty_ ABSL_GUARDED_BY(mutex_);
  bool flush_planned_ ABSL_GUARDED_BY(mutex_) = false;
  Scheduler::TaskId flush_ ABSL_GUARDED_BY(mutex_) = 0;

  // Asked under the lock above, and never asks for it under its own.
  internal::WatchHub hub_;
};

absl::StatusOr<std::unique_ptr<LeaseStore>> LeaseStore::Create(
    Scheduler& scheduler, const LeaseStoreOptions& options,
    const Logger& logger, const Clock& clock) {
  absl::Status valid = CheckRange(
      "max_services", static_cast<double>(options.max_services), 1, 1e6);
  valid.Update(CheckRange("max_instances",
                          static_cast<double>(options.max_instances), 1, 1e6));
  if (!valid.ok()) return valid;
  return absl::WrapUnique(new LeaseStore(
      std::make_unique<Impl>(scheduler, options, logger, clock)));
}

LeaseStore::LeaseStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LeaseStore::~LeaseStore() = default;

absl::StatusOr<Lease> LeaseStore::Register(std::string_view service,
                                           Instance instance,
                                           Clock::Duration ttl) {
  return impl_->Register(service, std::move(instance), ttl);
}

absl::Status LeaseStore::Renew(std::string_view lease_id) {
  return impl_->Renew(lease_id);
}

absl::StatusOr<std::uint64_t> LeaseStore::Update(std::string_view lease_id,
                                                 Instance instance) {
  return impl_->Update(lease_id, std::move(instance));
}

absl::Status LeaseStore::Deregister(std::string_view lease_id) {
  return impl_->Deregister(lease_id);
}

LeaseStore::View LeaseStore::Lookup(std::string_view service) const {
  return impl_->Lookup(service);
}

std::vector<LeaseStore::Summary> LeaseStore::List(std::string_view after,
                                                  std::size_t limit) const {
  return impl_->List(after, limit);
}

std::uint64_t LeaseStore::revision() const { return impl_->revision(); }

absl::StatusOr<std::unique_ptr<InstanceWatch>> LeaseStore::Watch(
    std::string service, OnChange on_change) {
  return impl_->Watch(std::move(service), std::move(on_change));
}

}  // namespace grpccommon
