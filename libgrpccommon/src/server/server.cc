// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/server/server.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/grpc_compat.h"
#include "grpc/grpc.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/health/health_registry.h"
#include "grpccommon/health/health_service.h"
#include "grpccommon/http/http_server.h"
#include "grpccommon/http/operations.h"
#include "grpccommon/http/router.h"
#include "grpcpp/channel.h"
#include "grpcpp/ext/channelz_service_plugin.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/resource_quota.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "grpcpp/support/channel_arguments.h"
#include "grpcpp/version_info.h"
#include "log/last_words.h"
#include "nlohmann/json.hpp"
#include "server/announcement.h"
#include "server/call_path.h"
#include "server/concerns.h"
#include "server/grpc_access.h"
#include "server/signals.h"
#include "server/tls.h"
#include "server/within.h"
#ifdef GRPCCOMMON_OWN_REFLECTION
#include "server/reflection_service.h"
#endif

namespace grpccommon {
namespace {

using std::chrono::nanoseconds;

constexpr std::string_view kStuckHandlers =
    "handlers ignore their cancellation";

absl::Status CheckName(const std::string& name) {
  const bool good =
      !name.empty() && name.size() <= 63 &&
      std::all_of(name.begin(), name.end(), [](unsigned char c) {
        return std::isalnum(c) || c == '-' || c == '_' || c == '.';
      });
  if (good) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "name must be 1 to 63 letters, digits and -_., got \"", name, "\""));
}

// gRPC would listen on 443 where the port is missing, and take 99999 modulo
// 2^16.
bool IsListenAddress(std::string_view address) {
  for (const std::string_view scheme : {"unix:", "unix-abstract:"}) {
    if (address.starts_with(scheme)) return address.size() > scheme.size();
  }
  const std::size_t colon = address.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  const std::string_view host = address.substr(0, colon);
  const bool bracketed = host.starts_with('[') && host.ends_with(']');
  if (!bracketed && host.find(':') != std::string_view::npos) return false;
  const std::string_view digits = address.substr(colon + 1);
  std::uint16_t port = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), port);
  return error == std::errc() && end == digits.data() + digits.size();
}

absl::Status CheckListenAddress(std::string_view option,
                                std::string_view address) {
  if (address.empty() || IsListenAddress(address)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      ToAbsl(option),
      " must be \"host:port\", \"[::1]:port\" or \"unix:/path\", got \"",
      ToAbsl(address), "\""));
}

absl::Status CheckOptions(const ServerOptions& options) {
  using std::chrono::hours;
  using std::chrono::minutes;
  using std::chrono::seconds;
  constexpr double kMostBytes = 2147483647;
  // gRPC has an int for the milliseconds.
  constexpr hours kLongestConnection(24 * 24);
  absl::Status valid = CheckName(options.name);
  valid.Update(CheckListenAddress("grpc_address", options.grpc_address));
  valid.Update(
      CheckListenAddress("plaintext_address", options.plaintext_address));
  const auto bytes = [&valid](std::string_view option, std::size_t value) {
    valid.Update(CheckRange(option, static_cast<double>(value), 1, kMostBytes));
  };
  if (options.auth.client_certificates &&
      (!options.tls.has_value() || options.tls->client_ca_file.empty())) {
    valid.Update(absl::InvalidArgumentError(
        "auth.client_certificates needs tls.client_ca_file"));
  }
  bytes("max_receive_message_bytes", options.max_receive_message_bytes);
  bytes("max_send_message_bytes", options.max_send_message_bytes);
  valid.Update(CheckRange("max_metadata_bytes",
                          static_cast<double>(options.max_metadata_bytes), 1024,
                          1 << 20));
  valid.Update(CheckRange("keepalive.time", options.keepalive.time, seconds(1),
                          hours(24)));
  valid.Update(CheckRange("keepalive.timeout", options.keepalive.timeout,
                          seconds(1), minutes(10)));
  valid.Update(CheckRange("keepalive.minimum_client_interval",
                          options.keepalive.minimum_client_interval, seconds(1),
                          hours(1)));
  if (options.connection.max_age != nanoseconds::zero()) {
    valid.Update(CheckRange("connection.max_age", options.connection.max_age,
                            seconds(1), kLongestConnection));
    valid.Update(CheckRange("connection.max_age_grace",
                            options.connection.max_age_grace, seconds(1),
                            hours(24)));
  }
  if (options.connection.max_idle != nanoseconds::zero()) {
    valid.Update(CheckRange("connection.max_idle", options.connection.max_idle,
                            seconds(1), kLongestConnection));
  }
  valid.Update(
      CheckRange("connection.max_concurrent_calls",
                 static_cast<double>(options.connection.max_concurrent_calls),
                 0, kMostBytes));
  // With less than these, gRPC serves nobody.
  if (options.max_sync_threads != 0) {
    valid.Update(
        CheckRange("max_sync_threads", options.max_sync_threads, 2, 1 << 20));
  }
  if (options.memory_quota_bytes != 0) {
    valid.Update(CheckRange("memory_quota_bytes",
                            static_cast<double>(options.memory_quota_bytes),
                            64 << 10, 9e15));
  }
  valid.Update(CheckRange("drain_delay", options.drain_delay,
                          nanoseconds::zero(), hours(1)));
  valid.Update(CheckRange("grace_period", options.grace_period,
                          nanoseconds::zero(), hours(24)));
  valid.Update(CheckRange("stuck_timeout", options.stuck_timeout,
                          nanoseconds::zero(), hours(1)));
  return valid;
}

