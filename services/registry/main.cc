// SPDX-License-Identifier: Apache-2.0
// The registry. Configured as every server of the library (docs/server.md), and
// by the variables that docs/registry_service.md lists.

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "grpccommon/base/file.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/health/dependency_checks.h"
#include "grpccommon/registry/etcd_registry.h"
#include "grpccommon/registry/lease_backend.h"
#include "grpccommon/registry/lease_store.h"
#include "grpccommon/registry/memory_registry.h"
#include "grpccommon/server/config.h"
#include "grpccommon/server/server.h"
#include "grpcpp/security/credentials.h"
#include "services/registry/memory_leases.h"
#include "services/registry/registration_policy.h"
#include "services/registry/registry_service.h"

namespace {

std::string Variable(const char* name, const char* otherwise) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : otherwise;
}

absl::StatusOr<grpccommon::Clock::Duration> Grace() {
  const std::string text = Variable("GRPCCOMMON_APP_GRACE", "20s");
  absl::Duration grace;
  if (!absl::ParseDuration(text, &grace)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "GRPCCOMMON_APP_GRACE must be a duration like \"20s\", got \"", text,
        "\""));
  }
  return absl::ToChronoNanoseconds(grace);
}

// Where instances and their leases are.
struct Store {
  std::unique_ptr<grpccommon::LeaseStore> memory;
  std::unique_ptr<grpccommon::LeaseBackend> memory_leases;
  std::unique_ptr<grpccommon::Registry> registry;
  grpccommon::LeaseBackend* leases = nullptr;
  bool outlives_us = false;
};

absl::StatusOr<Store> OpenStore(grpccommon::Scheduler& scheduler,
                                const grpccommon::Logger& logger) {
  Store store;
  const std::string members = Variable("GRPCCOMMON_APP_ETCD", "");
  if (members.empty()) {
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
  options.connection.addresses = absl::StrSplit(members, ',');
  options.prefix =
      Variable("GRPCCOMMON_APP_ETCD_PREFIX", options.prefix.c_str());
  options.user = Variable("GRPCCOMMON_APP_ETCD_USER", "");
  options.password = Variable("GRPCCOMMON_APP_ETCD_PASSWORD", "");
  options.password_in_plaintext =
      Variable("GRPCCOMMON_APP_ETCD_PASSWORD_IN_PLAINTEXT", "") == "true";
  const std::string authority = Variable("GRPCCOMMON_APP_ETCD_CA_FILE", "");
  if (!authority.empty()) {
    const auto certificates = grpccommon::ReadFile(authority);
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

  auto options =
      grpccommon::LoadServerOptions({.name = "registry",
                                     .grpc_address = "0.0.0.0:50060",
                                     .http_address = "0.0.0.0:3010"});
  if (!options.ok()) return grpccommon::ExitWith(options.status());
  auto policy = RegistrationPolicy::Parse(
      Variable("GRPCCOMMON_APP_REGISTER", "role:instance=*"));
  if (!policy.ok()) return grpccommon::ExitWith(policy.status());
  const auto grace = Grace();
  if (!grace.ok()) return grpccommon::ExitWith(grace.status());

  const auto scheduler = grpccommon::CreateScheduler();
  // The server asks them, and they borrow from the server: they live from
  // before its start until after its end, and go before it.
  std::unique_ptr<grpccommon::DependencyChecks> checks;
  options->readiness_checks = [&checks] { return checks->ReportJson(); };
  auto server = grpccommon::Server::Create(*options);
  if (!server.ok()) return grpccommon::ExitWith(server.status());

  const auto store = OpenStore(*scheduler, (*server)->logger());
  if (!store.ok()) return grpccommon::ExitWith(store.status());
  const auto service = RegistryService::Create(
      *store->leases, *store->registry, *std::move(policy),
      (*server)->metrics(), *scheduler,
      // What etcd knows outlives this process.
      {.grace =
           store->outlives_us ? grpccommon::Clock::Duration::zero() : *grace});
  if (!service.ok()) return grpccommon::ExitWith(service.status());

  checks = std::make_unique<grpccommon::DependencyChecks>(
      (*server)->health(), (*server)->scheduler(), (*server)->logger());
  if (store->outlives_us) {
    // Without etcd we still tell what it told last, so we go on serving.
    const absl::Status added =
        checks->Add({.name = "etcd", .critical = false},
                    [&store](grpccommon::DependencyChecks::Done done) {
                      store->leases->Lookup(
                          "-", [done = std::move(done)](const auto& instances) {
                            done(instances.status());
                          });
                    });
    if (!added.ok()) {
      checks.reset();
      return grpccommon::ExitWith(added);
    }
  }
  (*server)->Add<grpccommon::registry::v1::RegistryService>(**service).OnDrain(
      [&service] { (*service)->EndWatches(); });
  const int code = (*server)->Run();
  checks.reset();
  server->reset();  // before what it borrows
  return code;
}
