// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpccommon/http/router.h"
#include "grpccommon/log/logger.h"

namespace grpccommon {

struct HttpServerOptions {
  /// "host:port"; an IPv6 host is in brackets, and "[::]" takes IPv4 as well.
  /// Port 0 takes a free one, see `HttpServer::port`.
  std::string address = "[::]:8080";
  /// I/O threads, in [1, 256].
  int threads = 1;
  /// Request line and header fields together, in bytes, in [256, 1 MiB];
  /// beyond: 431. At most 128 fields.
  std::size_t max_header_bytes = 16 << 10;
  /// In bytes, in [0, 1 GiB]; beyond: 413.
  std::size_t max_body_bytes = 4 << 20;
  /// Time-outs are in [1 ms, 24 h]. From the first byte of a request to the end
  /// of its header, and from there to the end of its body; beyond: 408.
  std::chrono::nanoseconds header_timeout = std::chrono::seconds(10);
  std::chrono::nanoseconds body_timeout = std::chrono::seconds(60);
  /// How long a connection may wait for its first or next request. A WebSocket
  /// that is silent for at least half of it is pinged, and dropped if it stays
  /// silent for the other half.
  std::chrono::nanoseconds idle_timeout = std::chrono::seconds(60);
  /// How long a client may go without taking a byte that waits for it; then it
  /// is dropped.
  std::chrono::nanoseconds write_timeout = std::chrono::seconds(30);
  /// In [1, 1e6]; beyond: 503 and close.
  int max_connections = 1024;
  /// In [1, 1e9]; the last response says `connection: close`.
  std::int64_t max_requests_per_connection = 10000;
  /// Gets what operators must know: exceptions of handlers, answers that could
  /// not be sent, failing accepts. Never what clients send.
  Logger logger;
};

struct HttpServerStats {
  /// Now, WebSockets included.
  std::int64_t connections = 0;
  /// Since the start.
  std::int64_t requests = 0;
  /// Connections over the limit.
  std::int64_t refused_connections = 0;
};

/// The process's HTTP port: HTTP/1.1 with keep-alive and pipelining, streamed
/// answers and WebSocket, on Boost.Asio and Beast's parser. No TLS: a proxy in
/// front ends it.
///
/// Refused with 400 and close, because proxies disagree on them (request
/// smuggling): `content-length` together with `transfer-encoding`, either of
/// them twice, any coding but `chunked`, a coding in HTTP/1.0, control
/// characters in chunk extensions, no or two hosts.
/// Trailers of a request are read and dropped, never taken for headers.
///
/// Thread-safe. Sources: RFC 9110, 9112, 6455.
class GRPCCOMMON_EXPORT HttpServer {
 public:
  /// Binds and listens; connections wait until `Start`.
  /// Errors: kInvalidArgument naming the option or the address; kUnavailable
  /// for a port in use, kPermissionDenied for one that the process may not
  /// have, both naming the address.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Create(
      const HttpServerOptions& options, Router router);

  /// Shuts down without grace.
  ~HttpServer();

  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// Starts the threads and serves. Once.
  void Start();

  /// Stops accepting, closes idle connections, lets running requests finish
  /// (their answers say `connection: close`; WebSockets get 1001) until
  /// `deadline`, then closes what is left. Returns when no handler runs and no
  /// connection is open. A second call may shorten the first one's deadline.
  /// Blocks; must not be called by a handler.
  void Shutdown(Clock::TimePoint deadline);

  /// What it listens on: the port, or for port 0 the one it got.
  int port() const;
  HttpServerStats stats() const;

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace grpccommon
