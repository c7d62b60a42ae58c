// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/export.h"
#include "grpccommon/call/selector.h"
#include "grpccommon/call/server_interceptor.h"
#include "grpccommon/health/dependency_checks.h"
#include "grpccommon/log/logger.h"
#include "grpccommon/server/server_options.h"

namespace grpc {
class CallbackGenericService;
class Channel;
class ChannelArguments;
class Service;
}  // namespace grpc

namespace grpccommon {

class AccessLog;
class HealthRegistry;
class MetricsRegistry;
class Router;
class Scheduler;
class Tracer;

/// Where a server is in its life.
enum class ServerPhase {
  kCreated,
  kServing,
  /// Says NOT_SERVING, still serves: balancers look away.
  kDraining,
  /// Refuses new calls, lets running ones finish, then cancels them.
  kStopping,
  kStopped,
};

GRPCCOMMON_EXPORT std::string_view ServerPhaseName(ServerPhase phase);

/// A gRPC server whose every call passes the same chain.
///
///   auto server = Server::Create({.name = "greeter",
///                                 .grpc_address = "0.0.0.0:50051"});
///   if (!server.ok()) return ExitWith(server.status());
///   (*server)->Add<greeter::v1::GreeterService>(greeter);
///   return (*server)->Run();
///
/// Set up by one thread; `Shutdown` may be called from any. The destructor
/// shuts down without delay or grace.
class GRPCCOMMON_EXPORT Server {
 public:
  /// Errors: kInvalidArgument naming the option; what a log file or a
  /// certificate that cannot be read gives.
  static absl::StatusOr<std::unique_ptr<Server>> Create(ServerOptions options);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Serves a synchronous or callback service (mixed styles too), behind the
  /// chain. Before `Start`, as interceptors and checks: later it is left out,
  /// and an error logged. `service` is borrowed until `Run`, or `Start` and
  /// `Shutdown`, have returned, or the server is destroyed without them.
  ///
  /// A service that cannot be guarded (one served through completion queues), a
  /// contract that makes no sense, or a method that is served already makes
  /// `Start` fail with an error that says so.
  template <typename ServiceType, typename Implementation>
  requires std::derived_from<Implementation, typename ServiceType::Service>
      Server& Add(Implementation& service) {
    return AddService(service);
  }
  /// Serves whatever no other service knows. One at most.
  Server& AddGeneric(grpc::CallbackGenericService& service);
  /// Serves without chain, guard, log and metrics: for what is not a service of
  /// yours, such as another library's diagnostics.
  Server& AddUnguarded(grpc::Service& service);

  /// Adds an interceptor to the methods that `selector` chooses.
  Server& Use(std::shared_ptr<ServerInterceptor> interceptor,
              Selector selector = {});

  /// Looks again and again whether what this process depends on works, from
  /// Start until the last call has ended, and holds down the health of the
  /// services that cannot do without; /healthz/ready tells the details. As
  /// DependencyChecks does: an asynchronous check must not block, a blocking
  /// one gets a thread of its own. A name that is there already or an option
  /// out of range makes `Start` fail. What a check borrows is borrowed as a
  /// service is.
  Server& AddCheck(DependencyOptions options,
                   DependencyChecks::AsyncCheck check);
  Server& AddBlockingCheck(DependencyOptions options,
                           DependencyChecks::BlockingCheck check);

  /// Runs `hook` before draining begins (deregister) or after the last call
  /// has ended (close a database); in reverse order of addition. What a hook
  /// throws is logged.
  Server& OnDrain(std::function<void()> hook);
  Server& OnStopped(std::function<void()> hook);

  /// Listens and serves. Once only: after an error another server is needed.
  /// Errors: kInvalidArgument (what was added), kUnavailable (an address in
  /// use), each naming it; kCancelled if `Shutdown` came before.
  absl::Status Start();

  /// Starts, serves until SIGTERM, SIGINT or a `Shutdown` of the application's,
  /// then drains and shuts down; a second signal skips to the end. Returns the
  /// process's exit code: 0, or as ExitWith. Call it once, from main.
  int Run();

  /// Drains and shuts down, as after a signal. Returns when all is over; a
  /// concurrent call waits for the same. Before `Start`, it keeps the server
  /// from starting. Thread-safe. Not from a handler, which it would wait for
  /// while that waits for it: there, raise SIGTERM, or call it on a thread of
  /// its own. From a hook it returns at once.
  void Shutdown();
  /// The same with other times, of which a year is the longest; zero for both
  /// ends every call at once.
  void Shutdown(std::chrono::nanoseconds drain_delay,
                std::chrono::nanoseconds grace_period);
  /// Cuts a running Shutdown short: no more delay, calls are cancelled.
  void ShutdownNow();
  /// Blocks until the server has stopped.
  void Wait();

  /// As they were given to `Create`.
  const ServerOptions& options() const;
  ServerPhase phase() const;
  /// The bound ports, after Start; 0 where there is none.
  int grpc_port() const;
  int plaintext_port() const;
  int http_port() const;
  /// Calls in flight: until all of the reply is sent, or given up.
  std::int64_t running_calls() const;

  /// A channel into this server without a socket, through the same chain. After
  /// Start; no call may begin on it once the server is destroyed, which gRPC
  /// 1.51 answers with a crash.
  std::shared_ptr<grpc::Channel> InProcessChannel();

  /// For the application's own lines.
  const Logger& logger() const;
  /// Every service that was added serves from Start to the drain; the owner of
  /// a dependency that fails can hold services down meanwhile.
  HealthRegistry& health();
  /// For its own routes on the HTTP port; before Start.
  Router& http_routes();
  /// For its own metrics; what is added here is exposed with the server's.
  MetricsRegistry& metrics();
  /// For its own spans; null where tracing is switched off.
  Tracer* tracer();
  /// To change levels at run time; null where the access log is switched off.
  AccessLog* access_log();
  /// For its own timers; lives as long as the server.
  Scheduler& scheduler();

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  Server& AddService(grpc::Service& service);

  std::unique_ptr<Impl> impl_;
};

/// Prints why the program ends, and returns the code of sysexits.h for it: 78
/// for a bad configuration, 77 for a permission, 69 for what is unavailable,
/// else 70; 0 for OK.
GRPCCOMMON_EXPORT int ExitWith(const absl::Status& status);

}  // namespace grpccommon
