// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "grpccommon/accesslog/access_log.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/call/contract.h"
#include "grpccommon/concurrency/concurrency_interceptor.h"
#include "grpccommon/concurrency/deadline_interceptor.h"
#include "grpccommon/log/logger.h"
#include "grpccommon/log/sink.h"
#include "grpccommon/metrics/metrics_interceptor.h"
#include "grpccommon/ratelimit/rate_limit_interceptor.h"
#include "grpccommon/registry/registry.h"

namespace grpccommon {

class Authenticator;
class KeySource;
class MetricsRegistry;
class SpanExporter;

struct TlsOptions {
  /// PEM: the server's certificate followed by its intermediates.
  std::string certificate_file;
  /// PEM, unencrypted.
  std::string private_key_file;
  /// PEM: who may vouch for clients. Set: clients may show a certificate.
  std::string client_ca_file;
  /// With a client CA: refuse the handshake without a valid certificate.
  bool require_client_certificate = true;
  /// How often the files are looked at for change, in [1 s, 24 h].
  std::chrono::nanoseconds reload_interval = std::chrono::seconds(60);
};

struct KeepaliveOptions {
  /// Ping a silent client after this long, in [1 s, 24 h].
  std::chrono::nanoseconds time = std::chrono::minutes(2);
  /// And close the connection if the answer takes longer, in [1 s, 10 min].
  std::chrono::nanoseconds timeout = std::chrono::seconds(20);
  /// The shortest interval between a client's pings, in [1 s, 1 h]. Clients of
  /// this library ping at 30 s at the soonest, so they never hear
  /// `too_many_pings`.
  std::chrono::nanoseconds minimum_client_interval = std::chrono::seconds(10);
  /// Whether clients may ping while no call runs.
  bool permit_without_calls = true;
};

struct ConnectionOptions {
  /// A connection is asked to close after this long, so that clients look for
  /// new instances; jittered by gRPC by 10 %. 0: never. Else in [1 s, 24 d].
  /// Set it where clients find instances by DNS or through a balancer of
  /// connections; never by default, as in gRPC, which for it (and for
  /// `max_idle`) passes each call through one more filter: 3,600 instructions.
  std::chrono::nanoseconds max_age{0};
  /// What running calls then still get, in [1 s, 24 h].
  std::chrono::nanoseconds max_age_grace = std::chrono::minutes(5);
  /// A connection without calls closes after this long, in [1 s, 24 d]; 0:
  /// never.
  std::chrono::nanoseconds max_idle{0};
  /// Calls that one connection may have running, in [1, 2^31); 0: no bound.
  std::int64_t max_concurrent_calls = 0;
};

enum class Compression { kNone, kGzip, kDeflate };

/// Whose tokens are taken beside those of AuthOptions::issuer; members as
/// there.
struct TokenIssuerOptions {
  /// Required, and of each issuer its own.
  std::string issuer;
  std::vector<std::string> audiences;
  bool any_audience = false;
  std::vector<std::string> roles;
  /// One of the two, with the keys of this issuer alone.
  std::string jwks_file;
  std::string jwks_url;
  bool allow_http_jwks = false;
  /// In their place, from code: the keys of an issuer that serves, say.
  std::shared_ptr<KeySource> keys;
};

/// How callers prove who they are, and who may call what the contract leaves
/// open. Kinds of credential may be combined: the first that a call carries
/// decides, and a bad one refuses the call. Files are read again when they
/// change.
struct AuthOptions {
  /// Bearer tokens (JWT), verified with the JWK set of a file or a URL. A URL
  /// may be away when the server starts: its tokens get UNAVAILABLE until it
  /// has answered.
  std::string jwks_file;
  std::string jwks_url;
  /// Permits an "http://" URL: for a sidecar on loopback, never across hosts.
  bool allow_http_jwks = false;
  /// What tokens must say in `iss`; empty: whoever's key is in the set.
  std::string issuer;
  /// Who this service is: a token's `aud` must name one of them.
  std::vector<std::string> audiences;
  /// Takes tokens for any audience, also such as were made for other services.
  bool any_audience = false;
  /// Roles that tokens of `issuer` may give; any other is overlooked. Empty:
  /// every role.
  std::vector<std::string> roles;
  /// Further issuers of bearer tokens: a token's `iss` chooses one, whose keys
  /// and audiences alone decide. With any of them, all must have names.
  std::vector<TokenIssuerOptions> issuers;
  /// API keys in `x-api-key` (docs/auth.md has the file's form).
  std::string api_key_file;
  /// The subject of a client certificate; needs `tls.client_ca_file`.
  bool client_certificates = false;
  /// Rules beside the contract (docs/auth.md has the file's form).
  std::string policy_file;
  /// Who may call a method whose contract does not say. kDefault: anyone where
  /// no kind of credential is configured, else any verified caller.
  AccessRule default_access;
  /// In place of the kinds above. The scheduler outlives what it makes.
  std::function<absl::StatusOr<std::unique_ptr<Authenticator>>(Scheduler&,
                                                               const Logger&)>
      make_authenticator;
};

struct TracingOptions {
  /// As in TracerOptions.
  double sample_ratio = 0.01;
  bool follow_caller = true;
  /// Add an event to the span for each message of a stream.
  bool message_events = false;
  /// Takes finished spans; without one, context is passed on and nothing kept.
  std::shared_ptr<SpanExporter> exporter;
};

/// How others find the server: while it serves, and with its health.
struct AnnounceOptions {
  /// Where it registers …
  std::shared_ptr<Registry> registry;
  /// … or which registry to make for that, as CreateRegistry reads it
  /// ("registry://10.0.0.2:50060"). Neither: nobody is told.
  std::string uri;
  /// A file with the token that a registry service wants to see; with `uri`.
  std::string token_file;
  /// Send it without TLS too: on loopback, or where the network encrypts.
  bool token_in_plaintext = false;
  /// What others connect to, "host:port"; port 0 stands for the bound one.
  /// Empty: `grpc_address`, unless that listens everywhere.
  std::string address;
  /// Under which names; empty: the full name of each service that was added.
  std::vector<std::string> services;
  /// As in registry/registry.h.
  double weight = 1.0;
  std::string zone;
  std::string version;
  std::map<std::string, std::string> metadata;
  RegistrationOptions lease;
};

/// How this process calls others, see process/clients.h.
struct ClientsOptions {
  /// Where they are found, as CreateRegistry reads it
  /// ("registry://10.0.0.2:50060"). Empty: where this server announces itself.
  std::string registry;
  /// A file with the token that says who this process is, to those it calls and
  /// to `registry`; read again when it changes. Empty: calls show no credential
  /// but the caller's, where they ask for that.
  std::string token_file;
  /// Send credentials without TLS too: on loopback, or where the network
  /// encrypts.
  bool token_in_plaintext = false;
  /// Call with TLS, verified against these authorities (PEM; empty: those of
  /// the system), and show this certificate to who asks for one.
  bool tls = false;
  std::string ca_file;
  std::string certificate_file;
  std::string private_key_file;
};

/// Everything about a server: how it listens, what it bounds, how it stops, and
/// what its chain does. Defaults are for a service behind a balancer; a part of
/// the chain that is not wanted is switched off with `std::nullopt` or false.
struct ServerOptions {
  /// In logs, metrics and traces. Required: letters, digits, `-_.`, at most 63.
  std::string name;
  /// Of the service; shown by /version and the build-info metric.
  std::string version;

