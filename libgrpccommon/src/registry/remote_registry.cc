// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/registry/remote_registry.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/memory/memory.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/call/metadata_keys.h"
#include "grpccommon/registry/registry_proto.h"
#include "grpccommon/registry/v1/registry_service.grpc.pb.h"
#include "grpccommon/status/convert.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/client_callback.h"
#include "registry/call_group.h"
#include "registry/endpoints.h"
#include "registry/instances.h"
#include "registry/network_registry.h"
#include "registry/unary_call.h"

namespace grpccommon {
namespace {

using internal::CallGroup;
using internal::Endpoints;
using internal::WatchSink;
using internal::WatchUpdate;
using registry::v1::RegistryService;
namespace v1 = registry::v1;

// What the parts of one state may add up to.
constexpr std::size_t kMaxParts = internal::kMaxInstances;

class RemoteBackend final : public internal::NetworkBackend {
 public:
  RemoteBackend(RemoteRegistryOptions options, Scheduler& scheduler,
                const Random& random, const Logger& logger)
      : options_(std::move(options)),
        endpoints_(options_.connection, scheduler, random, logger) {}

  void Register(std::string_view service, const Instance& instance,
                Clock::Duration ttl,
                Done<absl::StatusOr<Granted>> done) override {
    v1::RegisterRequest request;
    request.set_service(std::string(service));
    *request.mutable_instance() = ToProto(instance);
    *request.mutable_ttl() = ToProto(ttl);
    Call<v1::RegisterResponse>(
        "/grpccommon.registry.v1.RegistryService/Register", std::move(request),
        [done =
             std::move(done)](absl::StatusOr<v1::RegisterResponse*> response) {
          if (!response.ok()) return done(response.status());
          if ((*response)->lease_id().empty()) {
            return done(absl::DataLossError("the registry names no lease"));
          }
          done(Granted{.lease_id = (*response)->lease_id(),
                       .ttl = FromProto((*response)->ttl())});
        });
  }

  void Renew(std::string_view service, std::string_view lease_id,
             Done<absl::Status> done) override {
    v1::RenewRequest request;
    request.set_service(std::string(service));
    request.set_lease_id(std::string(lease_id));
    Call<v1::RenewResponse>(
        "/grpccommon.registry.v1.RegistryService/Renew", std::move(request),
        [done = std::move(done)](absl::StatusOr<v1::RenewResponse*> response) {
          done(response.status());
        });
  }

  void Deregister(std::string_view service, std::string_view lease_id,
                  Done<absl::Status> done) override {
    v1::DeregisterRequest request;
    request.set_service(std::string(service));
    request.set_lease_id(std::string(lease_id));
    Call<v1::DeregisterResponse>(
        "/grpccommon.registry.v1.RegistryService/Deregister",
        std::move(request),
        [done = std::move(done)](
            absl::StatusOr<v1::DeregisterResponse*> response) {
          done(response.status());
        });
  }

  void Lookup(std::string_view service,
              Done<absl::StatusOr<std::vector<Instance>>> done) override {
    v1::LookupRequest request;
    request.set_service(std::string(service));
    Call<v1::LookupResponse>(
        "/grpccommon.registry.v1.RegistryService/Lookup", std::move(request),
        [done = std::move(done)](absl::StatusOr<v1::LookupResponse*> response) {
          if (!response.ok()) return done(response.status());
          std::vector<Instance> instances;
          for (const auto& instance : (*response)->instances()) {
            instances.push_back(FromProto(instance));
          }
          internal::CleanInstances(instances);
          if ((*response)->complete()) return done(std::move(instances));
          done(absl::UnavailableError(
              "the registry does not know all instances yet"));
        });
  }

  void List(std::string_view prefix, std::string_view after, std::size_t limit,
            Done<absl::StatusOr<std::vector<Summary>>> done) override {
    v1::ListRequest request;
    request.set_prefix(std::string(prefix));
    request.set_page_token(std::string(after));
    request.set_page_size(
        static_cast<int>(std::clamp<std::size_t>(limit, 1, 1000)));
    Call<v1::ListResponse>(
        "/grpccommon.registry.v1.RegistryService/List", std::move(request),
        [done = std::move(done)](absl::StatusOr<v1::ListResponse*> response) {
          if (!response.ok()) return done(response.status());
          std::vector<Summary> services;
          for (const auto& service : (*response)->services()) {
            services.push_back({.service = service.name(),
                                .instances = static_cast<std::size_t>(
                                    std::max(service.instances(), 0))});
          }
          done(std::move(services));
        });
  }

