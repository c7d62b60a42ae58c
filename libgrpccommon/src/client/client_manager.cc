// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/client/client_manager.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "client/connection_monitor.h"
#include "client/endpoint_set.h"
#include "client/service_client.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/base/uuid.h"
#include "grpccommon/metrics/client_metrics_interceptor.h"
#include "grpccommon/metrics/metrics_registry.h"
#include "grpccommon/retry/throttle.h"
#include "grpccommon/tracing/client_tracing_interceptor.h"

namespace grpccommon {
namespace {

using internal::ClientChain;
using internal::ConnectionMonitor;
using internal::EndpointSet;
using internal::ServiceClient;
using internal::ServiceResources;

absl::StatusOr<std::shared_ptr<RetryAllowance>> MakeAllowance(
    const ClientOptions& options) {
  if (const auto* budget =
          std::get_if<RetryBudgetOptions>(&options.retry_limit)) {
    absl::StatusOr<std::unique_ptr<RetryBudget>> made =
        RetryBudget::Create(*budget);
    if (!made.ok()) return made.status();
    return std::shared_ptr<RetryAllowance>(*std::move(made));
  }
  absl::StatusOr<std::unique_ptr<RetryThrottle>> made = RetryThrottle::Create(
      std::get<RetryThrottleOptions>(options.retry_limit));
  if (!made.ok()) return made.status();
  return std::shared_ptr<RetryAllowance>(*std::move(made));
}

absl::Status CheckOptions(const ClientOptions& options) {
  absl::Status status = CheckOptions(options.deadline);
  status.Update(CheckPolicy(options.retry));
  return status;
}

}  // namespace

struct ClientManager::Impl {
  Impl(ClientManagerOptions o, const Clock& c)
      : options(std::move(o)),
        clock(c),
        own_scheduler(options.scheduler == nullptr ? CreateScheduler()
                                                   : nullptr),
        scheduler(options.scheduler == nullptr ? *own_scheduler
                                               : *options.scheduler) {
    if (options.client_id.empty()) options.client_id = UuidV7(clock);
  }

  absl::StatusOr<std::shared_ptr<ServiceResources>> Resources(
      const std::string& service) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  absl::StatusOr<std::shared_ptr<ServiceResources>> MakeResources(
      const std::string& service);

