// SPDX-License-Identifier: Apache-2.0
#include "server/announcement.h"

#include <array>
#include <set>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "grpccommon/auth/token_provider.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/registry/registry_uri.h"
#include "registry/instances.h"
#include "server/within.h"

namespace grpccommon::internal {
namespace {

Instance InstanceAt(std::string address, const AnnounceOptions& options) {
  return {.address = std::move(address),
          .weight = options.weight,
          .zone = options.zone,
          .version = options.version,
          .metadata = options.metadata};
}

}  // namespace

absl::StatusOr<std::string> AnnouncedAddress(const std::string& announced,
                                             const std::string& grpc_address,
                                             int port) {
  std::string address = announced.empty() ? grpc_address : announced;
  if (address.starts_with("unix:")) return address;
  const std::size_t colon = address.rfind(':');
  const std::string_view host = std::string_view(address).substr(
      0, colon == std::string::npos ? address.size() : colon);
  constexpr std::array<std::string_view, 4> kEverywhere = {"", "0.0.0.0",
                                                           "[::]", "*"};
  for (const std::string_view wildcard : kEverywhere) {
    if (host != wildcard) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "announce.address must say where others reach this server; it listens "
        "on '",
        grpc_address, "'"));
  }
  if (colon != std::string::npos && address.substr(colon) == ":0") {
    address = absl::StrCat(address.substr(0, colon), ":", port);
  }
  return address;
}

absl::StatusOr<std::shared_ptr<Registry>> RegistryToAnnounceIn(
    const AnnounceOptions& options, Scheduler& scheduler,
    const Logger& logger) {
  if (options.uri.empty()) return options.registry;
  if (options.registry != nullptr) {
    return absl::InvalidArgumentError(
        "announce.registry and announce.uri exclude each other");
  }
  RegistryUriOptions registry;
  if (!options.token_file.empty()) {
    absl::StatusOr<std::shared_ptr<TokenProvider>> token =
        CreateTokenFile(options.token_file, scheduler, {}, logger);
    if (!token.ok()) return Within("announce.token_file", token.status());
    registry.remote.authorization = [provider = *std::move(token)] {
      const auto current = provider->Token();
      return current.ok() ? absl::StrCat("Bearer ", **current) : std::string();
    };
    registry.remote.authorization_in_plaintext = options.token_in_plaintext;
  }
  absl::StatusOr<std::unique_ptr<Registry>> made =
      CreateRegistry(options.uri, scheduler, registry, logger);
  if (!made.ok()) return Within("announce.uri", made.status());
  return std::shared_ptr<Registry>(*std::move(made));
}

absl::Status CheckAnnouncement(const AnnounceOptions& options,
                               const std::string& grpc_address) {
  const absl::StatusOr<std::string> address =
      AnnouncedAddress(options.address, grpc_address, /*port=*/1);
  if (!address.ok()) return address.status();
  absl::Status valid = CheckInstance(InstanceAt(*address, options));
  valid.Update(Within("lease", CheckRegistrationOptions(options.lease)));
  std::set<std::string_view> names;
  for (const std::string& service : options.services) {
    valid.Update(CheckServiceName(service));
    if (!names.insert(service).second) {
      valid.Update(absl::InvalidArgumentError(
          absl::StrCat("services names ", service, " twice")));
    }
  }
  return Within("announce", valid);
}

// One name in the registry. Health changes come on any thread, also while this
// is being destroyed, so the callbacks hold it weakly.
class Announcement::Service {
 public:
  Service(std::string name, Instance instance)
      : name_(std::move(name)), instance_(std::move(instance)) {}

  absl::Status Begin(const std::shared_ptr<Service>& self, Registry& registry,
                     const RegistrationOptions& lease, HealthRegistry& health,
                     const Logger& logger) {
    logger_ = logger;
    Instance instance;
    {
      const MutexLock lock(mutex_);
      instance = instance_;
    }
    absl::StatusOr<std::unique_ptr<Registration>> registration =
        registry.Register(name_, std::move(instance), lease);
    if (!registration.ok()) return registration.status();
    std::unique_ptr<HealthRegistryWatch> watch =
        health.Watch(name_, [weak = std::weak_ptr<Service>(self)] {
          if (const auto service = weak.lock()) service->Follow();
        });
    {
      const MutexLock lock(mutex_);
      registration_ = *std::move(registration);
      watch_ = std::move(watch);
    }
    Follow();
    return absl::OkStatus();
  }

  // Takes the instance out of the registry, which is not used after this.
  void End() {
    std::unique_ptr<Registration> registration;
    std::unique_ptr<HealthRegistryWatch> watch;
    const MutexLock lock(mutex_);
    registration.swap(registration_);
    watch.swap(watch_);
  }

 private:
  void Follow() {
    const MutexLock lock(mutex_);
    if (watch_ == nullptr) return;
    const ServingStatus status = watch_->Current();
    // A name that the server's health does not know is healthy while it runs.
    const bool healthy = status == ServingStatus::kServing ||
                         status == ServingStatus::kServiceUnknown;
    if (healthy == instance_.healthy) return;
    instance_.healthy = healthy;
    if (absl::Status updated = registration_->Update(instance_);
        !updated.ok()) {
      logger_.Warning("cannot announce health",
                      {{"target", name_}, {"error", updated.ToString()}});
    }
  }

  const std::string name_;
  Logger logger_;
  Mutex mutex_;
  Instance instance_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<Registration> registration_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<HealthRegistryWatch> watch_ ABSL_GUARDED_BY(mutex_);
};

Announcement::~Announcement() {
  for (const std::shared_ptr<Service>& service : services_) service->End();
}

absl::StatusOr<std::unique_ptr<Announcement>> Announcement::Create(
    std::shared_ptr<Registry> registry, const AnnounceOptions& options,
    std::string address, std::vector<std::string> services,
    HealthRegistry& health, const Logger& logger) {
  if (!options.services.empty()) services = options.services;
  const Instance instance = InstanceAt(std::move(address), options);
  auto announcement = std::make_unique<Announcement>();
  announcement->registry_ = std::move(registry);
  for (std::string& name : services) {
    auto service = std::make_shared<Service>(std::move(name), instance);
    absl::Status begun = service->Begin(service, *announcement->registry_,
                                        options.lease, health, logger);
    if (!begun.ok()) return begun;
    announcement->services_.push_back(std::move(service));
  }
  return announcement;
}

}  // namespace grpccommon::internal