int Milliseconds(nanoseconds duration) {
  return static_cast<int>(
      std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
}

// gRPC only logs why it cannot listen; so we try what it tried, and ask errno.
std::string WhyNoPort(const std::string& address) {
  if (address.starts_with("unix:")) return "cannot create the socket";
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos) return "the address has no port";
  std::string host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int error =
          getaddrinfo(host.empty() ? nullptr : host.c_str(),
                      address.substr(colon + 1).c_str(), &hints, &found);
      error != 0) {
    return gai_strerror(error);
  }
  std::string reason = "gRPC refused the address";
  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) != 0) {
    reason = std::strerror(errno);
  }
  if (fd >= 0) close(fd);
  freeaddrinfo(found);
  return reason;
}

// gRPC would take its path from a server that listens on it.
bool SomebodyListens(std::string_view address) {
  constexpr std::string_view kUnix = "unix:";
  if (!address.starts_with(kUnix)) return false;
  std::string_view path = address.substr(kUnix.size());
  if (path.starts_with("//")) path.remove_prefix(2);
  sockaddr_un socket_address{};
  // Too long a path is for gRPC to refuse.
  if (path.size() >= sizeof socket_address.sun_path) return false;
  socket_address.sun_family = AF_UNIX;
  path.copy(socket_address.sun_path, path.size());
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return false;
  // A socket that its server left behind refuses; EAGAIN: it is only busy.
  const bool listens =
      connect(fd, reinterpret_cast<const sockaddr*>(&socket_address),
              sizeof socket_address) == 0 ||
      errno == EAGAIN;
  close(fd);
  return listens;
}

void AddArguments(const ServerOptions& options, grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(
      static_cast<int>(options.max_receive_message_bytes));
  builder.SetMaxSendMessageSize(
      static_cast<int>(options.max_send_message_bytes));
  // Two servers on one port would share its calls without a word.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  for (const char* limit : {GRPC_ARG_MAX_METADATA_SIZE,
                            internal::kAbsoluteMaxMetadataSizeArgument}) {
    builder.AddChannelArgument(limit,
                               static_cast<int>(options.max_metadata_bytes));
  }
  const KeepaliveOptions& keepalive = options.keepalive;
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS,
                             Milliseconds(keepalive.time));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                             Milliseconds(keepalive.timeout));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS,
                             keepalive.permit_without_calls ? 1 : 0);
  builder.AddChannelArgument(
      GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
      Milliseconds(keepalive.minimum_client_interval));
  const ConnectionOptions& connection = options.connection;
  if (connection.max_age != nanoseconds::zero()) {
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS,
                               Milliseconds(connection.max_age));
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS,
                               Milliseconds(connection.max_age_grace));
  }
  if (connection.max_idle != nanoseconds::zero()) {
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS,
                               Milliseconds(connection.max_idle));
  }
  if (connection.max_concurrent_calls > 0) {
    builder.AddChannelArgument(
        GRPC_ARG_MAX_CONCURRENT_STREAMS,
        static_cast<int>(connection.max_concurrent_calls));
  }
  switch (options.compression) {
    case Compression::kNone:
      // gRPC inflates a message before it looks at its size: a few kilobytes
      // from anybody would be gigabytes of memory.
      builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
      builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE,
                                                   false);
      // What would inflate them is then one filter less for each call.
      builder.AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
      break;
    case Compression::kGzip:
      builder.SetDefaultCompressionAlgorithm(GRPC_COMPRESS_GZIP);
      break;
    case Compression::kDeflate:
      builder.SetDefaultCompressionAlgorithm(GRPC_COMPRESS_DEFLATE);
      break;
  }
  if (options.memory_quota_bytes > 0 || options.max_sync_threads > 0) {
    grpc::ResourceQuota quota(options.name);
    if (options.memory_quota_bytes > 0) {
      quota.Resize(options.memory_quota_bytes);
    }
    if (options.max_sync_threads > 0) {
      quota.SetMaxThreads(options.max_sync_threads);
    }
    builder.SetResourceQuota(quota);
  }
  // On by default in gRPC, whose threads then count each call and message in
  // places that they share.
  builder.AddChannelArgument(GRPC_ARG_ENABLE_CHANNELZ,
                             options.channelz ? 1 : 0);
}

