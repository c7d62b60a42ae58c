// SPDX-License-Identifier: Apache-2.0
#include "faults/cluster.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <mutex>
#include <optional>

#include "grpccommon/registry/lease_store.h"
#include "grpccommon/registry/memory_registry.h"
#include "grpccommon/registry/registry_uri.h"
#include "grpccommon/server/server.h"
#include "grpccommon/testing/certificates.h"
#include "grpccommon/testing/recording_log_sink.h"
#include "services/registry/memory_leases.h"
#include "services/registry/registration_policy.h"
#include "services/registry/registry_service.h"
#include "support/believer.h"
#include "support/etcd_process.h"
#include "support/number.h"

namespace grpccommon::test {
namespace {

using namespace std::chrono_literals;
namespace registry_service = platform::registry;

[[noreturn]] void Fail(const std::string& what) {
  std::cerr << "cluster: " << what << '\n';
  std::abort();
}

}  // namespace

InstanceProcess::InstanceProcess(const std::string& registry,
                                 const Behaviour& behaviour,
                                 const std::string& journal) {
  int out[2];
  if (pipe2(out, O_CLOEXEC) != 0) Fail("no pipe");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  std::array<std::string, 6> words = {
      FAULT_INSTANCE,
      registry,
      journal,
      std::to_string(behaviour.service_time.count()),
      std::to_string(behaviour.pause_every),
      std::to_string(behaviour.pause.count())};
  std::array<char*, words.size() + 1> arguments{};
  for (std::size_t i = 0; i < words.size(); ++i) arguments[i] = words[i].data();
  if (posix_spawn(&pid_, arguments[0], &actions, nullptr, arguments.data(),
                  environ) != 0) {
    Fail("cannot start an instance");
  }
  posix_spawn_file_actions_destroy(&actions);
  close(out[1]);
  std::FILE* const said = fdopen(out[0], "r");
  char line[128];
  if (std::fgets(line, sizeof line, said) == nullptr) {
    Fail("an instance ended at once");
  }
  std::fclose(said);
  address_ = line;
  address_.pop_back();
}

InstanceProcess::~InstanceProcess() {
  if (pid_ == 0) return;
  kill(pid_, SIGKILL);
  Wait();
}

int InstanceProcess::port() const {
  return ParseNumber(address_.substr(address_.rfind(':') + 1)).value();
}

void InstanceProcess::Signal(int signal) const { kill(pid_, signal); }

int InstanceProcess::Wait() {
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = 0;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

struct Cluster::Impl {
  testing::TemporaryFolder folder;
  std::unique_ptr<Scheduler> scheduler = CreateScheduler();
  std::optional<EtcdProcess> etcd;
  // Of the registry service's process, as it were.
  std::unique_ptr<LeaseStore> store;
  std::unique_ptr<Registry> local;
  std::unique_ptr<registry_service::MemoryLeases> leases;
  std::unique_ptr<registry_service::RegistryService> service;
  std::unique_ptr<Server> server;
  std::string address;
  // Of the clients'.
  std::shared_ptr<Registry> remote;
  std::unique_ptr<InstanceWatch> watch;
  std::mutex mutex;
  std::condition_variable changed;
  InstanceSet known;

  std::string journal() const { return folder.path() + "/journal"; }
  std::string uri() const {
    return etcd.has_value() ? "etcd://" + etcd->address()
                            : "registry://" + address;
  }
};

Cluster::Cluster(Backend backend) : impl_(std::make_unique<Impl>()) {
  if (backend == Backend::kEtcd) {
    impl_->etcd.emplace();
  } else {
    impl_->address = "127.0.0.1:0";
    StartRegistry();
  }
  RegistryUriOptions options;
  options.remote.connection.reconnect_maximum = 2s;
  options.remote.authorization = [] { return std::string("client reader"); };
  options.remote.authorization_in_plaintext = true;
  options.etcd.connection.reconnect_maximum = 2s;
  impl_->remote = *CreateRegistry(impl_->uri(), *impl_->scheduler, options);
  impl_->watch = *impl_->remote->Watch("echo", [this](const InstanceSet& set) {
    const std::lock_guard lock(impl_->mutex);
    impl_->known = set;
    impl_->changed.notify_all();
  });
}

Cluster::~Cluster() {
  impl_->watch.reset();
  StopRegistry();
}

void Cluster::StartRegistry() {
  Impl& impl = *impl_;
  if (impl.etcd.has_value()) return impl.etcd->Start();
  impl.store = *LeaseStore::Create(*impl.scheduler);
  impl.leases = std::make_unique<registry_service::MemoryLeases>(*impl.store);
  impl.local = CreateMemoryRegistry(*impl.store);
  ServerOptions options;
  options.name = "registry";
  options.grpc_address = impl.address;
  options.log_sink = std::make_shared<testing::RecordingLogSink>();
  options.drain_delay = 0s;
  options.auth.make_authenticator = [](auto&, auto&) {
    return std::make_unique<Believer>();
  };
  impl.server = *Server::Create(std::move(options));
  impl.service = *registry_service::RegistryService::Create(
      *impl.leases, *impl.local,
      *registry_service::RegistrationPolicy::Parse("role:instance=*"),
      impl.server->metrics(), *impl.scheduler, {.grace = 5s});
  impl.server->Add<registry::v1::RegistryService>(*impl.service);
  if (const absl::Status status = impl.server->Start(); !status.ok()) {
    Fail(status.ToString());
  }
  impl.address = "127.0.0.1:" + std::to_string(impl.server->grpc_port());
}

void Cluster::StopRegistry() {
  Impl& impl = *impl_;
  if (impl.etcd.has_value()) return impl.etcd->Kill();
  if (impl.server == nullptr) return;
  impl.service->EndWatches();
  impl.server->Shutdown(0s, 0s);
  impl.server.reset();
  impl.service.reset();
  impl.local.reset();
  impl.leases.reset();
  impl.store.reset();
}

std::unique_ptr<InstanceProcess> Cluster::StartInstance(
    const Behaviour& behaviour) {
  auto instance = std::make_unique<InstanceProcess>(impl_->uri(), behaviour,
                                                    impl_->journal());
  std::unique_lock lock(impl_->mutex);
  const bool known = impl_->changed.wait_for(lock, 30s, [&] {
    for (const Instance& other : impl_->known.instances) {
      if (other.address == instance->address()) return true;
    }
    return false;
  });
  if (!known) Fail("the registry does not know " + instance->address());
  return instance;
}

std::shared_ptr<Registry> Cluster::registry() { return impl_->remote; }

std::map<std::string, int> Cluster::ReadJournal() const {
  std::map<std::string, int> counts;
  std::ifstream file(impl_->journal());
  for (std::string line; std::getline(file, line);) ++counts[line];
  return counts;
}

}  // namespace grpccommon::test
