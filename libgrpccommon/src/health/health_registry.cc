// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/health/health_registry.h"

#include <utility>

#include "grpccommon/base/mutex.h"

namespace grpccommon {

std::string_view ServingStatusName(ServingStatus status) {
  switch (status) {
    case ServingStatus::kServing:
      return "SERVING";
    case ServingStatus::kNotServing:
      return "NOT_SERVING";
    case ServingStatus::kServiceUnknown:
      return "SERVICE_UNKNOWN";
    case ServingStatus::kUnknown:
      break;
  }
  return "UNKNOWN";
}

struct HealthRegistry::State {
  using Listener = std::shared_ptr<const OnChange>;

  struct Service {
    // As its owner set it; none while it is only watched or held.
    std::optional<ServingStatus> own;
    // Negative for a moment when a Release overtakes its Hold.
    int holds = 0;
    std::map<const void*, Listener> watches;

    bool unused() const {
      return !own.has_value() && holds == 0 && watches.empty();
    }
  };

  ServingStatus StatusOf(const Service& service) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (!service.own.has_value()) return ServingStatus::kServiceUnknown;
    if (shut_down || service.holds + holds_on_all > 0) {
      return ServingStatus::kNotServing;
    }
    return *service.own;
  }

  // Makes one change to one service, and tells who watches it.
  template <typename Change>
  void Apply(std::string_view name, Change change) {
    std::vector<Listener> listeners;
    {
      const MutexLock lock(mutex);
      const auto place = services.try_emplace(std::string(name)).first;
      const ServingStatus before = StatusOf(place->second);
      change(place->second);
      if (StatusOf(place->second) != before) Collect(place->second, listeners);
      if (place->second.unused()) services.erase(place);
    }
    Tell(listeners);
  }

  void ApplyToAll(int more_holds, bool shut_down_now) {
    std::vector<Listener> listeners;
    {
      const MutexLock lock(mutex);
      std::map<const Service*, ServingStatus> before;
      for (const auto& service : services) {
        before[&service.second] = StatusOf(service.second);
      }
      holds_on_all += more_holds;
      shut_down = shut_down || shut_down_now;
      for (const auto& service : services) {
        if (StatusOf(service.second) != before[&service.second]) {
          Collect(service.second, listeners);
        }
      }
    }
    Tell(listeners);
  }

  static void Collect(const Service& service,
                      std::vector<Listener>& listeners) {
    for (const auto& watch : service.watches) {
      listeners.push_back(watch.second);
    }
  }

  static void Tell(const std::vector<Listener>& listeners) {
    for (const Listener& listener : listeners) (*listener)();
  }

  void ChangeHolds(const std::vector<std::string>& names, int more) {
    if (names.empty()) {
      ApplyToAll(more, /*shut_down_now=*/false);
      return;
    }
    for (const std::string& name : names) {
      Apply(name, [more](Service& service) { service.holds += more; });
    }
  }

  mutable Mutex mutex;
  std::map<std::string, Service, std::less<>> services ABSL_GUARDED_BY(mutex);
  int holds_on_all ABSL_GUARDED_BY(mutex) = 0;
  bool shut_down ABSL_GUARDED_BY(mutex) = false;
  std::size_t watches ABSL_GUARDED_BY(mutex) = 0;
};

HealthRegistry::HealthRegistry() : state_(std::make_shared<State>()) {
  SetServing("", ServingStatus::kNotServing);
}

HealthRegistry::~HealthRegistry() = default;

void HealthRegistry::SetServing(std::string_view service,
                                ServingStatus status) {
  state_->Apply(service, [status](State::Service& changed) {
    if (status == ServingStatus::kServiceUnknown) {
      changed.own = std::nullopt;
    } else {
      changed.own = status;
    }
  });
}

void HealthRegistry::Shutdown() {
  state_->ApplyToAll(/*more_holds=*/0, /*shut_down_now=*/true);
}

void HealthRegistry::Hold(const std::vector<std::string>& services) {
  state_->ChangeHolds(services, 1);
}

void HealthRegistry::Release(const std::vector<std::string>& services) {
  state_->ChangeHolds(services, -1);
}

std::optional<ServingStatus> HealthRegistry::Get(
    std::string_view service) const {
  const MutexLock lock(state_->mutex);
  const auto place = state_->services.find(service);
  if (place == state_->services.end() || !place->second.own.has_value()) {
    return std::nullopt;
  }
  return state_->StatusOf(place->second);
}

std::map<std::string, ServingStatus> HealthRegistry::List() const {
  std::map<std::string, ServingStatus> all;
  const MutexLock lock(state_->mutex);
  for (const auto& [name, service] : state_->services) {
    if (service.own.has_value()) all[name] = state_->StatusOf(service);
  }
  return all;
}

std::unique_ptr<HealthRegistryWatch> HealthRegistry::Watch(
    std::string_view service, OnChange on_change) {
  class WatchImpl : public HealthRegistryWatch {
   public:
    WatchImpl(std::shared_ptr<State> state, std::string_view service)
        : state_(std::move(state)), service_(service) {}

    ~WatchImpl() override {
      // Freed after the lock, since what it owns may be anything.
      State::Listener listener;
      const MutexLock lock(state_->mutex);
      const auto place = state_->services.find(service_);
      listener = std::move(place->second.watches.at(this));
      place->second.watches.erase(this);
      if (place->second.unused()) state_->services.erase(place);
      --state_->watches;
    }

    ServingStatus Current() const override {
      const MutexLock lock(state_->mutex);
      return state_->StatusOf(state_->services.find(service_)->second);
    }

   private:
    const std::shared_ptr<State> state_;
    const std::string service_;
  };

  auto listener = std::make_shared<const OnChange>(std::move(on_change));
  const MutexLock lock(state_->mutex);
  auto watch = std::make_unique<WatchImpl>(state_, service);
  state_->services[std::string(service)].watches[watch.get()] =
      std::move(listener);
  ++state_->watches;
  return watch;
}

std::size_t HealthRegistry::watches() const {
  const MutexLock lock(state_->mutex);
  return state_->watches;
}

}  // namespace grpccommon