// What gRPC's libraries add to every server of the process by themselves, on or
// off for this server alone.
class GrpcPlugins : public grpc::ServerBuilderOption {
 public:
  GrpcPlugins(bool reflection, bool channelz)
      : reflection_(reflection), channelz_(channelz) {}
  void UpdateArguments(grpc::ChannelArguments* /*arguments*/) override {}
  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>*
                         plugins) override {
    auto reflection =
        std::make_unique<grpc::reflection::ProtoServerReflectionPlugin>();
    std::erase_if(*plugins, [&](const auto& plugin) {
      const std::string name = plugin->name();
      return name == reflection->name() ||
             (name == "channelz_service" && !channelz_);
    });
    if (reflection_) plugins->push_back(std::move(reflection));
  }

 private:
  const bool reflection_;
  const bool channelz_;
};

#ifdef GRPCCOMMON_OWN_REFLECTION
void AddName(const grpc::Service& service, std::vector<std::string>& names) {
  for (const auto& method : internal::MethodsOf(service)) {
    if (method == nullptr) continue;
    const std::string_view path = method->name();
    names.emplace_back(path.substr(1, path.rfind('/') - 1));
    return;
  }
}
#endif

// A hook that throws keeps no other from running, and the server from no end.
void RunInReverse(std::string_view name,
                  std::vector<std::function<void()>>& hooks,
                  const Logger& logger) {
  const auto report = [&](std::string_view text) {
    logger.Error("a hook threw", {{"hook", name}, {"exception", text}});
  };
  for (auto hook = hooks.rbegin(); hook != hooks.rend(); ++hook) {
    try {
      (*hook)();
    } catch (const std::exception& error) {
      report(error.what());
    } catch (...) {
      report("not derived from std::exception");
    }
  }
}

// "Endless" times must not overflow into the past.
nanoseconds Bounded(nanoseconds duration) {
  return std::clamp<nanoseconds>(duration, nanoseconds::zero(),
                                 std::chrono::hours(24 * 365));
}

absl::Status ShutDownBeforeItStarted() {
  return absl::CancelledError("the server was shut down before it had started");
}

}  // namespace

std::string_view ServerPhaseName(ServerPhase phase) {
  switch (phase) {
    case ServerPhase::kCreated:
      return "created";
    case ServerPhase::kServing:
      return "serving";
    case ServerPhase::kDraining:
      return "draining";
    case ServerPhase::kStopping:
      return "stopping";
    case ServerPhase::kStopped:
      return "stopped";
  }
  return "unknown";
}

struct Server::Impl {
  Impl(ServerOptions o, std::shared_ptr<LogSink> sink, const Clock& clock)
      : options(std::move(o)),
        logger(std::move(sink), options.name, options.log_level, clock),
        call_path(clock, logger) {
    call_path.set_max_send_message_bytes(options.max_send_message_bytes);
  }

  absl::Status Serve();
  // Up to Listen, which a Shutdown meanwhile waits for.
  absl::Status Prepare(std::shared_ptr<Registry>& registry);
  absl::Status BeginListening();
  // After an error, what Serve began is undone.
  void EndStart(const absl::Status& started);
  absl::Status BeginChecks();
  void EndChecks(const absl::Status& started);
  // Whether it is too late to add something; says so if it is.
  bool TooLateFor(std::string_view what);
  void SetHealth(ServingStatus status) const;
  absl::Status Listen();
  absl::Status ListenHttp();
  Readiness Ready();
  std::string VersionJson() const;
  void EnterPhase(ServerPhase next);
  void Stop(nanoseconds drain_delay, nanoseconds grace_period);
  // Does `work`, which may take for ever, on a thread of its own; sets `done`.
  std::thread Beside(std::function<void()> work, bool Impl::*done);
  // gRPC's Shutdown blocks until every call has ended; `calls_ended` tells.
  std::thread CloseGrpcServer(nanoseconds grace_period);
  // Waits until `done`. In a process that Run owns, it ends that if it takes
  // too long, saying why, and also why it did not start if it did not.
  void AwaitOrExit(const bool Impl::*done, std::string_view why,
                   const absl::Status& started);
  // Waits until every call has ended, `grace_period` is over, or ShutdownNow
  // was called; true in the first case.
  bool WaitForCalls(nanoseconds grace_period);
  // Waits until `delay` is over or ShutdownNow was called; says which.
  bool WaitOrHurry(nanoseconds delay);

  absl::Status CheckCredentials() const;
  absl::Status Announce(std::shared_ptr<Registry> registry);

  const ServerOptions options;
  const Logger logger;
  // The first thing that went wrong before Start.
  absl::Status setup;
  // Interceptors borrow from the concerns, so the path goes first.
  internal::Concerns concerns;
  internal::CallPath call_path;
  std::unique_ptr<HealthRegistry> health;
  std::unique_ptr<HealthService> health_service;
  // Begun by Start, in this order.
  std::vector<std::function<absl::Status(DependencyChecks&)>> wanted_checks;
  Router http_routes;
  std::vector<grpc::Service*> unguarded;
  std::unique_ptr<grpc::Service> reflection;
  std::unique_ptr<internal::ServerTls> tls;
  std::vector<std::function<void()>> on_drain;
  std::vector<std::function<void()>> on_stopped;
  std::unique_ptr<grpc::Server> grpc_server;
  std::unique_ptr<HttpServer> http_server;
  std::unique_ptr<internal::Announcement> announcement;
  int grpc_port = 0;
  int plaintext_port = 0;

