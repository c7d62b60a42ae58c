// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "grpccommon/base/clock.h"
#include "grpccommon/log/logger.h"
#include "grpccommon/log/sink.h"

namespace grpccommon {

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
  /// new instances; jittered by gRPC by 10 %. 0: never. Else in [1 s, 30 d].
  std::chrono::nanoseconds max_age = std::chrono::minutes(30);
  /// What running calls then still get, in [1 s, 24 h].
  std::chrono::nanoseconds max_age_grace = std::chrono::minutes(5);
  /// A connection without calls closes after this long; 0: never.
  std::chrono::nanoseconds max_idle{0};
  /// Calls that one connection may have running, in [1, 2^31); 0: no bound.
  std::int64_t max_concurrent_calls = 0;
};

enum class Compression { kNone, kGzip, kDeflate };

/// Everything about how a server listens, what it bounds and how it stops.
/// Defaults are for a service behind a balancer.
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
  std::size_t max_send_message_bytes = 16 << 20;
  /// All of a call's metadata, in bytes, in [1 KiB, 1 MiB].
  std::size_t max_metadata_bytes = 16 << 10;
  KeepaliveOptions keepalive;
  ConnectionOptions connection;
  /// Of replies, unless the handler says otherwise.
  Compression compression = Compression::kNone;
  /// Bound on the memory that gRPC's buffers use, in bytes; 0: none.
  std::size_t memory_quota_bytes = 0;
  /// Bound on the threads of synchronous services; 0: none. Beyond it gRPC
  /// answers RESOURCE_EXHAUSTED.
  int max_sync_threads = 0;

  /// How long the server keeps serving after it has said that it will stop, so
  /// that balancers notice; in [0, 1 h].
  std::chrono::nanoseconds drain_delay = std::chrono::seconds(5);
  /// What running calls then still get, in [0, 24 h].
  std::chrono::nanoseconds grace_period = std::chrono::seconds(30);
  /// `Run` ends the process if handlers ignore their cancellation this long.
  std::chrono::nanoseconds stuck_timeout = std::chrono::seconds(10);

  /// grpc.reflection v1 and v1alpha.
  bool reflection = true;
  /// grpc.channelz; from then on for every server of the process.
  bool channelz = false;

  LogSinkOptions log;
  LogLevel log_level = LogLevel::kInfo;
  /// In place of one made from `log`.
  std::shared_ptr<LogSink> log_sink;
  /// Borrowed; must outlive the server.
  const Clock* clock = nullptr;
};

}  // namespace grpccommon
