// SPDX-License-Identifier: Apache-2.0
#include "services/registry/registry_service.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/uuid.h"
#include "grpccommon/call/server_call.h"
#include "grpccommon/registry/registry_proto.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/status/details.h"

namespace platform::registry {
namespace {

using grpccommon::Clock;
using grpccommon::Instance;
using grpccommon::LeaseBackend;
using grpccommon::MutexLock;
using grpccommon::Principal;
using grpccommon::ToGrpcStatus;
namespace v1 = grpccommon::registry::v1;

constexpr std::string_view kDomain = "grpccommon.registry.v1";
constexpr Clock::Duration kDefaultTtl = grpccommon::RegistrationOptions().ttl;
constexpr std::size_t kDefaultPage = 100;
// Clients take no larger message by default than 4 MiB.
constexpr std::size_t kMaxLookupBytes = 3 << 20;

}  // namespace

absl::StatusOr<Principal> ProvenPrincipal(
    const grpc::CallbackServerContext& context) {
  const grpccommon::ServerCall* const call =
      grpccommon::ServerCall::Of(context);
  if (call == nullptr || call->principal().anonymous()) {
    return grpccommon::Unauthenticated("CREDENTIAL_MISSING",
                                       "a credential is needed");
  }
  return call->principal();
}

absl::StatusOr<std::unique_ptr<RegistryService>> RegistryService::Create(
    LeaseBackend& leases, grpccommon::Registry& registry,
    RegistrationPolicy policy, grpccommon::MetricsRegistry& metrics,
    grpccommon::Scheduler& scheduler, RegistryServiceOptions options) {
  if (absl::Status valid = grpccommon::CheckRange("grace", options.grace,
                                                  std::chrono::seconds(0),
                                                  std::chrono::hours(1));
      !valid.ok()) {
    return valid;
  }
  options.watches.complete = options.grace == Clock::Duration::zero();
  auto service = absl::WrapUnique(new RegistryService(
      leases, std::move(policy), scheduler, std::move(options)));
  service->watches_ = std::make_unique<ServiceWatches>(
      registry, grpccommon::UuidV7(), service->options_.watches);
  if (absl::Status added = service->AddMetrics(metrics); !added.ok()) {
    return added;
  }
  if (!service->options_.watches.complete) {
    service->grace_ =
        scheduler.RunAfter(service->options_.grace, [raw = service.get()] {
          {
            const MutexLock lock(raw->mutex_);
            raw->complete_ = true;
          }
          raw->watches_->SetComplete();
        });
  }
  return service;
}

RegistryService::RegistryService(LeaseBackend& leases,
                                 RegistrationPolicy policy,
                                 grpccommon::Scheduler& scheduler,
                                 RegistryServiceOptions options)
    : leases_(leases),
      policy_(std::move(policy)),
      scheduler_(scheduler),
      options_(std::move(options)),
      complete_(options_.watches.complete) {}

RegistryService::~RegistryService() {
  if (grace_ != 0) scheduler_.Cancel(grace_);
}

absl::Status RegistryService::AddMetrics(grpccommon::MetricsRegistry& metrics) {
  struct Family {
    Counters& counters;
    const char* name;
    const char* help;
  };
  const Family families[] = {
      {registrations_, "grpccommon_registry_registrations_total",
       "Instances that were to be registered."},
      {renewals_, "grpccommon_registry_renewals_total",
       "Leases that were to be renewed."},
      {deregistrations_, "grpccommon_registry_deregistrations_total",
       "Instances that were to be taken out."}};
  for (const Family& family : families) {
    const auto added =
        metrics.AddCounter(family.name, family.help, {.labels = {"result"}});
    if (!added.ok()) return added.status();
    family.counters = {.done = &(*added)->With({"done"}),
                       .refused = &(*added)->With({"refused"}),
                       .failed = &(*added)->With({"failed"})};
  }
  const auto gauge = [&](const char* name, const char* help,
                         std::function<double()> read) {
    auto added = metrics.AddCallbackGauge(name, help, std::move(read));
    if (!added.ok()) return added.status();
    callback_metrics_.push_back(*std::move(added));
    return absl::OkStatus();
  };
  const auto counter = [&](const char* name, const char* help,
                           std::function<double()> read) {
    auto added = metrics.AddCallbackCounter(name, help, std::move(read));
    if (!added.ok()) return added.status();
    callback_metrics_.push_back(*std::move(added));
    return absl::OkStatus();
  };
  absl::Status added = gauge(
      "grpccommon_registry_watchers", "Open watches.",
      [this] { return static_cast<double>(watches_->counts().watchers); });
  added.Update(gauge("grpccommon_registry_complete",
                     "0 during the grace after a start, else 1.",
                     [this] { return complete() ? 1.0 : 0.0; }));
  added.Update(counter(
      "grpccommon_registry_snapshots_total", "Whole sets sent to watchers.",
      [this] { return static_cast<double>(watches_->counts().snapshots); }));
  added.Update(counter(
      "grpccommon_registry_changes_total", "Changes of a set sent to watchers.",
      [this] { return static_cast<double>(watches_->counts().changes); }));
  return added;
}

void RegistryService::EndWatches() {
  watches_->Close(absl::UnavailableError("the registry is stopping"));
}

bool RegistryService::complete() const {
  const MutexLock lock(mutex_);
  return complete_;
}

absl::Status RegistryService::Allow(const grpc::CallbackServerContext& context,
                                    const std::string& service) const {
  const absl::StatusOr<Principal> principal = options_.principal_of(context);
  if (!principal.ok()) return principal.status();
  return policy_.MayRegister(*principal, service);
}

grpc::ServerUnaryReactor* RegistryService::Register(
    grpc::CallbackServerContext* context, const v1::RegisterRequest* request,
    v1::RegisterResponse* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  if (absl::Status allowed = Allow(*context, request->service());
      !allowed.ok()) {
    registrations_.refused->Increment();
    reactor->Finish(ToGrpcStatus(allowed));
    return reactor;
  }
  leases_.Register(
      request->service(), grpccommon::FromProto(request->instance()),
      request->has_ttl() ? grpccommon::FromProto(request->ttl()) : kDefaultTtl,
      [this, reactor, response](absl::StatusOr<LeaseBackend::Granted> granted) {
        (granted.ok() ? registrations_.done : registrations_.failed)
            ->Increment();
        if (granted.ok()) {
          response->set_lease_id(std::move(granted->lease_id));
          *response->mutable_ttl() = grpccommon::ToProto(granted->ttl);
        }
        reactor->Finish(ToGrpcStatus(granted.status()));
      });
  return reactor;
}

grpc::ServerUnaryReactor* RegistryService::Renew(
    grpc::CallbackServerContext* context, const v1::RenewRequest* request,
    v1::RenewResponse* /*response*/) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  if (absl::Status allowed = Allow(*context, request->service());
      !allowed.ok()) {
    renewals_.refused->Increment();
    reactor->Finish(ToGrpcStatus(allowed));
    return reactor;
  }
  leases_.Renew(
      request->service(), request->lease_id(),
      [this, reactor](absl::Status status) {
        (status.ok() ? renewals_.done : renewals_.failed)->Increment();
        if (status.code() == absl::StatusCode::kNotFound) {
          status = grpccommon::WithReason(
              absl::NotFoundError(
                  "there is no such lease any more: register again"),
              "LEASE_ENDED", kDomain);
        }
        reactor->Finish(ToGrpcStatus(status));
      });
  return reactor;
}