  /// "host:port", "[::1]:port", "unix:/path"; port 0 picks a free one. Empty:
  /// no port, only the in-process channel.
  std::string grpc_address;
  /// With it, `grpc_address` speaks TLS.
  std::optional<TlsOptions> tls;
  /// A further address, in plaintext; say for a sidecar, on a unix socket.
  std::string plaintext_address;
  /// "host:port" of the HTTP port: /metrics, /healthz/live, /healthz/ready,
  /// /version. Empty: none.
  std::string http_address;

  /// In bytes, at least 1.
  std::size_t max_receive_message_bytes = 4 << 20;
  /// A larger reply ends the call with RESOURCE_EXHAUSTED, reason
  /// RESPONSE_TOO_LARGE if it is the only one.
  std::size_t max_send_message_bytes = 16 << 20;
  /// All of a call's metadata, in bytes, in [1 KiB, 1 MiB].
  std::size_t max_metadata_bytes = 16 << 10;
  KeepaliveOptions keepalive;
  ConnectionOptions connection;
  /// Of replies, unless the handler says otherwise. With kNone compressed
  /// requests are refused with UNIMPLEMENTED: gRPC inflates a message before it
  /// looks at `max_receive_message_bytes`, so that others can fill the memory.
  Compression compression = Compression::kNone;
  /// Bound on the memory of gRPC's buffers, in bytes, from 64 KiB; 0: none.
  std::size_t memory_quota_bytes = 0;
  /// Bound on the threads of synchronous services, from 2, since one waits for
  /// calls; 0: none. Beyond it gRPC answers RESOURCE_EXHAUSTED.
  int max_sync_threads = 0;

