// SPDX-License-Identifier: Apache-2.0
// Calls a fleet of task services that it finds in a registry, kills one of them
// while it does, and exits with 0 if no call failed.
//
//   task_fleet_demo <registry URI> <process id of the one to kill>
//
// The token of a user comes from ALICE_TOKEN. `./dev demo` runs it.

#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/numbers.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/client/client_manager.h"
#include "grpccommon/registry/registry_uri.h"
#include "grpccommon/server/server.h"
#include "taskservice/task_service.grpc.pb.h"

using namespace std::chrono_literals;
using taskservice::TaskService;

int main(int argc, char** argv) {
  const char* const token = std::getenv("ALICE_TOKEN");
  int process = 0;
  if (argc != 3 || token == nullptr || !absl::SimpleAtoi(argv[2], &process) ||
      process <= 0) {
    std::cerr << "usage: ALICE_TOKEN=… task_fleet_demo <registry URI> <pid>\n";
    return 64;
  }
  const std::string authorization = std::string("Bearer ") + token;
  const auto scheduler = grpccommon::CreateScheduler();
  auto registry = grpccommon::CreateRegistry(
      argv[1], *scheduler,
      {.remote = {.authorization =
                      [authorization = authorization] { return authorization; },
                  .authorization_in_plaintext = true}});
  if (!registry.ok()) return grpccommon::ExitWith(registry.status());
  auto manager =
      grpccommon::ClientManager::Create({.registry = *std::move(registry)});
  if (!manager.ok()) return grpccommon::ExitWith(manager.status());
  const auto tasks = (*manager)->Get<TaskService>();
  if (!tasks.ok()) return grpccommon::ExitWith(tasks.status());

  const auto connected = [&manager] {
    int count = 0;
    const grpccommon::ServiceStats stats = (*manager)->Stats()[0];
    for (const auto& endpoint : stats.endpoints) {
      if (endpoint.connected) ++count;
    }
    return count;
  };
  const auto give_up = std::chrono::steady_clock::now() + 20s;
  while (connected() < 3 && std::chrono::steady_clock::now() < give_up) {
    std::this_thread::sleep_for(10ms);
  }
  std::cout << "  found " << connected() << " instances of "
            << TaskService::service_full_name() << " in " << argv[1] << '\n';

  int calls = 0;
  int failed = 0;
  int tried_again = 0;
  const auto call_for = [&](std::chrono::milliseconds time) {
    std::map<std::string, int> answered_by;
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end) {
      grpccommon::CallInfo info;
      const auto response = (*tasks)->Call(
          &TaskService::Stub::ListTasks, {},
          {.metadata = {{"authorization", authorization}}, .info = &info});
      ++calls;
      if (!response.ok()) {
        ++failed;
        std::cout << "  FAILED " << response.status() << '\n';
      }
      if (info.attempts > 1) ++tried_again;
      ++answered_by[info.endpoint];
      std::this_thread::sleep_for(5ms);
    }
    for (const auto& [endpoint, count] : answered_by) {
      std::cout << "    " << endpoint << " answered " << count << " calls\n";
    }
    return answered_by.size();
  };
  std::cout << "  calls are spread:\n";
  const std::size_t before = call_for(1500ms);
  std::cout << "  kill -9 " << argv[2] << ", and calls go on:\n";
  kill(process, SIGKILL);
  const std::size_t after = call_for(1500ms);
  const bool right = failed == 0 && before == 3 && after <= 2;
  std::cout << (right ? "  ok     " : "  WRONG  ") << calls << " calls, "
            << failed << " failed, " << tried_again << " tried again\n";
  return right ? 0 : 1;
}