  Mutex mutex;
  CondVar changed;
  std::unique_ptr<DependencyChecks> checks ABSL_GUARDED_BY(mutex);
  ServerPhase phase ABSL_GUARDED_BY(mutex) = ServerPhase::kCreated;
  bool start_begun ABSL_GUARDED_BY(mutex) = false;
  bool listening_begun ABSL_GUARDED_BY(mutex) = false;
  bool start_ended ABSL_GUARDED_BY(mutex) = false;
  std::thread::id stopping_thread ABSL_GUARDED_BY(mutex);
  // While Run waits for one.
  internal::StopSignals* signals ABSL_GUARDED_BY(mutex) = nullptr;
  bool shutting_down ABSL_GUARDED_BY(mutex) = false;
  // Stop has nothing left to do with this; a while after kStopped.
  bool ended ABSL_GUARDED_BY(mutex) = false;
  bool hurry ABSL_GUARDED_BY(mutex) = false;
  bool calls_ended ABSL_GUARDED_BY(mutex) = false;
  bool checks_ended ABSL_GUARDED_BY(mutex) = false;
  // Run owns the process and may end it over what never returns.
  std::atomic<bool> owns_process{false};
};

absl::StatusOr<std::unique_ptr<Server>> Server::Create(ServerOptions options) {
  if (absl::Status valid = CheckOptions(options); !valid.ok()) return valid;
  std::shared_ptr<LogSink> sink = options.log_sink;
  if (sink == nullptr) {
    absl::StatusOr<std::shared_ptr<LogSink>> made = CreateLogSink(options.log);
    if (!made.ok()) return internal::Within("log", made.status());
    sink = *std::move(made);
  }
  const Clock& clock =
      options.clock != nullptr ? *options.clock : SteadyClock();
  auto impl =
      std::make_unique<Impl>(std::move(options), std::move(sink), clock);
  if (impl->options.tls.has_value()) {
    auto tls = internal::ServerTls::Create(
        *impl->options.tls, impl->concerns.scheduler(), impl->logger);
    if (!tls.ok()) return tls.status();
    impl->tls = *std::move(tls);
  }
  impl->health = std::make_unique<HealthRegistry>();
  absl::StatusOr<std::unique_ptr<HealthService>> health_service =
      HealthService::Create(*impl->health,
                            {.max_watches = impl->options.max_health_watches});
  if (!health_service.ok()) {
    return internal::Within("max_health_watches", health_service.status());
  }
  impl->health_service = *std::move(health_service);
  if (absl::Status status = impl->concerns.Install(impl->options, impl->logger,
                                                   clock, impl->call_path);
      !status.ok()) {
    return status;
  }
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() { Shutdown(nanoseconds::zero(), nanoseconds::zero()); }

bool Server::Impl::TooLateFor(std::string_view what) {
  const MutexLock lock(mutex);
  if (!start_begun) return false;
  logger.Error("nothing can be added once a server starts", {{"what", what}});
  return true;
}

Server& Server::AddService(grpc::Service& service) {
  if (impl_->TooLateFor("a service")) return *this;
  impl_->setup.Update(impl_->call_path.Add(service));
  return *this;
}

Server& Server::AddGeneric(grpc::CallbackGenericService& service) {
  if (impl_->TooLateFor("a generic service")) return *this;
  impl_->setup.Update(impl_->call_path.AddGeneric(service));
  return *this;
}

Server& Server::AddUnguarded(grpc::Service& service) {
  if (impl_->TooLateFor("an unguarded service")) return *this;
  impl_->unguarded.push_back(&service);
  return *this;
}

Server& Server::Use(std::shared_ptr<ServerInterceptor> interceptor,
                    Selector selector) {
  if (impl_->TooLateFor(interceptor->name())) return *this;
  impl_->call_path.Use(std::move(interceptor), std::move(selector));
  return *this;
}

Server& Server::AddCheck(DependencyOptions options,
                         DependencyChecks::AsyncCheck check) {
  if (impl_->TooLateFor(options.name)) return *this;
  impl_->wanted_checks.emplace_back(
      [options = std::move(options), check = std::move(check)](
          DependencyChecks& checks) { return checks.Add(options, check); });
  return *this;
}

Server& Server::AddBlockingCheck(DependencyOptions options,
                                 DependencyChecks::BlockingCheck check) {
  if (impl_->TooLateFor(options.name)) return *this;
  impl_->wanted_checks.emplace_back(
      [options = std::move(options),
       check = std::move(check)](DependencyChecks& checks) {
        return checks.AddBlocking(options, check);
      });
  return *this;
}

Server& Server::OnDrain(std::function<void()> hook) {
  impl_->on_drain.push_back(std::move(hook));
  return *this;
}

Server& Server::OnStopped(std::function<void()> hook) {
  impl_->on_stopped.push_back(std::move(hook));
  return *this;
}

absl::Status Server::Impl::Listen() {
  // Builders have it that are made later.
  if (options.channelz) grpc::channelz::experimental::InitChannelzService();
  grpc::ServerBuilder builder;
  AddArguments(options, builder);
  struct Port {
    const std::string& address;
    int& bound;
    std::shared_ptr<grpc::ServerCredentials> credentials;
  };
  const Port ports[] = {
      {options.grpc_address, grpc_port,
       tls != nullptr ? tls->credentials() : grpc::InsecureServerCredentials()},
      {options.plaintext_address, plaintext_port,
       grpc::InsecureServerCredentials()}};
  for (const Port& port : ports) {
    if (port.address.empty()) continue;
    if (SomebodyListens(port.address)) {
      return absl::UnavailableError(absl::StrCat(
          "cannot listen on ", port.address, ": Address already in use"));
    }
    builder.AddListeningPort(port.address, port.credentials, &port.bound);
  }
  for (const auto& service : call_path.services()) {
    builder.RegisterService(service.get());
  }
  if (call_path.generic_service() != nullptr) {
    builder.RegisterCallbackGenericService(call_path.generic_service());
  }
  // A probe has no credentials, and what it asks for is nobody's secret.
  builder.RegisterService(&health_service->service());
  for (grpc::Service* service : unguarded) builder.RegisterService(service);
#ifdef GRPCCOMMON_OWN_REFLECTION
  if (options.reflection) {
    std::vector<std::string> names = call_path.service_names();
    names.emplace_back("grpc.health.v1.Health");
    names.emplace_back("grpc.reflection.v1.ServerReflection");
    names.emplace_back("grpc.reflection.v1alpha.ServerReflection");
    if (options.channelz) names.emplace_back("grpc.channelz.v1.Channelz");
    for (const grpc::Service* service : unguarded) AddName(*service, names);
    reflection = internal::CreateReflectionService(std::move(names));
    builder.RegisterService(reflection.get());
  }
  const bool grpc_reflection = false;
#else
  const bool grpc_reflection = options.reflection;
#endif
  builder.SetOption(
      std::make_unique<GrpcPlugins>(grpc_reflection, options.channelz));
  std::vector<
      std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>>
      factories;
  factories.push_back(call_path.CreateInterceptorFactory());
  builder.experimental().SetInterceptorCreators(std::move(factories));
  grpc_server = builder.BuildAndStart();
  for (const Port& port : ports) {
    // gRPC binds one after the other, up to the first that it cannot.
    if (port.address.empty() || port.bound != 0 ||
        (grpc_server != nullptr && port.address.starts_with("unix:"))) {
      continue;
    }
    return absl::UnavailableError(absl::StrCat(
        "cannot listen on ", port.address, ": ", WhyNoPort(port.address)));
  }
  if (grpc_server != nullptr) return absl::OkStatus();
  return absl::InternalError("gRPC could not start the server; see its log");
}

absl::Status Server::Impl::BeginChecks() {
  if (wanted_checks.empty()) return absl::OkStatus();
  auto made = std::make_unique<DependencyChecks>(
      *health, concerns.scheduler(), logger,
      options.clock != nullptr ? *options.clock : SteadyClock());
  DependencyChecks& begun = *made;
  {
    // Before the first may run, for EndChecks knows what to do if it hangs.
    const MutexLock lock(mutex);
    checks = std::move(made);
  }
  for (const auto& wanted : wanted_checks) {
    if (absl::Status added = wanted(begun); !added.ok()) return added;
  }
  return absl::OkStatus();
}

void Server::Impl::EndChecks(const absl::Status& started) {
  std::unique_ptr<DependencyChecks> ending;
  {
    const MutexLock lock(mutex);
    ending.swap(checks);
  }
  if (ending == nullptr) return;
  // Waits for a blocking check that runs, which may wait for ever itself.
  std::thread ender =
      Beside([&ending] { ending.reset(); }, &Impl::checks_ended);
  AwaitOrExit(&Impl::checks_ended, "a dependency check does not end", started);
  ender.join();
}

Readiness Server::Impl::Ready() {
  Readiness readiness;
  readiness.ready = health->Get("") == ServingStatus::kServing;
  const MutexLock lock(mutex);
  if (checks != nullptr) readiness.checks = checks->ReportJson();
  return readiness;
}

std::string Server::Impl::VersionJson() const {
  return nlohmann::json{{"name", options.name},
                        {"version", options.version},
                        {"grpc", GRPC_CPP_VERSION_STRING},
                        {"grpccommon", GRPCCOMMON_VERSION}}
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

absl::Status Server::Impl::ListenHttp() {
  if (options.http_address.empty()) return absl::OkStatus();
  absl::Status status = AddOperationsRoutes(
      http_routes, {.metrics = [this] { return concerns.metrics().Expose(); },
                    .live = [] { return true; },
                    .ready = [this] { return Ready(); },
                    .version = [this] { return VersionJson(); }});
  if (!status.ok()) return status;
  absl::StatusOr<std::unique_ptr<HttpServer>> made =
      HttpServer::Create({.address = options.http_address, .logger = logger},
                         std::move(http_routes));
  if (!made.ok()) return internal::Within("http_address", made.status());
  http_server = *std::move(made);
  return absl::OkStatus();
}

absl::Status Server::Start() {
  Impl& impl = *impl_;
  {
    const MutexLock lock(impl.mutex);
    if (std::exchange(impl.start_begun, true)) {
      return absl::FailedPreconditionError(
          "a server can be started only once, also if that failed");
    }
    if (impl.phase != ServerPhase::kCreated) return ShutDownBeforeItStarted();
  }
  absl::Status started;
  try {
    started = impl.setup.ok() ? impl.Serve() : impl.setup;
  } catch (...) {
    // From code of the application's, such as its registry.
    impl.EndStart(absl::InternalError("an exception"));
    throw;
  }
  impl.EndStart(started);
  return started;
}

absl::Status Server::Impl::Serve() {
  std::shared_ptr<Registry> registry;
  if (absl::Status status = Prepare(registry); !status.ok()) return status;
  if (absl::Status status = BeginListening(); !status.ok()) return status;
  // A watch that comes with the first connection is not to hear first that the
  // service is unknown.
  SetHealth(ServingStatus::kServing);
  if (absl::Status status = Listen(); !status.ok()) return status;
  if (registry != nullptr) {
    absl::Status status = Announce(std::move(registry));
    if (!status.ok()) return internal::Within("announce", status);
  }
  EnterPhase(ServerPhase::kServing);
  if (http_server != nullptr) http_server->Start();
  return absl::OkStatus();
}

absl::Status Server::Impl::BeginListening() {
  const MutexLock lock(mutex);
  if (phase != ServerPhase::kCreated) return ShutDownBeforeItStarted();
  listening_begun = true;
  return absl::OkStatus();
}

void Server::Impl::EndStart(const absl::Status& started) {
  if (!started.ok()) {
    SetHealth(ServingStatus::kNotServing);
    announcement = nullptr;
    if (grpc_server != nullptr) {
      std::thread closing = CloseGrpcServer(nanoseconds::zero());
      AwaitOrExit(&Impl::calls_ended, kStuckHandlers, started);
      closing.join();
      grpc_server = nullptr;
    }
    http_server = nullptr;
    grpc_port = plaintext_port = 0;
    EndChecks(started);
  }
  {
    const MutexLock lock(mutex);
    if (!started.ok() && phase == ServerPhase::kServing) {
      phase = ServerPhase::kCreated;
    }
    start_ended = true;
  }
  changed.NotifyAll();
}

absl::Status Server::Impl::Prepare(std::shared_ptr<Registry>& registry) {
  if (options.capture_grpc_log) InstallGrpcLog(logger);
  if (!options.mutex_deadlock_detection) {
    absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  }
  if (absl::Status status = CheckCredentials(); !status.ok()) return status;
  if (absl::Status status = call_path.Compile(); !status.ok()) return status;
  absl::StatusOr<std::shared_ptr<Registry>> made =
      internal::RegistryToAnnounceIn(options.announce, concerns.scheduler(),
                                     logger);
  if (!made.ok()) return made.status();
  registry = *std::move(made);
  if (registry != nullptr) {
    absl::Status status =
        internal::CheckAnnouncement(options.announce, options.grpc_address);
    if (!status.ok()) return status;
  }
  if (absl::Status status = BeginChecks(); !status.ok()) return status;
  return ListenHttp();
}

void Server::Impl::SetHealth(ServingStatus status) const {
  for (const std::string& service : call_path.service_names()) {
    health->SetServing(service, status);
  }
  health->SetServing("", status);
}

absl::Status Server::Impl::Announce(std::shared_ptr<Registry> registry) {
  absl::StatusOr<std::string> address = internal::AnnouncedAddress(
      options.announce.address, options.grpc_address, grpc_port);
  if (!address.ok()) return address.status();
  absl::StatusOr<std::unique_ptr<internal::Announcement>> made =
      internal::Announcement::Create(
          std::move(registry), options.announce, *std::move(address),
          call_path.service_names(), *health, logger);
  if (!made.ok()) return made.status();
  announcement = *std::move(made);
  return absl::OkStatus();
}

// Without any way to find out who calls, a contract that asks for a credential
// would refuse everybody; whoever deploys that wants to know it now.
absl::Status Server::Impl::CheckCredentials() const {
  if (concerns.authenticates() || call_path.has_stage(Stage::kIdentify)) {
    return absl::OkStatus();
  }
  for (const Method* method : call_path.methods()) {
    const AccessRule::Kind kind = method->policy.access.kind;
    if (kind == AccessRule::Kind::kAuthenticated ||
        kind == AccessRule::Kind::kAnyOf) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the contract of ", method->path,
          " asks for a credential, but the server cannot check any: configure "
          "auth, or add an interceptor at stage identify"));
    }
  }
  return absl::OkStatus();
}

