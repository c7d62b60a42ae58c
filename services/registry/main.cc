// SPDX-License-Identifier: Apache-2.0
// The registry. Configured as every server of the library (docs/server.md), and
// by the variables that docs/registry_service.md lists.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "grpccommon/base/file.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/registry/etcd_registry.h"
#include "grpccommon/registry/lease_backend.h"
#include "grpccommon/registry/lease_store.h"
#include "grpccommon/registry/memory_registry.h"
#include "grpccommon/server/app_settings.h"
#include "grpccommon/server/config.h"
#include "grpccommon/server/server.h"
#include "grpcpp/security/credentials.h"
#include "services/registry/memory_leases.h"
#include "services/registry/registration_policy.h"
#include "services/registry/registry_service.h"

namespace {

using grpccommon::AppSettings;
using grpccommon::DependencyChecks;
using grpccommon::ExitWith;
using namespace std::chrono_literals;

// What is configured; docs/registry_service.md explains it.
struct Settings {
  explicit Settings(AppSettings app)
      : registration(app.Text("REGISTER", "role:instance=*")),
        grace(app.Duration("GRACE", 20s)),
        etcd(app.List("ETCD")),
        etcd_prefix(
            app.Text("ETCD_PREFIX", grpccommon::EtcdRegistryOptions().prefix)),
        etcd_user(app.Text("ETCD_USER", "")),
        etcd_password(app.Secret("ETCD_PASSWORD")),
        etcd_password_in_plaintext(
            app.Flag("ETCD_PASSWORD_IN_PLAINTEXT", false)),
        etcd_ca_file(app.Text("ETCD_CA_FILE", "")),
        status(app.Check()) {}

  const std::string registration;
  const grpccommon::Clock::Duration grace;
  const std::vector<std::string> etcd;
  const std::string etcd_prefix;
  const std::string etcd_user;
  const std::string etcd_password;
  const bool etcd_password_in_plaintext;
  const std::string etcd_ca_file;
  const absl::Status status;
};

// Where instances and their leases are.
struct Store {
  std::unique_ptr<grpccommon::LeaseStore> memory;
  std::unique_ptr<grpccommon::LeaseBackend> memory_leases;
  std::unique_ptr<grpccommon::Registry> registry;
  grpccommon::LeaseBackend* leases = nullptr;
  bool outlives_us = false;
};

absl::StatusOr<Store> OpenStore(const Settings& settings,
                                grpccommon::Scheduler& scheduler,
                                const grpccommon::Logger& logger) {
  Store store;
  if (settings.etcd.empty()) {
    // Whoever means etcd is not to get a store that forgets.
    if (!settings.etcd_user.empty() || !settings.etcd_password.empty() ||
        !settings.etcd_ca_file.empty()) {
      return absl::InvalidArgumentError(
          "GRPCCOMMON_APP_ETCD_… is set without GRPCCOMMON_APP_ETCD");
    }
    auto memory = grpccommon::LeaseStore::Create(scheduler, {}, logger);
    if (!memory.ok()) return memory.status();
    store.memory = *std::move(memory);
    store.memory_leases =
        std::make_unique<platform::registry::MemoryLeases>(*store.memory);
    store.leases = store.memory_leases.get();
    store.registry = grpccommon::CreateMemoryRegistry(*store.memory);
    return store;
  }
  grpccommon::EtcdRegistryOptions options;
  options.connection.addresses = settings.etcd;
  options.prefix = settings.etcd_prefix;
  options.user = settings.etcd_user;
  options.password = settings.etcd_password;
  options.password_in_plaintext = settings.etcd_password_in_plaintext;
  if (!settings.etcd_ca_file.empty()) {
    const auto certificates = grpccommon::ReadFile(settings.etcd_ca_file);
    if (!certificates.ok()) return certificates.status();
    options.connection.credentials =
        grpc::SslCredentials({.pem_root_certs = *certificates});
  }
  auto etcd =
      grpccommon::EtcdRegistry::Create(std::move(options), scheduler, logger);
  if (!etcd.ok()) return etcd.status();
  store.leases = &(*etcd)->leases();
  store.registry = *std::move(etcd);
  store.outlives_us = true;
  return store;
}

}  // namespace

int main() {
  using platform::registry::RegistrationPolicy;
  using platform::registry::RegistryService;

  const Settings settings{AppSettings()};
  if (!settings.status.ok()) return ExitWith(settings.status);
  auto policy = RegistrationPolicy::Parse(settings.registration);
  if (!policy.ok()) return ExitWith(policy.status());
  const auto options =
      grpccommon::LoadServerOptions({.name = "registry",
                                     .grpc_address = "0.0.0.0:50060",
                                     .http_address = "0.0.0.0:3010"});
  if (!options.ok()) return ExitWith(options.status());

  const auto scheduler = grpccommon::CreateScheduler();
  const auto server = grpccommon::Server::Create(*options);
  if (!server.ok()) return ExitWith(server.status());
  const auto store = OpenStore(settings, *scheduler, (*server)->logger());
  if (!store.ok()) return ExitWith(store.status());
  const auto service = RegistryService::Create(
      *store->leases, *store->registry, *std::move(policy),
      (*server)->metrics(), *scheduler,
      // What etcd knows outlives this process.
      {.grace = store->outlives_us ? grpccommon::Clock::Duration::zero()
                                   : settings.grace});
  if (!service.ok()) return ExitWith(service.status());

  (*server)->Add<grpccommon::registry::v1::RegistryService>(**service).OnDrain(
      [&service] { (*service)->EndWatches(); });
  if (store->outlives_us) {
    // Without etcd we still tell what it told last, so we go on serving.
    (*server)->AddCheck({.name = "etcd", .critical = false},
                        [&store](DependencyChecks::Done done) {
                          store->leases->Lookup(
                              "-",
                              [done = std::move(done)](const auto& instances) {
                                done(instances.status());
                              });
                        });
  }
  return (*server)->Run();
}
