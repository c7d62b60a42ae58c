// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/call/principal.h"
#include "grpccommon/metrics/metrics_registry.h"
#include "grpccommon/registry/lease_backend.h"
#include "grpccommon/registry/registry.h"
#include "grpccommon/registry/v1/registry_service.grpc.pb.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"
#include "services/registry/registration_policy.h"
#include "services/registry/service_watch.h"

namespace platform::registry {

/// Who calls.
using PrincipalOf = std::function<absl::StatusOr<grpccommon::Principal>(
    const grpc::CallbackServerContext&)>;

/// What the call's chain has proven.
/// Errors: kUnauthenticated if it has proven nothing, whatever it let through.
absl::StatusOr<grpccommon::Principal> ProvenPrincipal(
    const grpc::CallbackServerContext& context);

struct RegistryServiceOptions {
  /// How long after its start the service says that it does not know all
  /// instances yet, in [0, 1 h]; 0 for a store that outlives the process.
  /// Instances come back within their reconnect delay and a third of their ttl:
  /// 15 s + 3.3 s by the library's defaults.
  grpccommon::Clock::Duration grace = std::chrono::seconds(20);
  /// `complete` is the grace's to say.
  ServiceWatchesOptions watches;
  PrincipalOf principal_of = ProvenPrincipal;
};

/// grpccommon.registry.v1.RegistryService over a store of leases: of this
/// process, or etcd.
class RegistryService final
    : public grpccommon::registry::v1::RegistryService::CallbackService {
 public:
  /// All but `policy` and `options` are borrowed and must outlive the service:
  /// `leases` and `registry` are two views of one store; `scheduler` ends the
  /// grace.
  /// Errors: kInvalidArgument, naming the option; what a metric's name meets.
  static absl::StatusOr<std::unique_ptr<RegistryService>> Create(
      grpccommon::LeaseBackend& leases, grpccommon::Registry& registry,
      RegistrationPolicy policy, grpccommon::MetricsRegistry& metrics,
      grpccommon::Scheduler& scheduler, RegistryServiceOptions options = {});
  ~RegistryService() override;

  /// Ends all watches with UNAVAILABLE, so that the server can drain.
  void EndWatches();

  const ServiceWatches& watches() const { return *watches_; }

  grpc::ServerUnaryReactor* Register(
      grpc::CallbackServerContext* context,
      const grpccommon::registry::v1::RegisterRequest* request,
      grpccommon::registry::v1::RegisterResponse* response) override;
  grpc::ServerUnaryReactor* Renew(
      grpc::CallbackServerContext* context,
      const grpccommon::registry::v1::RenewRequest* request,
      grpccommon::registry::v1::RenewResponse* response) override;
  grpc::ServerUnaryReactor* Deregister(
      grpc::CallbackServerContext* context,
      const grpccommon::registry::v1::DeregisterRequest* request,
      grpccommon::registry::v1::DeregisterResponse* response) override;
  grpc::ServerUnaryReactor* Lookup(
      grpc::CallbackServerContext* context,
      const grpccommon::registry::v1::LookupRequest* request,
      grpccommon::registry::v1::LookupResponse* response) override;
  grpc::ServerWriteReactor<grpccommon::registry::v1::WatchResponse>* Watch(
      grpc::CallbackServerContext* context,
      const grpccommon::registry::v1::WatchRequest* request) override;
  grpc::ServerUnaryReactor* List(
      grpc::CallbackServerContext* context,
      const grpccommon::registry::v1::ListRequest* request,
      grpccommon::registry::v1::ListResponse* response) override;

 private:
  struct Counters {
    grpccommon::Counter* done;
    grpccommon::Counter* refused;
    grpccommon::Counter* failed;
  };

  RegistryService(grpccommon::LeaseBackend& leases, RegistrationPolicy policy,
                  grpccommon::Scheduler& scheduler,
                  RegistryServiceOptions options);

  absl::Status AddMetrics(grpccommon::MetricsRegistry& metrics);
  absl::Status Allow(const grpc::CallbackServerContext& context,
                     const std::string& service) const;
  bool complete() const;

  grpccommon::LeaseBackend& leases_;
  const RegistrationPolicy policy_;
  grpccommon::Scheduler& scheduler_;
  const RegistryServiceOptions options_;
  Counters registrations_{};
  Counters renewals_{};
  Counters deregistrations_{};
  std::unique_ptr<ServiceWatches> watches_;

  mutable grpccommon::Mutex mutex_;
  bool complete_ ABSL_GUARDED_BY(mutex_);
  grpccommon::Scheduler::TaskId grace_ = 0;
  // Goes first, since the callbacks look at the rest.
  std::vector<grpccommon::MetricRegistration> callback_metrics_;
};

}  // namespace platform::registry