void Server::Impl::EnterPhase(ServerPhase next) {
  {
    const MutexLock lock(mutex);
    phase = next;
  }
  changed.NotifyAll();
  logger.Info(
      "server phase",
      {{"phase", ServerPhaseName(next)},
       {"running_calls", call_path.running_calls()},
       {"grpc_port", grpc_port},
       {"http_port", http_server != nullptr ? http_server->port() : 0}});
}

bool Server::Impl::WaitOrHurry(nanoseconds delay) {
  const auto end = std::chrono::steady_clock::now() + delay;
  const MutexLock lock(mutex);
  while (!hurry && !calls_ended) {
    if (!changed.WaitUntil(mutex, end)) break;
  }
  return hurry;
}

bool Server::Impl::WaitForCalls(nanoseconds grace_period) {
  // gRPC also waits for clients to close idle connections, and its own clients
  // look at those every five seconds. To wait for them would serve nobody: a
  // call that one of them begins meanwhile is CANCELLED, and after our end it
  // is UNAVAILABLE, which may be retried. But the last answers need a moment.
  constexpr nanoseconds kIdleGrace = std::chrono::seconds(1);
  constexpr nanoseconds kLook = std::chrono::milliseconds(50);
  auto idle_since = std::chrono::steady_clock::now();
  const auto end = idle_since + grace_period;
  const MutexLock lock(mutex);
  while (!hurry && !calls_ended) {
    const auto now = std::chrono::steady_clock::now();
    // Of what is not guarded nobody knows whether calls are running.
    if (!unguarded.empty() || call_path.running_calls() > 0) idle_since = now;
    if (now >= end || now - idle_since >= kIdleGrace) break;
    changed.WaitUntil(mutex, std::min(end, now + kLook));
  }
  return calls_ended;
}