  std::shared_ptr<internal::WatchCall> OpenWatch(
      const std::string& service, const std::string& resume_after,
      std::shared_ptr<WatchSink> sink) override;

  void Close() override { calls_.Close(); }

 private:
  class WatchStream;
  void Prepare(grpc::ClientContext& context) const {
    if (options_.authorization == nullptr) return;
    std::string value;
    try {
      value = options_.authorization();
    } catch (...) {
      // Without it the registry says what is missing.
    }
    // gRPC ends the process over a value that no header can have.
    const bool sendable =
        !value.empty() && std::all_of(value.begin(), value.end(), [](char c) {
          return c >= 0x20 && c < 0x7f;
        });
    if (sendable) {
      context.AddMetadata(std::string(metadata::kAuthorization), value);
    }
  }

  template <typename Response, typename Request>
  void Call(const char* method, Request request,
            std::function<void(absl::StatusOr<Response*>)> then) {
    internal::CallUnary<Request, Response>(
        calls_, endpoints_, method, options_.connection.call_timeout,
        [this](grpc::ClientContext& context) { Prepare(context); },
        std::move(request), std::move(then));
  }

  const RemoteRegistryOptions options_;
  Endpoints endpoints_;
  CallGroup calls_;
};

class RemoteBackend::WatchStream final
    : public internal::WatchCall,
      private grpc::ClientReadReactor<v1::WatchResponse>,
      public std::enable_shared_from_this<WatchStream> {
 public:
  WatchStream(RemoteBackend& backend, std::shared_ptr<WatchSink> sink)
      : backend_(backend), sink_(std::move(sink)) {}

  bool Start(const std::string& service, const std::string& resume_after) {
    request_.set_service(service);
    resumable_ =
        !resume_after.empty() && position_.ParseFromString(resume_after);
    if (resumable_) {
      *request_.mutable_resume_after() = position_;
    }
    grpc::ClientContext* context;
    {
      const MutexLock lock(mutex_);
      context = context_.get();
    }
    if (!backend_.calls_.Add(*context)) return false;
    self_ = shared_from_this();
    backend_.Prepare(*context);
    link_ = backend_.endpoints_.Current();
    stub_ = RegistryService::NewStub(link_.channel);
    hand_over_.Pass();
    stub_->async()->Watch(context, &request_, this);
    StartRead(&response_);
    StartCall();
    return true;
  }

  void Cancel(absl::Status why) override {
    const MutexLock lock(mutex_);
    if (why_.ok()) why_ = std::move(why);
    // The context goes when it is over.
    if (context_ != nullptr) context_->TryCancel();
  }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return;
    hand_over_.Take();
    const absl::Status status = Take();
    // A large state is not kept for as long as the watch lasts, nor left for
    // the next read to clear, on a thread of gRPC's.
    response_ = v1::WatchResponse();
    hand_over_.Pass();
    if (status.ok()) {
      StartRead(&response_);
    } else {
      Cancel(status);  // and read no further: OnDone follows
    }
  }

  // Errors: what no registry that works would send.
  absl::Status Take() {
    if (first_part_) {
      update_ = WatchUpdate{.snapshot = response_.snapshot()};
    } else if (response_.snapshot() != update_.snapshot) {
      return absl::DataLossError("the parts of a state do not fit together");
    }
    first_part_ = !response_.more();
    if (update_.changed.size() +
            static_cast<std::size_t>(response_.changed_size()) >
        kMaxParts) {
      return absl::DataLossError("the registry tells of too many instances");
    }
    if (update_.removed.size() +
            static_cast<std::size_t>(response_.removed_size()) >
        kMaxParts) {
      return absl::DataLossError("the registry takes out too many instances");
    }
    for (const v1::Instance& instance : response_.changed()) {
      update_.changed.push_back(FromProto(instance));
    }
    for (std::string& address : *response_.mutable_removed()) {
      update_.removed.push_back(std::move(address));
    }
    if (response_.more()) return absl::OkStatus();

    const v1::Position& position = response_.position();
    if (!update_.snapshot && response_.has_position() && resumable_ &&
        (position.epoch() != position_.epoch() ||
         position.revision() < position_.revision())) {
      return absl::DataLossError("the registry's revisions go backwards");
    }
    resumable_ = response_.has_position();
    position_ = position;
    if (resumable_) update_.position = position.SerializeAsString();
    if (!response_.complete()) {
      update_.complete = absl::UnavailableError(
          "the registry does not know all instances yet");
    }
    sink_->OnUpdate(std::exchange(update_, WatchUpdate()));
    return absl::OkStatus();
  }