  /// How long the server keeps serving after it has said that it will stop, so
  /// that balancers notice; in [0, 1 h].
  std::chrono::nanoseconds drain_delay = std::chrono::seconds(5);
  /// What running calls then still get, in [0, 24 h].
  std::chrono::nanoseconds grace_period = std::chrono::seconds(30);
  /// `Run` ends the process if handlers ignore their cancellation, or blocking
  /// dependency checks do not return, for this long, in [0, 1 h]; 0: never.
  std::chrono::nanoseconds stuck_timeout = std::chrono::seconds(10);

  AnnounceOptions announce;
  ClientsOptions clients;

  /// Watches of grpc.health.v1 that clients may have open, in [1, 1e6].
  std::size_t max_health_watches = 1000;

  /// grpc.reflection v1 and v1alpha.
  bool reflection = true;
  /// grpc.channelz, open to anyone as reflection is; tells of all who set this.
  bool channelz = false;

  /// observe
  std::optional<TracingOptions> tracing = TracingOptions();
  std::optional<AccessLogOptions> access_log = AccessLogOptions();
  std::optional<MetricsInterceptorOptions> metrics =
      MetricsInterceptorOptions();
  /// Shared with others in the process; none: the server has its own.
  std::shared_ptr<MetricsRegistry> metrics_registry;
  /// protect
  std::optional<ConcurrencyOptions> concurrency = ConcurrencyOptions();
  /// identify and check
  AuthOptions auth;
  /// limit
  std::optional<RateLimitOptions> rate_limit = RateLimitOptions();
  /// check
  bool validation = true;
  std::optional<DeadlineOptions> deadline = DeadlineOptions();

  LogSinkOptions log;
  LogLevel log_level = LogLevel::kInfo;
  /// Sends what gRPC itself logs to the server's log, from Start on and for the
  /// whole process.
  bool capture_grpc_log = true;
  /// Leaves Abseil's search for potential deadlocks, by the order in which its
  /// mutexes are locked, as it is. Otherwise Start ends it, for the whole
  /// process: where Abseil was built without NDEBUG, as Debian's is, gRPC's own
  /// mutexes pay for it with a tenth of what a call costs. Only mutexes of
  /// Abseil's are looked at, the application's among them. The search must not
  /// be switched on again while gRPC runs.
  bool mutex_deadlock_detection = false;
  /// In place of one made from `log`.
  std::shared_ptr<LogSink> log_sink;
  /// Borrowed; must outlive the server.
  const Clock* clock = nullptr;
};

}  // namespace grpccommon
