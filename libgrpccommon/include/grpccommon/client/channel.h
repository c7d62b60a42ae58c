// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpc/compression.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpccommon/call/client_interceptor.h"
#include "grpccommon/log/logger.h"
#include "grpcpp/channel.h"

namespace grpccommon {

/// Without any file, servers are verified against the system's authorities.
/// Files are looked at again every `reload_interval`; one that has become
/// unusable is logged and leaves the old one in force.
struct ChannelTlsOptions {
  /// PEM: who may vouch for servers. Empty: the system's authorities.
  std::string ca_file;
  /// PEM: what this client shows to servers that ask, followed by its
  /// intermediates; comes with its key, PEM, unencrypted.
  std::string certificate_file;
  std::string private_key_file;
  /// The name that the server's certificate must have; empty: the target's
  /// host. Also sent as `:authority`.
  std::string server_name;
  /// In [1 s, 24 h]. New connections then use the new files.
  std::chrono::nanoseconds reload_interval = std::chrono::seconds(60);
};

/// Finds out that a connection is dead when the network does not say so.
struct ChannelKeepaliveOptions {
  /// Ping a server that has been silent for so long, in [10 s, 24 h]. A server
  /// of this library accepts pings every 10 s; a stock gRPC server closes the
  /// connection of a client that pings more often than every 5 minutes while
  /// nothing else is sent.
  std::chrono::nanoseconds time = std::chrono::seconds(30);
  /// And give the connection up if the answer takes longer, in [1 s, 10 min].
  std::chrono::nanoseconds timeout = std::chrono::seconds(10);
  /// Ping while no call runs, too. Off: a stock gRPC server takes that for an
  /// attack, and a dead idle connection costs the next call no more than its
  /// `timeout`. On for targets behind a NAT that forgets idle connections.
  bool without_calls = false;
};

/// How a lost connection is made anew (gRPC's connection backoff, which grows
/// by 1.6 with a jitter of 20 %).
struct ReconnectOptions {
  /// In [100 ms, 1 h].
  std::chrono::nanoseconds initial_backoff = std::chrono::milliseconds(500);
  /// In [initial_backoff, 1 h]. gRPC's own two minutes are a long outage.
  std::chrono::nanoseconds max_backoff = std::chrono::seconds(10);
  /// The least time that an attempt to connect gets, in [100 ms, 10 min].
  std::chrono::nanoseconds connect_timeout = std::chrono::seconds(5);
};

/// One of gRPC's channel arguments (`GRPC_ARG_…`).
struct ChannelArgument {
  std::string name;
  std::variant<int, std::string> value;
};

struct ChannelOptions {
  /// None: plaintext, where no credentials are sent unless told to.
  std::optional<ChannelTlsOptions> tls;
  ChannelKeepaliveOptions keepalive;
  ReconnectOptions reconnect;
  /// Of what is sent. Answers come as the server chooses.
  grpc_compression_algorithm compression = GRPC_COMPRESS_NONE;
  /// In [1, 2^31 - 1]; as much as a server of this library takes and gives.
  std::size_t max_send_message_bytes = 4 << 20;
  std::size_t max_receive_message_bytes = 16 << 20;
  /// Goes before gRPC's own in `user-agent`, as "orders/1.4"; printable ASCII.
  std::string user_agent;
  /// For targets of several addresses, where neither name service nor contract
  /// says otherwise. "pick_first" keeps to one as long as that answers.
  std::string load_balancing_policy = "round_robin";
  /// Off: the channel has connections of its own, and is not given those of
  /// another channel with the same target and options (channels with TLS never
  /// share). For more than one connection to a server, make several channels
  /// so.
  bool share_connections = true;
  /// Full names of services, linked into this program, whose contracts give
  /// timeouts and retries (see ServiceConfigFor).
  std::vector<std::string> services;
  /// Take part in every call on the channel. None: calls cost what they cost
  /// on a stock channel.
  std::vector<std::shared_ptr<ClientInterceptor>> interceptors;
  /// For what the above does not cover; goes before it.
  std::vector<ChannelArgument> arguments;
};

/// Errors: kInvalidArgument, naming the option that is out of range. Does not
/// look at files.
GRPCCOMMON_EXPORT absl::Status CheckOptions(const ChannelOptions& options);

/// A stock channel for generated stubs. Targets:
///
///   host:port                     as dns:///host:port
///   dns:///host:port              each address that the name has
///   ipv4:127.0.0.1:50051,…        ipv6:[::1]:50051,…
///   unix:/run/service.sock        unix-abstract:name
///   xds:///service                by GRPC_XDS_BOOTSTRAP's control plane, which
///                                 may choose security; `tls` where it does not
///
/// Connects when first used; a server that is away fails calls, not this.
/// `logger` gets what becomes of TLS files, and what interceptors throw.
/// `clock` is borrowed and must outlive the channel.
/// Errors: kInvalidArgument, saying what to fix, for a target that gRPC would
/// fail every call on or an option out of range; what ReadFile gives for files.
GRPCCOMMON_EXPORT absl::StatusOr<std::shared_ptr<grpc::Channel>> CreateChannel(
    std::string_view target, const ChannelOptions& options = {},
    const Logger& logger = Logger(), const Clock& clock = SteadyClock());

}  // namespace grpccommon