grpc::ServerUnaryReactor* RegistryService::Deregister(
    grpc::CallbackServerContext* context, const v1::DeregisterRequest* request,
    v1::DeregisterResponse* /*response*/) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  if (absl::Status allowed = Allow(*context, request->service());
      !allowed.ok()) {
    deregistrations_.refused->Increment();
    reactor->Finish(ToGrpcStatus(allowed));
    return reactor;
  }
  leases_.Deregister(
      request->service(), request->lease_id(),
      [this, reactor](const absl::Status& status) {
        (status.ok() ? deregistrations_.done : deregistrations_.failed)
            ->Increment();
        reactor->Finish(ToGrpcStatus(status));
      });
  return reactor;
}

grpc::ServerUnaryReactor* RegistryService::Lookup(
    grpc::CallbackServerContext* context, const v1::LookupRequest* request,
    v1::LookupResponse* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  leases_.Lookup(
      request->service(), [this, reactor, request, response](
                              absl::StatusOr<std::vector<Instance>> instances) {
        response->set_complete(complete());
        if (!instances.ok()) {
          // What watchers know is better than nothing.
          std::optional<grpccommon::InstanceSet> known =
              watches_->LastKnown(request->service());
          if (!known.has_value() || known->instances.empty()) {
            return reactor->Finish(ToGrpcStatus(instances.status()));
          }
          instances = std::move(known->instances);
          response->set_complete(false);
        }
        std::size_t bytes = 0;
        for (const Instance& instance : *instances) {
          auto* const added = response->add_instances();
          *added = grpccommon::ToProto(instance);
          bytes += added->ByteSizeLong() + 4;
          if (bytes > kMaxLookupBytes) {
            return reactor->Finish(ToGrpcStatus(grpccommon::WithReason(
                absl::ResourceExhaustedError(
                    absl::StrCat(instances->size(),
                                 " instances are too many for one answer: "
                                 "watch the service instead")),
                "SET_TOO_LARGE", kDomain)));
          }
        }
        reactor->Finish(grpc::Status::OK);
      });
  return reactor;
}

grpc::ServerWriteReactor<v1::WatchResponse>* RegistryService::Watch(
    grpc::CallbackServerContext* context, const v1::WatchRequest* request) {
  // Two, so that gRPC finds the next one when it has sent one.
  const auto writer = WatchWriter::Create(
      *context,
      {.max_queued = 2, .slow_reader = grpccommon::SlowReader::kPushBack});
  std::optional<v1::Position> resume_after;
  if (request->has_resume_after()) resume_after = request->resume_after();
  const absl::Status added =
      watches_->Add(request->service(), resume_after, writer);
  if (!added.ok()) writer->Finish(added);
  return writer->reactor();
}

grpc::ServerUnaryReactor* RegistryService::List(
    grpc::CallbackServerContext* context, const v1::ListRequest* request,
    v1::ListResponse* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  const std::size_t size =
      request->page_size() > 0
          ? std::min<std::size_t>(
                static_cast<std::size_t>(request->page_size()), 1000)
          : kDefaultPage;
  leases_.List(
      request->prefix(), request->page_token(), size,
      [reactor, response,
       size](absl::StatusOr<std::vector<LeaseBackend::Summary>> services) {
        if (services.ok()) {
          for (const LeaseBackend::Summary& summary : *services) {
            v1::ServiceSummary& added = *response->add_services();
            added.set_name(summary.service);
            added.set_instances(static_cast<int>(summary.instances));
          }
          if (services->size() >= size) {
            response->set_next_page_token(services->back().service);
          }
        }
        reactor->Finish(ToGrpcStatus(services.status()));
      });
  return reactor;
}

}  // namespace platform::registry
