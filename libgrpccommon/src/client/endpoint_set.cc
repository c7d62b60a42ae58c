// SPDX-License-Identifier: Apache-2.0
#include "client/endpoint_set.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <iterator>
#include <limits>
#include <string_view>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "grpccommon/balance/subset.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/status/details.h"

namespace grpccommon::internal {
namespace {

// How often endpoints that are out of use are looked at, while there are any.
constexpr Clock::Duration kSweepInterval = std::chrono::milliseconds(200);
// How long calls may take to let go of their endpoint after their end.
constexpr auto kMostLettingGo = std::chrono::seconds(5);

std::string_view EjectionEventName(EjectionEvent event) {
  switch (event) {
    case EjectionEvent::kConsecutiveFailures:
      return "consecutive_failures";
    case EjectionEvent::kSuccessRate:
      return "success_rate";
    case EjectionEvent::kFailurePercentage:
      return "failure_percentage";
    case EjectionEvent::kReturned:
      return "returned";
  }
  return "unknown";
}

absl::Status CheckOptions(const DiscoveryOptions& options) {
  absl::Status status = CheckRange("discovery.connections_per_endpoint",
                                   options.connections_per_endpoint, 1, 64);
  status.Update(CheckRange("discovery.max_endpoints",
                           static_cast<double>(options.max_endpoints), 1,
                           10'000));
  status.Update(CheckRange("discovery.max_wait", options.max_wait,
                           Clock::Duration::zero(), std::chrono::hours(1)));
  status.Update(CheckRange("discovery.max_waiting",
                           static_cast<double>(options.max_waiting), 0, 1e6));
  if (options.health_service.has_value()) {
    status.Update(CheckOptions(options.health_watch));
  }
  return status;
}

}  // namespace

ClientEndpoint::ClientEndpoint(EndpointOptions options, Instance instance)
    : Endpoint(std::move(options)), instance_(std::move(instance)) {}

ClientEndpoint::~ClientEndpoint() = default;

std::shared_ptr<grpc::Channel> ClientEndpoint::Connected() {
  const std::size_t count = connections_.size();
  const std::size_t first =
      count == 1 ? 0 : next_.fetch_add(1, std::memory_order_relaxed);
  for (std::size_t i = 0; i < count; ++i) {
    const std::shared_ptr<grpc::Channel>& channel =
        connections_[(first + i) % count].channel;
    if (channel->GetState(false) == GRPC_CHANNEL_READY) return channel;
  }
  return nullptr;
}

EndpointSet::EndpointSet(std::string service, const DiscoveryOptions& options,
                         EndpointSetContext context,
                         std::unique_ptr<ChannelFactory> channels)
    : service_(std::move(service)),
      options_(options),
      context_(std::move(context)),
      secure_(channels->secure()),
      channels_(std::move(channels)) {}

EndpointSet::~EndpointSet() { Shutdown(); }

absl::StatusOr<std::unique_ptr<EndpointSet>> EndpointSet::Create(
    std::string service, const DiscoveryOptions& options,
    EndpointSetContext context) {
  if (absl::Status valid = CheckOptions(options); !valid.ok()) return valid;
  absl::StatusOr<std::unique_ptr<ChannelFactory>> channels =
      ChannelFactory::Create(options.channel, context.scheduler,
                             context.logger);
  if (!channels.ok()) return channels.status();
  std::unique_ptr<EndpointSet> set(new EndpointSet(
      std::move(service), options, std::move(context), *std::move(channels)));
  absl::StatusOr<std::unique_ptr<Balancer>> balancer =
      CreateBalancer(options.balancer, set->context_.random);
  if (!balancer.ok()) return balancer.status();
  set->balancer_ = *std::move(balancer);
  if (options.ejection.has_value()) {
    absl::StatusOr<std::unique_ptr<OutlierDetector>> outliers =
        OutlierDetector::Create(
            *options.ejection, set->context_.random,
            [raw = set.get()](const Endpoint& endpoint, EjectionEvent event) {
              raw->context_.logger.Warning(
                  event == EjectionEvent::kReturned ? "endpoint returns"
                                                    : "endpoint ejected",
                  {{"target", raw->service_},
                   {"endpoint", endpoint.address()},
                   {"reason", EjectionEventName(event)}});
            });
    if (!outliers.ok()) return outliers.status();
    set->outliers_ = *std::move(outliers);
  }
  absl::StatusOr<std::unique_ptr<InstanceWatch>> watch =
      set->context_.registry.Watch(
          set->service_, [raw = set.get()](const InstanceSet& instances) {
            raw->OnInstances(instances);
          });
  if (!watch.ok()) return watch.status();
  set->watch_ = *std::move(watch);
  return set;
}

void EndpointSet::Shutdown() {
  std::map<std::uint64_t, Waiter> waiters;
  Endpoints endpoints;
  {
    const MutexLock lock(mutex_);
    if (shut_down_) return;
    shut_down_ = true;
    waiters.swap(waiters_);
  }
  watch_.reset();
  {
    const MutexLock lock(mutex_);
    endpoints.swap(endpoints_);
  }
  for (auto& [id, waiter] : waiters) {
    context_.scheduler.Cancel(waiter.timer);
    waiter.done(absl::CancelledError("the client is shut down"));
  }
  Unwatch(endpoints);
  if (outliers_ != nullptr) outliers_->Update({}, context_.clock.Now());
  Publish();

  std::vector<std::shared_ptr<ClientEndpoint>> retired;
  Scheduler::TaskId sweep = 0;
  {
    const MutexLock lock(mutex_);
    retired.swap(retired_);
    sweep = std::exchange(sweep_, 0);
  }
  if (sweep != 0) context_.scheduler.Cancel(sweep);
  for (auto& [address, endpoint] : endpoints) {
    retired.push_back(std::move(endpoint));
  }
  endpoints.clear();
  // A call that has just ended may still be about to let go.
  const auto give_up = std::chrono::steady_clock::now() + kMostLettingGo;
  for (std::shared_ptr<ClientEndpoint>& endpoint : retired) {
    while (endpoint.use_count() > 1 &&
           std::chrono::steady_clock::now() < give_up) {
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
    endpoint.reset();
  }
  channels_.reset();
}

EndpointSet::Pick EndpointSet::TryPick(PickContext context) {
  std::array<const Endpoint*, 32> avoid;
  bool copied = false;
  for (;;) {
    std::shared_ptr<Endpoint> picked = balancer_->Pick(context);
    if (picked == nullptr) return {};
    auto endpoint = std::static_pointer_cast<ClientEndpoint>(std::move(picked));
    if (std::shared_ptr<grpc::Channel> channel = endpoint->Connected()) {
      return {std::move(endpoint), std::move(channel)};
    }
    // Lost, and nobody has told us yet.
    MarkDisconnected(*endpoint);
    if (!copied) {
      std::copy_n(context.avoid, context.avoid_count, avoid.begin());
      context.avoid = avoid.data();
      copied = true;
    }
    if (context.avoid_count == avoid.size()) return {};
    avoid[context.avoid_count++] = endpoint.get();
  }
}

void EndpointSet::WaitAsync(Clock::TimePoint deadline,
                            std::function<void(absl::Status)> done) {
  const Clock::Duration wait =
      std::min(options_.max_wait, deadline - context_.clock.Now());
  absl::Status status;
  {
    const MutexLock lock(mutex_);
    if (shut_down_) {
      status = absl::CancelledError("the client is shut down");
    } else if (usable_ > 0) {
      status = absl::OkStatus();
    } else if (wait <= Clock::Duration::zero()) {
      status = NothingToPick();
    } else if (waiters_.size() >= options_.max_waiting) {
      status = Exhausted("TOO_MANY_WAITING", service_,
                         absl::StrCat(waiters_.size(),
                                      " calls already wait for an instance "
                                      "of '",
                                      service_, "'"),
                         std::chrono::seconds(1));
    } else {
      const std::uint64_t id = ++last_waiter_;
      Waiter& waiter = waiters_[id];
      waiter.done = std::move(done);
      waiter.timer =
          context_.scheduler.RunAfter(wait, [this, id] { OnWaitOver(id); });
      return;
    }
  }
  done(std::move(status));
}

void EndpointSet::OnWaitOver(std::uint64_t id) {
  std::function<void(absl::Status)> done;
  absl::Status status;
  {
    const MutexLock lock(mutex_);
    const auto waiter = waiters_.find(id);
    if (waiter == waiters_.end()) return;
    done = std::move(waiter->second.done);
    waiters_.erase(waiter);
    status = NothingToPick();
  }
  done(std::move(status));
}

absl::Status EndpointSet::NothingToPick() const {
  std::string message;
  if (!known_) {
    message = absl::StrCat("instances of '", service_, "' are not known yet");
  } else if (instances_ == 0) {
    message = absl::StrCat("no instance of '", service_, "' is registered");
  } else {
    std::size_t unhealthy = 0;
    std::size_t unconnected = 0;
    for (const auto& [address, endpoint] : endpoints_) {
      if (!endpoint->instance_.healthy || !endpoint->serving_) {
        ++unhealthy;
      } else if (!endpoint->usable_) {
        ++unconnected;
      }
    }
    message =
        absl::StrCat("none of the ", instances_, " instances of '", service_,
                     "' can be used: ", unconnected, " cannot be reached, ",
                     unhealthy, " are not healthy");
  }
  if (!registry_status_.ok()) {
    absl::StrAppend(&message, "; the registry: ", registry_status_.message());
  }
  return WithReason(absl::UnavailableError(message), "NO_ENDPOINT",
                    kErrorDomain, {{"service", service_}});
}

void EndpointSet::OnEnd(ClientEndpoint& endpoint, Outcome outcome,
                        Clock::Duration rtt, Clock::TimePoint now) {
  const int failures = endpoint.OnEnd(outcome, rtt, now);
  if (outliers_ != nullptr && outliers_->OnEnd(endpoint, failures, now)) {
    Publish();
  }
}

void EndpointSet::OnStreamEnd(ClientEndpoint& endpoint, Outcome outcome,
                              Clock::TimePoint now) {
  const int failures = endpoint.OnStreamEnd(outcome);
  if (outliers_ != nullptr && outliers_->OnEnd(endpoint, failures, now)) {
    Publish();
  }
}

std::vector<Instance> EndpointSet::Choose(
    const std::vector<Instance>& instances) const {
  if (instances.size() <= options_.max_endpoints) return instances;
  std::vector<std::string_view> addresses;
  addresses.reserve(instances.size());
  for (const Instance& instance : instances) {
    addresses.push_back(instance.address);
  }
  std::vector<Instance> chosen;
  for (const std::size_t index :
       ChooseSubset(context_.client_id, addresses, options_.max_endpoints)) {
    chosen.push_back(instances[index]);
  }
  return chosen;
}

// Runs for one set of instances at a time.
void EndpointSet::OnInstances(const InstanceSet& set) {
  Endpoints old;
  {
    const MutexLock lock(mutex_);
    if (shut_down_) return;
    known_ = known_ || set.status.ok() || !set.instances.empty();
    registry_status_ = set.status;
    instances_ = set.instances.size();
    old = endpoints_;
  }
  Endpoints next;
  std::vector<std::shared_ptr<Endpoint>> watched;
  for (const Instance& instance : Choose(set.instances)) {
    const auto known = old.find(instance.address);
    std::shared_ptr<ClientEndpoint> endpoint;
    if (known != old.end() && known->second->zone() == instance.zone &&
        known->second->metadata() == instance.metadata) {
      endpoint = known->second;
      endpoint->set_weight(instance.weight);
      old.erase(known);
      const MutexLock lock(mutex_);
      endpoint->instance_ = instance;
    } else {
      endpoint = Connect(instance);
    }
    watched.push_back(endpoint);
    next.emplace(instance.address, std::move(endpoint));
  }
  {
    const MutexLock lock(mutex_);
    endpoints_ = std::move(next);
  }
  if (outliers_ != nullptr) outliers_->Update(watched, context_.clock.Now());
  Publish();
  // Calls on the way to an instance that is gone keep its connections.
  Unwatch(old);
  if (context_.breakers != nullptr) {
    for (const auto& [address, endpoint] : old) {
      const MutexLock lock(mutex_);
      if (!endpoints_.contains(address)) context_.breakers->Remove(address);
    }
  }
  Retire(std::move(old));
}

std::shared_ptr<ClientEndpoint> EndpointSet::Connect(const Instance& instance) {
  auto endpoint = std::make_shared<ClientEndpoint>(
      EndpointOptions{.address = instance.address,
                      .weight = instance.weight,
                      .zone = instance.zone,
                      .metadata = instance.metadata},
      instance);
  const auto count =
      static_cast<std::size_t>(options_.connections_per_endpoint);
  endpoint->ready_.assign(count, false);
  endpoint->serving_ = !options_.health_service.has_value();
  for (std::size_t i = 0; i < count; ++i) {
    // Kept however long nobody calls: an endpoint that has to connect first
    // could not be picked.
    endpoint->connections_.push_back(
        {channels_->ConnectTo(instance.address,
                              {{GRPC_ARG_CLIENT_IDLE_TIMEOUT_MS,
                                std::numeric_limits<int>::max()}}),
         nullptr});
  }
  if (context_.breakers != nullptr) {
    absl::StatusOr<std::shared_ptr<CircuitBreaker>> breaker =
        context_.breakers->Get(instance.address);
    // More endpoints than breakers: those beyond have none.
    if (breaker.ok()) endpoint->breaker_ = *std::move(breaker);
  }
  const std::weak_ptr<ClientEndpoint> weak = endpoint;
  for (std::size_t i = 0; i < count; ++i) {
    ClientEndpoint::Connection& connection = endpoint->connections_[i];
    connection.watch = context_.monitor.Add(
        connection.channel, [this, weak, i](grpc_connectivity_state state) {
          OnConnection(weak, i, state);
        });
  }
  if (options_.health_service.has_value()) {
    endpoint->health_ = std::make_unique<HealthWatch>(
        endpoint->connections_.front().channel, *options_.health_service,
        context_.scheduler,
        [this, weak](HealthState state) { OnHealth(weak, state); },
        options_.health_watch, context_.random);
  }
  return endpoint;
}

void EndpointSet::OnConnection(const std::weak_ptr<ClientEndpoint>& weak,
                               std::size_t connection,
                               grpc_connectivity_state state) {
  const std::shared_ptr<ClientEndpoint> endpoint = weak.lock();
  if (endpoint == nullptr) return;
  {
    const MutexLock lock(mutex_);
    const bool ready = state == GRPC_CHANNEL_READY;
    if (endpoint->ready_[connection] == ready) return;
    endpoint->ready_[connection] = ready;
  }
  Publish();
}

void EndpointSet::OnHealth(const std::weak_ptr<ClientEndpoint>& weak,
                           HealthState state) {
  const std::shared_ptr<ClientEndpoint> endpoint = weak.lock();
  if (endpoint == nullptr) return;
  {
    const MutexLock lock(mutex_);
    if (endpoint->serving_ == MayServe(state)) return;
    endpoint->serving_ = MayServe(state);
  }
  Publish();
}

void EndpointSet::MarkDisconnected(ClientEndpoint& endpoint) {
  {
    const MutexLock lock(mutex_);
    endpoint.ready_.assign(endpoint.ready_.size(), false);
    if (shut_down_) return;
  }
  Publish();
  // Each is told how it is, so that one that has come back meanwhile is found.
  const MutexLock lock(mutex_);
  for (const ClientEndpoint::Connection& connection : endpoint.connections_) {
    if (connection.watch != nullptr) connection.watch->Refresh();
  }
}

void EndpointSet::Publish() {
  std::map<std::uint64_t, Waiter> waiters;
  {
    const MutexLock publish_lock(publish_mutex_);
    std::vector<std::shared_ptr<Endpoint>> usable = FindUsable();
    if (outliers_ != nullptr) usable = outliers_->Admit(std::move(usable));
    const std::size_t count = usable.size();
    balancer_->Update(std::move(usable));
    const MutexLock lock(mutex_);
    usable_ = count;
    if (count > 0) waiters.swap(waiters_);
  }
  for (auto& [id, waiter] : waiters) {
    context_.scheduler.Cancel(waiter.timer);
    waiter.done(absl::OkStatus());
  }
}

std::vector<std::shared_ptr<Endpoint>> EndpointSet::FindUsable() {
  const Clock::TimePoint now = context_.clock.Now();
  std::vector<std::shared_ptr<Endpoint>> found;
  const MutexLock lock(mutex_);
  for (const auto& [address, endpoint] : endpoints_) {
    const bool usable = AnyReady(*endpoint) && endpoint->serving_ &&
                        endpoint->instance_.healthy;
    if (usable && !endpoint->usable_) endpoint->OnReady(now);
    endpoint->usable_ = usable;
    if (usable) found.push_back(endpoint);
  }
  return found;
}

bool EndpointSet::AnyReady(const ClientEndpoint& endpoint) {
  return std::find(endpoint.ready_.begin(), endpoint.ready_.end(), true) !=
         endpoint.ready_.end();
}

// Callbacks that are running are waited for, so without a lock.
void EndpointSet::Unwatch(const Endpoints& endpoints) {
  for (const auto& [address, endpoint] : endpoints) {
    std::vector<std::unique_ptr<ConnectionMonitor::Watch>> watches;
    {
      const MutexLock lock(mutex_);
      for (ClientEndpoint::Connection& connection : endpoint->connections_) {
        watches.push_back(std::move(connection.watch));
      }
    }
    endpoint->health_.reset();
  }
}

void EndpointSet::Retire(Endpoints endpoints) {
  if (endpoints.empty()) return;
  const MutexLock lock(mutex_);
  for (auto& [address, endpoint] : endpoints) {
    retired_.push_back(std::move(endpoint));
  }
  if (shut_down_ || sweep_ != 0) return;
  sweep_ = context_.scheduler.RunAfter(kSweepInterval, [this] { Sweep(); });
}

// On the scheduler's thread, which is none of gRPC's.
void EndpointSet::Sweep() {
  std::vector<std::shared_ptr<ClientEndpoint>> free;
  const MutexLock lock(mutex_);
  const auto unused = std::partition(
      retired_.begin(), retired_.end(),
      [](const auto& endpoint) { return endpoint.use_count() > 1; });
  free.assign(std::make_move_iterator(unused),
              std::make_move_iterator(retired_.end()));
  retired_.erase(unused, retired_.end());
  sweep_ =
      retired_.empty() || shut_down_
          ? 0
          : context_.scheduler.RunAfter(kSweepInterval, [this] { Sweep(); });
}

void EndpointSet::Describe(ServiceStats& stats) const {
  const MutexLock lock(mutex_);
  stats.registry = registry_status_;
  stats.instances = instances_;
  for (const auto& [address, endpoint] : endpoints_) {
    stats.endpoints.push_back(
        {.address = address,
         .zone = endpoint->zone(),
         .weight = endpoint->weight(),
         .connected = AnyReady(*endpoint),
         .healthy = endpoint->instance_.healthy && endpoint->serving_,
         .ejected = endpoint->ejected(),
         .in_flight = endpoint->in_flight()});
  }
}

}  // namespace grpccommon::internal