  void OnDone(const grpc::Status& result) override {
    hand_over_.Take();
    absl::Status status = FromGrpcStatus(result);
    std::unique_ptr<grpc::ClientContext> context;
    bool resumable = true;
    {
      const MutexLock lock(mutex_);
      context.swap(context_);
      if (!why_.ok()) {
        status = why_;
        resumable = status.code() != absl::StatusCode::kDataLoss;
      }
    }
    if (status.ok()) {
      status = absl::UnavailableError("the registry has ended the watch");
    }
    RemoteBackend& backend = backend_;
    backend.endpoints_.Report(link_, status);
    std::exchange(sink_, nullptr)->OnEnd(status, resumable);
    backend.calls_.Ended(*context);
    context.reset();
    stub_.reset();
    link_.channel.reset();
    self_.reset();  // perhaps the last one
    backend.calls_.Leave();
  }

  RemoteBackend& backend_;
  std::shared_ptr<WatchSink> sink_;
  internal::HandOver hand_over_;
  std::shared_ptr<WatchStream> self_;  // until OnDone
  Endpoints::Link link_;
  std::unique_ptr<RegistryService::Stub> stub_;
  Mutex mutex_;
  std::unique_ptr<grpc::ClientContext> context_ ABSL_GUARDED_BY(mutex_) =
      std::make_unique<grpc::ClientContext>();
  absl::Status why_ ABSL_GUARDED_BY(mutex_);
  v1::WatchRequest request_;
  v1::WatchResponse response_;
  // The state before the next message, and as much as has come of the next.
  v1::Position position_;
  bool resumable_ = false;
  WatchUpdate update_;
  bool first_part_ = true;
};

std::shared_ptr<internal::WatchCall> RemoteBackend::OpenWatch(
    const std::string& service, const std::string& resume_after,
    std::shared_ptr<WatchSink> sink) {
  auto watch = std::make_shared<WatchStream>(*this, std::move(sink));
  if (!watch->Start(service, resume_after)) return nullptr;
  return watch;
}

}  // namespace

struct RemoteRegistry::Impl : internal::NetworkRegistry {
  using NetworkRegistry::NetworkRegistry;
};

absl::StatusOr<std::unique_ptr<RemoteRegistry>> RemoteRegistry::Create(
    RemoteRegistryOptions options, Scheduler& scheduler, const Logger& logger,
    const Clock& clock, Random random) {
  absl::Status valid = CheckConnection(options.connection);
  if (options.authorization != nullptr &&
      options.connection.credentials == nullptr &&
      !options.authorization_in_plaintext) {
    valid.Update(absl::InvalidArgumentError(
        "authorization would be sent without TLS: set credentials, or "
        "authorization_in_plaintext"));
  }
  if (!valid.ok()) return valid;
  const RegistryConnectionOptions connection = options.connection;
  auto backend = std::make_unique<RemoteBackend>(std::move(options), scheduler,
                                                 random, logger);
  return absl::WrapUnique(new RemoteRegistry(
      std::make_unique<Impl>(std::move(backend), connection, scheduler, logger,
                             clock, std::move(random))));
}

RemoteRegistry::RemoteRegistry(std::unique_ptr<Impl> impl)
    : impl_(std::move(impl)) {}
RemoteRegistry::~RemoteRegistry() = default;

absl::StatusOr<std::unique_ptr<Registration>> RemoteRegistry::Register(
    std::string service, Instance instance, RegistrationOptions options) {
  return impl_->Register(std::move(service), std::move(instance), options);
}

absl::StatusOr<std::unique_ptr<InstanceWatch>> RemoteRegistry::Watch(
    std::string service, OnChange on_change) {
  return impl_->Watch(std::move(service), std::move(on_change));
}

LeaseBackend& RemoteRegistry::leases() { return impl_->backend(); }

}  // namespace grpccommon
