// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/registry/memory_registry.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "grpccommon/base/mutex.h"
#include "registry/instances.h"
#include "registry/registration_table.h"

namespace grpccommon {
namespace {

using internal::RegistrationTable;

class MemoryRegistration : public Registration {
 public:
  MemoryRegistration(LeaseStore& store,
                     std::unique_ptr<RegistrationTable::Place> place,
                     std::string lease_id)
      : store_(store),
        place_(std::move(place)),
        lease_id_(std::move(lease_id)) {}

  ~MemoryRegistration() override {
    const MutexLock lock(mutex_);
    // A lease that somebody else's has replaced is nothing to take out.
    store_.Deregister(lease_id_).IgnoreError();
  }

  absl::Status Update(Instance instance) override {
    if (instance.address != place_->address()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the address of a registration cannot change, here "
                       "from ",
                       place_->address(), " to ", instance.address));
    }
    const MutexLock lock(mutex_);
    absl::Status updated = store_.Update(lease_id_, instance).status();
    if (!absl::IsNotFound(updated)) return updated;
    absl::StatusOr<Lease> lease = store_.Register(
        place_->service(), std::move(instance), LeaseStore::kForever);
    if (lease.ok()) lease_id_ = std::move(lease->id);
    return lease.status();
  }

  absl::Status WaitRegistered(Clock::Duration /*timeout*/) override {
    const MutexLock lock(mutex_);
    return store_.Renew(lease_id_);
  }

 private:
  LeaseStore& store_;
  const std::unique_ptr<RegistrationTable::Place> place_;
  Mutex mutex_;
  std::string lease_id_ ABSL_GUARDED_BY(mutex_);
};

class MemoryRegistry : public Registry {
 public:
  explicit MemoryRegistry(std::unique_ptr<LeaseStore> store)
      : own_(std::move(store)), store_(*own_) {}
  explicit MemoryRegistry(LeaseStore& store) : store_(store) {}

  absl::StatusOr<std::unique_ptr<Registration>> Register(
      std::string service, Instance instance,
      RegistrationOptions options) override {
    absl::Status valid = internal::CheckRegistrationOptions(options);
    valid.Update(CheckServiceName(service));
    valid.Update(CheckInstance(instance));
    if (!valid.ok()) return valid;
    absl::StatusOr<std::unique_ptr<RegistrationTable::Place>> place =
        registrations_.Take(service, instance.address);
    if (!place.ok()) return place.status();
    absl::StatusOr<Lease> lease =
        store_.Register(service, std::move(instance), LeaseStore::kForever);
    if (!lease.ok()) return lease.status();
    return std::make_unique<MemoryRegistration>(store_, *std::move(place),
                                                std::move(lease->id));
  }

  absl::StatusOr<std::unique_ptr<InstanceWatch>> Watch(
      std::string service, OnChange on_change) override {
    return store_.Watch(
        std::move(service),
        [call = std::move(on_change)](
            const InstanceSet& set, std::uint64_t /*revision*/) { call(set); });
  }

 private:
  const std::unique_ptr<LeaseStore> own_;
  LeaseStore& store_;
  RegistrationTable registrations_;
};

}  // namespace

std::unique_ptr<Registry> CreateMemoryRegistry(Scheduler& scheduler,
                                               const Logger& logger) {
  // The default options are in range.
  return std::make_unique<MemoryRegistry>(
      *LeaseStore::Create(scheduler, {}, logger));
}

std::unique_ptr<Registry> CreateMemoryRegistry(LeaseStore& store) {
  return std::make_unique<MemoryRegistry>(store);
}

}  // namespace grpccommon