std::thread Server::Impl::Beside(std::function<void()> work, bool Impl::*done) {
  return std::thread([this, work = std::move(work), done] {
    work();
    {
      const MutexLock lock(mutex);
      this->*done = true;
    }
    changed.NotifyAll();
  });
}

std::thread Server::Impl::CloseGrpcServer(nanoseconds grace_period) {
  return Beside(
      [this, grace_period] {
        grpc_server->Shutdown(std::chrono::system_clock::now() + grace_period);
        grpc_server->Wait();
      },
      &Impl::calls_ended);
}

void Server::Impl::AwaitOrExit(const bool Impl::*done, std::string_view why,
                               const absl::Status& started) {
  const bool may_exit =
      owns_process && options.stuck_timeout != nanoseconds::zero();
  const auto end = std::chrono::steady_clock::now() + options.stuck_timeout;
  {
    const MutexLock lock(mutex);
    while (!(this->*done) &&
           (!may_exit || std::chrono::steady_clock::now() < end)) {
      if (may_exit) {
        changed.WaitUntil(mutex, end);
      } else {
        changed.Wait(mutex);
      }
    }
    if (this->*done) return;
  }
  std::string text = absl::StrCat(ToAbsl(why), "; ending the process");
  if (!started.ok()) {
    absl::StrAppend(&text, " that cannot start: ", started.ToString());
  }
  logger.Error(text, {{"running_calls", call_path.running_calls()}});
  internal::FlushLastWords(logger.sink());
  std::_Exit(70);  // EX_SOFTWARE; destructors would wait for the same
}