  ClientManagerOptions options;
  const Clock& clock;
  const std::unique_ptr<Scheduler> own_scheduler;
  Scheduler& scheduler;
  std::vector<std::shared_ptr<ClientInterceptor>> interceptors;
  ConnectionMonitor monitor;
  mutable Mutex mutex;
  bool shut_down ABSL_GUARDED_BY(mutex) = false;
  std::map<std::string, std::shared_ptr<ServiceResources>> services
      ABSL_GUARDED_BY(mutex);
  // By the gRPC service and the name that it is looked up by.
  std::map<std::pair<std::string, std::string>, std::shared_ptr<ServiceClient>>
      clients ABSL_GUARDED_BY(mutex);
  // Read the rest, so they go first.
  std::vector<MetricRegistration> gauges;
};

ClientManager::ClientManager(std::unique_ptr<Impl> impl)
    : impl_(std::move(impl)) {}

ClientManager::~ClientManager() { Shutdown(); }

absl::StatusOr<std::unique_ptr<ClientManager>> ClientManager::Create(
    ClientManagerOptions options, const Clock& clock) {
  if (options.registry == nullptr) {
    return absl::InvalidArgumentError("a client manager needs a registry");
  }
  if (absl::Status status = CheckOptions(options.defaults); !status.ok()) {
    return status;
  }
  for (const auto& [service, special] : options.services) {
    absl::Status status = CheckServiceName(service);
    status.Update(CheckOptions(special));
    if (!status.ok()) return status;
  }
  auto impl = std::make_unique<Impl>(std::move(options), clock);
  if (impl->options.tracer != nullptr) {
    impl->interceptors.push_back(
        std::make_shared<ClientTracingInterceptor>(*impl->options.tracer));
  }
  if (impl->options.metrics != nullptr) {
    absl::StatusOr<std::unique_ptr<ClientMetricsInterceptor>> metrics =
        ClientMetricsInterceptor::Create(*impl->options.metrics);
    if (!metrics.ok()) return metrics.status();
    impl->interceptors.push_back(*std::move(metrics));
  }
  for (const auto& interceptor : impl->options.interceptors) {
    impl->interceptors.push_back(interceptor);
  }
  std::unique_ptr<ClientManager> manager(new ClientManager(std::move(impl)));
  if (absl::Status exposed = manager->Expose(); !exposed.ok()) return exposed;
  return manager;
}

absl::Status ClientManager::Expose() {
  if (impl_->options.metrics == nullptr) return absl::OkStatus();
  absl::Status status;
  const auto gauge = [&](std::string name, std::string help, std::string label,
                         auto sample) {
    absl::StatusOr<MetricRegistration> registration =
        impl_->options.metrics->AddCallbackGauge(
            std::move(name), std::move(help), {"target", std::move(label)},
            [this, sample] {
              std::vector<MetricSample> samples;
              for (const ServiceStats& stats : Stats()) sample(stats, samples);
              return samples;
            });
    if (registration.ok()) {
      impl_->gauges.push_back(*std::move(registration));
    } else {
      status.Update(registration.status());
    }
  };
  gauge(
      "grpccommon_client_endpoints",
      "Endpoints of a service by what keeps calls from them.", "state",
      [](const ServiceStats& stats, std::vector<MetricSample>& samples) {
        std::map<std::string, double> counts = {
            {"ready", 0}, {"unreachable", 0}, {"unhealthy", 0}, {"ejected", 0}};
        for (const EndpointStats& endpoint : stats.endpoints) {
          ++counts[!endpoint.healthy     ? "unhealthy"
                   : !endpoint.connected ? "unreachable"
                   : endpoint.ejected    ? "ejected"
                                         : "ready"];
        }
        for (const auto& [state, count] : counts) {
          samples.push_back({{stats.service, state}, count});
        }
      });
  gauge("grpccommon_client_breaker_rejection_ratio",
        "Share of the calls that a circuit breaker would refuse now.",
        "breaker",
        [](const ServiceStats& stats, std::vector<MetricSample>& samples) {
          for (const auto& [key, breaker] : stats.breakers) {
            samples.push_back(
                {{stats.service, key}, breaker.rejection_probability});
          }
        });
  return status;
}

absl::StatusOr<std::shared_ptr<ServiceResources>>
ClientManager::Impl::Resources(const std::string& service) {
  const auto known = services.find(service);
  if (known != services.end()) return known->second;
  absl::StatusOr<std::shared_ptr<ServiceResources>> made =
      MakeResources(service);
  if (made.ok()) services.emplace(service, *made);
  return made;
}

absl::StatusOr<std::shared_ptr<ServiceResources>>
ClientManager::Impl::MakeResources(const std::string& service) {
  if (absl::Status status = CheckServiceName(service); !status.ok()) {
    return status;
  }
  auto resources = std::make_shared<ServiceResources>();
  const auto special = options.services.find(service);
  resources->service = service;
  resources->options = std::make_shared<const ClientOptions>(
      special != options.services.end() ? special->second : options.defaults);
  resources->clock = &clock;
  resources->scheduler = &scheduler;
  resources->random = options.random;
  resources->logger = options.logger;
  const ClientOptions& chosen = *resources->options;

  absl::StatusOr<std::shared_ptr<RetryAllowance>> allowance =
      MakeAllowance(chosen);
  if (!allowance.ok()) return allowance.status();
  resources->retry_allowance = *std::move(allowance);
  if (chosen.bulkhead.has_value()) {
    absl::StatusOr<std::unique_ptr<Bulkhead>> bulkhead =
        Bulkhead::Create(service, *chosen.bulkhead, clock, options.random);
    if (!bulkhead.ok()) return bulkhead.status();
    resources->bulkhead = *std::move(bulkhead);
  }
  if (chosen.breaker.has_value()) {
    const Logger logger = options.logger;
    absl::StatusOr<std::unique_ptr<BreakerSet>> breakers = BreakerSet::Create(
        {.breaker = chosen.breaker->breaker,
         .on_change =
             [logger, service](std::string_view key, BreakerState from,
                               BreakerState to) {
               logger.Warning("circuit breaker changed",
                              {{"target", service},
                               {"breaker", key},
                               {"from", BreakerStateName(from)},
                               {"to", BreakerStateName(to)}});
             }},
        clock, options.random);
    if (!breakers.ok()) return breakers.status();
    resources->breakers = *std::move(breakers);
  }
  const bool of_endpoints = chosen.breaker.has_value() &&
                            chosen.breaker->scope == BreakerScope::kEndpoint;
  absl::StatusOr<std::unique_ptr<EndpointSet>> endpoints = EndpointSet::Create(
      service, chosen.discovery,
      {.registry = *options.registry,
       .clock = clock,
       .scheduler = scheduler,
       .monitor = monitor,
       .random = options.random,
       .logger = options.logger,
       .client_id = options.client_id,
       .breakers = of_endpoints ? resources->breakers : nullptr});
  if (!endpoints.ok()) return endpoints.status();
  resources->endpoints = *std::move(endpoints);
  return resources;
}

absl::StatusOr<std::shared_ptr<internal::ClientCore>> ClientManager::GetCore(
    const char* grpc_service, std::string service) {
  const MutexLock lock(impl_->mutex);
  if (impl_->shut_down) {
    return absl::FailedPreconditionError("the client manager is shut down");
  }
  auto key = std::make_pair(std::string(grpc_service), service);
  const auto known = impl_->clients.find(key);
  if (known != impl_->clients.end()) return known->second;
  absl::StatusOr<std::shared_ptr<ServiceResources>> resources =
      impl_->Resources(service);
  if (!resources.ok()) return resources.status();
  ClientChain chain;
  for (const auto& interceptor : impl_->interceptors) chain.Add(interceptor);
  for (const auto& interceptor : (*resources)->options->interceptors) {
    chain.Add(interceptor);
  }
  absl::StatusOr<std::shared_ptr<ServiceClient>> client = ServiceClient::Create(
      grpc_service, *std::move(resources), std::move(chain));
  if (!client.ok()) return client.status();
  impl_->clients.emplace(std::move(key), *client);
  return *client;
}

void ClientManager::Shutdown(Clock::Duration grace) {
  std::map<std::string, std::shared_ptr<ServiceResources>> services;
  {
    const MutexLock lock(impl_->mutex);
    if (impl_->shut_down) return;
    impl_->shut_down = true;
    services = impl_->services;
  }
  for (const auto& [name, service] : services) service->closed.store(true);
  const auto wait_until_idle = [&services](Clock::Duration most) {
    for (const auto& [name, service] : services) {
      if (!service->in_flight.WaitUntilNone(most)) return false;
    }
    return true;
  };
  if (!wait_until_idle(grace)) {
    for (const auto& [name, service] : services) {
      service->in_flight.CancelAll();
    }
    // What is cancelled ends as soon as gRPC says so.
    wait_until_idle(std::chrono::seconds(5));
  }
  for (const auto& [name, service] : services) service->endpoints->Shutdown();
}

std::vector<ServiceStats> ClientManager::Stats() const {
  std::map<std::string, std::shared_ptr<ServiceResources>> services;
  {
    const MutexLock lock(impl_->mutex);
    services = impl_->services;
  }
  std::vector<ServiceStats> all;
  for (const auto& [name, service] : services) {
    ServiceStats& stats = all.emplace_back();
    stats.service = name;
    service->endpoints->Describe(stats);
    if (service->breakers != nullptr) {
      for (const auto& [key, breaker] : service->breakers->List()) {
        stats.breakers.emplace_back(key, breaker->stats());
      }
    }
    stats.in_flight = static_cast<std::int64_t>(service->in_flight.Count());
    const internal::CallTotals::Sum totals = service->totals.Read();
    stats.calls = totals.calls;
    stats.failures = totals.failures;
    stats.attempts = totals.attempts;
  }
  return all;
}

std::shared_ptr<CircuitBreaker> ClientManager::FindBreaker(
    std::string_view service, std::string_view key) const {
  const MutexLock lock(impl_->mutex);
  const auto found = impl_->services.find(std::string(service));
  if (found == impl_->services.end() || found->second->breakers == nullptr) {
    return nullptr;
  }
  return found->second->breakers->Find(key);
}

}  // namespace grpccommon
