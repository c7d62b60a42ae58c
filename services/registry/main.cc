// SPDX-License-Identifier: Apache-2.0
// The registry. Configured as every server of the library (docs/server.md), and
// by the variables that docs/registry_service.md lists.

#include <cstdlib>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/registry/lease_store.h"
#include "grpccommon/registry/memory_registry.h"
#include "grpccommon/server/config.h"
#include "grpccommon/server/server.h"
#include "services/registry/memory_leases.h"
#include "services/registry/registration_policy.h"
#include "services/registry/registry_service.h"

namespace {

std::string Variable(const char* name, const char* otherwise) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : otherwise;
}

absl::StatusOr<grpccommon::Clock::Duration> Seconds(const char* name,
                                                    const char* otherwise) {
  double seconds = 0;
  const std::string text = Variable(name, otherwise);
  if (!absl::SimpleAtod(text, &seconds) || !(seconds >= 0 && seconds <= 3600)) {
    return absl::InvalidArgumentError(absl::StrCat(
        name, " must be seconds in [0, 3600], got \"", text, "\""));
  }
  return std::chrono::duration_cast<grpccommon::Clock::Duration>(
      std::chrono::duration<double>(seconds));
}

}  // namespace

int main() {
  using platform::registry::MemoryLeases;
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
  const auto grace = Seconds("GRPCCOMMON_APP_GRACE_SECONDS", "20");
  if (!grace.ok()) return grpccommon::ExitWith(grace.status());

  const auto scheduler = grpccommon::CreateScheduler();
  auto server = grpccommon::Server::Create(*options);
  if (!server.ok()) return grpccommon::ExitWith(server.status());

  const auto store =
      grpccommon::LeaseStore::Create(*scheduler, {}, (*server)->logger());
  if (!store.ok()) return grpccommon::ExitWith(store.status());
  const auto registry = grpccommon::CreateMemoryRegistry(**store);
  MemoryLeases leases(**store);
  const auto service = RegistryService::Create(
      leases, *registry, *std::move(policy), (*server)->metrics(), *scheduler,
      {.grace = *grace});
  if (!service.ok()) return grpccommon::ExitWith(service.status());

  (*server)->Add<grpccommon::registry::v1::RegistryService>(**service).OnDrain(
      [&service] { (*service)->EndWatches(); });
  const int code = (*server)->Run();
  server->reset();  // before what it borrows
  return code;
}