void Server::Impl::Stop(nanoseconds drain_delay, nanoseconds grace_period) {
  EnterPhase(ServerPhase::kDraining);
  health->Shutdown();
  announcement.reset();
  RunInReverse("OnDrain", on_drain, logger);
  if (drain_delay > nanoseconds::zero()) WaitOrHurry(drain_delay);

  EnterPhase(ServerPhase::kStopping);
  health_service->EndWatches();
  // It cannot be hurried once begun; so we cancel what outlives the grace.
  std::thread closing = CloseGrpcServer(std::chrono::hours(24 * 365));
  if (!WaitForCalls(grace_period)) {
    if (call_path.running_calls() > 0) {
      logger.Warning("cancelling calls that outlived the grace period",
                     {{"running_calls", call_path.running_calls()}});
    }
    grpc_server_cancel_all_calls(grpc_server->c_server());
    AwaitOrExit(&Impl::calls_ended, kStuckHandlers, absl::OkStatus());
  }
  closing.join();
  concerns.Flush();
  EndChecks(absl::OkStatus());
  RunInReverse("OnStopped", on_stopped, logger);
  // Last, so that the end can be watched on it.
  if (http_server != nullptr) {
    http_server->Shutdown(SteadyClock().Now() + std::chrono::seconds(1));
  }
  EnterPhase(ServerPhase::kStopped);
  if (logger.sink() != nullptr) logger.sink()->Flush();
  const MutexLock lock(mutex);
  ended = true;
  // Under the lock: whoever hears of it may destroy this.
  changed.NotifyAll();
}

void Server::Shutdown() {
  Shutdown(impl_->options.drain_delay, impl_->options.grace_period);
}

void Server::Shutdown(nanoseconds drain_delay, nanoseconds grace_period) {
  drain_delay = Bounded(drain_delay);
  grace_period = Bounded(grace_period);
  bool first = false;
  {
    const MutexLock lock(impl_->mutex);
    while (impl_->listening_begun && !impl_->start_ended) {
      impl_->changed.Wait(impl_->mutex);
    }
    if (impl_->phase == ServerPhase::kCreated) {
      impl_->phase = ServerPhase::kStopped;  // nothing runs
      impl_->ended = true;
      impl_->changed.NotifyAll();
    }
    if (impl_->ended) return;
    // A hook of the end that asks for it once more.
    if (impl_->stopping_thread == std::this_thread::get_id()) {
      if (drain_delay + grace_period == nanoseconds::zero()) {
        impl_->hurry = true;
      }
      return;
    }
    first = !std::exchange(impl_->shutting_down, true);
    if (first) {
      impl_->stopping_thread = std::this_thread::get_id();
      if (impl_->signals != nullptr) impl_->signals->Interrupt();
    }
  }
  if (first) {
    impl_->Stop(drain_delay, grace_period);
  } else {
    if (drain_delay + grace_period == nanoseconds::zero()) ShutdownNow();
    Wait();
  }
}

void Server::ShutdownNow() {
  {
    const MutexLock lock(impl_->mutex);
    impl_->hurry = true;
  }
  impl_->changed.NotifyAll();
  Shutdown(nanoseconds(1), nanoseconds(1));
}

void Server::Wait() {
  const MutexLock lock(impl_->mutex);
  while (!impl_->ended) impl_->changed.Wait(impl_->mutex);
}

int Server::Run() {
  internal::StopSignals signals;
  const auto tell_signals = [this](internal::StopSignals* waiting) {
    const MutexLock lock(impl_->mutex);
    impl_->signals = waiting;
  };
  tell_signals(&signals);
  impl_->owns_process = true;
  if (absl::Status status = Start(); !status.ok()) {
    tell_signals(nullptr);
    if (absl::IsCancelled(status) && phase() == ServerPhase::kStopped) {
      return 0;  // as it was asked to
    }
    impl_->logger.Error("cannot start", {{"error", status.ToString()}});
    if (impl_->logger.sink() != nullptr) impl_->logger.sink()->Flush();
    return ExitWith(status);
  }
  // A signal, or a Shutdown by the application.
  bool signalled = signals.Wait();
  // From here on the second signal, a handler that never returns, or the end of
  // the last call, whichever comes first.
  std::atomic<bool> stopped{false};
  std::thread stopping([this, &stopped, &signals] {
    Shutdown();
    stopped = true;
    signals.Interrupt();
  });
  while (!stopped) {
    if (!signals.Wait() || stopped) continue;
    if (!std::exchange(signalled, true)) {
      impl_->logger.Info("signal: the server is shutting down already");
      continue;
    }
    impl_->logger.Warning("second signal: ending at once");
    ShutdownNow();
  }
  stopping.join();
  tell_signals(nullptr);
  return 0;
}

const ServerOptions& Server::options() const { return impl_->options; }

ServerPhase Server::phase() const {
  const MutexLock lock(impl_->mutex);
  return impl_->phase;
}

int Server::grpc_port() const { return impl_->grpc_port; }
int Server::plaintext_port() const { return impl_->plaintext_port; }
int Server::http_port() const {
  return impl_->http_server != nullptr ? impl_->http_server->port() : 0;
}
std::int64_t Server::running_calls() const {
  return impl_->call_path.running_calls();
}

std::shared_ptr<grpc::Channel> Server::InProcessChannel() {
  impl_->call_path.ExpectInProcess();
  return impl_->grpc_server->InProcessChannel(grpc::ChannelArguments());
}

HealthRegistry& Server::health() { return *impl_->health; }
Router& Server::http_routes() { return impl_->http_routes; }
MetricsRegistry& Server::metrics() { return impl_->concerns.metrics(); }
Tracer* Server::tracer() { return impl_->concerns.tracer(); }
AccessLog* Server::access_log() { return impl_->concerns.access_log(); }
Scheduler& Server::scheduler() { return impl_->concerns.scheduler(); }
const Logger& Server::logger() const { return impl_->logger; }

int ExitWith(const absl::Status& status) {
  if (status.ok()) return 0;
  std::cerr << "fatal: " << status.message() << '\n';
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kAlreadyExists:
      return 78;  // EX_CONFIG
    case absl::StatusCode::kPermissionDenied:
      return 77;  // EX_NOPERM
    case absl::StatusCode::kUnavailable:
      return 69;  // EX_UNAVAILABLE
    default:
      return 70;  // EX_SOFTWARE
  }
}

}  // namespace grpccommon
