// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/http/http_server.h"

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <charconv>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/string_view.h"
#include "http/connection.h"
#include "http/session.h"

namespace grpccommon {
namespace {

using internal::Connection;
using internal::ErrorCode;
using internal::HttpCore;
using internal::Session;
using internal::Socket;
using internal::Strand;
using internal::Tcp;
namespace net = internal::net;

// After a failed accept, most often for lack of file descriptors: trying again
// at once would only burn a core until some are free.
constexpr std::chrono::milliseconds kAcceptPause{100};
// How often sessions that are being closed are looked at once more.
constexpr std::chrono::milliseconds kAbortInterval{20};

absl::Status CheckOptions(const HttpServerOptions& options) {
  using std::chrono::hours;
  using std::chrono::milliseconds;
  absl::Status valid = CheckRange("threads", options.threads, 1, 256);
  valid.Update(CheckRange("max_header_bytes",
                          static_cast<double>(options.max_header_bytes), 256,
                          1 << 20));
  valid.Update(CheckRange("max_body_bytes",
                          static_cast<double>(options.max_body_bytes), 0,
                          1 << 30));
  for (const auto& [name, timeout] :
       {std::pair("header_timeout", options.header_timeout),
        std::pair("body_timeout", options.body_timeout),
        std::pair("idle_timeout", options.idle_timeout),
        std::pair("write_timeout", options.write_timeout)}) {
    valid.Update(CheckRange(name, timeout, milliseconds(1), hours(24)));
  }
  valid.Update(CheckRange("max_connections", options.max_connections, 1, 1e6));
  valid.Update(CheckRange(
      "max_requests_per_connection",
      static_cast<double>(options.max_requests_per_connection), 1, 1e9));
  return valid;
}

struct HostPort {
  std::string host;
  std::uint16_t port = 0;
};

std::optional<HostPort> SplitAddress(std::string_view address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  std::string_view host = address.substr(0, colon);
  const std::string_view port = address.substr(colon + 1);
  if (host.front() == '[') {
    if (host.size() < 3 || host.back() != ']') return std::nullopt;
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return std::nullopt;  // which colon ends an unbracketed IPv6 host?
  }
  HostPort parsed = {.host = std::string(host)};
  const auto [end, error] =
      std::from_chars(port.data(), port.data() + port.size(), parsed.port);
  if (error != std::errc() || end != port.data() + port.size()) {
    return std::nullopt;
  }
  return parsed;
}

absl::StatusOr<Tcp::endpoint> Resolve(net::io_context& io,
                                      const std::string& address) {
  const std::optional<HostPort> parsed = SplitAddress(address);
  if (!parsed.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("address must be \"host:port\" or \"[host]:port\", got \"",
                     address, "\""));
  }
  ErrorCode error;
  const net::ip::address literal = net::ip::make_address(parsed->host, error);
  if (!error) return Tcp::endpoint(literal, parsed->port);
  Tcp::resolver resolver(io);
  const auto results =
      resolver.resolve(parsed->host, std::to_string(parsed->port),
                       Tcp::resolver::passive, error);
  if (error || results.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("address \"", address, "\": ", error.message()));
  }
  return results.begin()->endpoint();
}

absl::Status ListenError(const std::string& address, const ErrorCode& error) {
  const std::string message =
      absl::StrCat("cannot listen on ", address, ": ", error.message());
  if (error == net::error::access_denied) {
    return absl::PermissionDeniedError(message);
  }
  if (error == net::error::address_in_use) {
    return absl::UnavailableError(message);
  }
  return absl::InvalidArgumentError(message);
}

std::string PeerText(const Tcp::endpoint& peer) {
  const net::ip::address& address = peer.address();
  if (address.is_v4()) {
    return absl::StrCat(address.to_string(), ":", peer.port());
  }
  if (address.to_v6().is_v4_mapped()) {
    return absl::StrCat(
        net::ip::make_address_v4(net::ip::v4_mapped, address.to_v6())
            .to_string(),
        ":", peer.port());
  }
  return absl::StrCat("[", address.to_string(), "]:", peer.port());
}

}  // namespace

struct HttpServer::Impl {
  Impl(const HttpServerOptions& options, Router router)
      : core(std::make_shared<HttpCore>(options, std::move(router))),
        strand(core->io.get_executor()),
        acceptor(strand),
        pause(strand),
        work(core->io.get_executor()) {}

  absl::Status Listen() {
    const std::string& address = core->options.address;
    const absl::StatusOr<Tcp::endpoint> endpoint = Resolve(core->io, address);
    if (!endpoint.ok()) return endpoint.status();
    ErrorCode error;
    acceptor.open(endpoint->protocol(), error);
    if (error) return ListenError(address, error);
    acceptor.set_option(net::socket_base::reuse_address(true), error);
    if (endpoint->address().is_v6()) {
      acceptor.set_option(net::ip::v6_only(false), error);
    }
    acceptor.bind(*endpoint, error);
    if (!error)
      acceptor.listen(net::socket_base::max_listen_connections, error);
    if (error) return ListenError(address, error);
    port = acceptor.local_endpoint(error).port();
    return absl::OkStatus();
  }

  void Accept() {
    // A strand for each connection: its handlers never run at the same time.
    acceptor.async_accept(
        Strand(core->io.get_executor()),
        [this](const ErrorCode& error, Socket socket) {
          if (error == net::error::operation_aborted || core->draining) return;
          if (error) {
            core->options.logger.Error("http accept failed",
                                       {{"error", error.message()}});
            pause.expires_after(kAcceptPause);
            pause.async_wait([this](const ErrorCode& stopped) {
              if (!stopped) Accept();
            });
            return;
          }
          Serve(std::move(socket));
          Accept();
        });
  }

  void Serve(Socket socket) {
    ErrorCode error;
    const Tcp::endpoint peer = socket.remote_endpoint(error);
    if (error) return;  // gone already
    socket.set_option(Tcp::no_delay(true), error);
    auto connection =
        std::make_shared<Connection>(core, std::move(socket), PeerText(peer));
    switch (core->Add(connection)) {
      case HttpCore::Admission::kServe:
        connection->Run([connection] { connection->Start(); });
        break;
      case HttpCore::Admission::kRefuse:
        connection->Run([connection] { connection->Refuse(); });
        break;
      case HttpCore::Admission::kDrop:
        break;
    }
  }

  template <typename Function>
  void ForEachSession(Function function) {
    for (const std::shared_ptr<Session>& session : core->Sessions()) {
      session->Run([session, function] { function(*session); });
    }
  }

  void Shutdown(Clock::TimePoint deadline) {
    {
      const MutexLock lock(core->mutex);
      core->draining = true;
    }
    net::post(strand, [this] {
      ErrorCode ignored;
      acceptor.close(ignored);
      pause.cancel();
    });
    ForEachSession([](Session& session) { session.Drain(); });
    core->mutex.Lock();
    while (!core->sessions.empty() &&
           core->changed.WaitUntil(core->mutex, deadline)) {
    }
    while (!core->sessions.empty()) {
      core->mutex.Unlock();
      ForEachSession([](Session& session) { session.Abort(); });
      core->mutex.Lock();
      // One that changed over to WebSocket just now was missed: look again.
      core->changed.WaitUntil(
          core->mutex, std::chrono::steady_clock::now() + kAbortInterval);
    }
    core->mutex.Unlock();

    const MutexLock lock(join_mutex);
    work.reset();
    if (threads.empty()) core->io.run();  // never started
    for (std::thread& thread : threads) {
      if (thread.joinable()) thread.join();
    }
  }

  const std::shared_ptr<HttpCore> core;
  const Strand strand;
  net::basic_socket_acceptor<Tcp, Strand> acceptor;
  net::basic_waitable_timer<std::chrono::steady_clock,
                            net::wait_traits<std::chrono::steady_clock>, Strand>
      pause;
  net::executor_work_guard<net::io_context::executor_type> work;
  Mutex join_mutex;
  std::vector<std::thread> threads ABSL_GUARDED_BY(join_mutex);
  int port = 0;
};

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Create(
    const HttpServerOptions& options, Router router) {
  const absl::Status valid = CheckOptions(options);
  if (!valid.ok()) return valid;
  auto impl = std::make_unique<Impl>(options, std::move(router));
  const absl::Status listening = impl->Listen();
  if (!listening.ok()) return listening;
  return absl::WrapUnique(new HttpServer(std::move(impl)));
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

HttpServer::~HttpServer() { Shutdown(SteadyClock().Now()); }

void HttpServer::Start() {
  const MutexLock lock(impl_->join_mutex);
  net::post(impl_->strand, [impl = impl_.get()] { impl->Accept(); });
  for (int i = 0; i < impl_->core->options.threads; ++i) {
    impl_->threads.emplace_back([core = impl_->core] { core->io.run(); });
  }
}

void HttpServer::Shutdown(Clock::TimePoint deadline) {
  impl_->Shutdown(deadline);
}

int HttpServer::port() const { return impl_->port; }

HttpServerStats HttpServer::stats() const {
  HttpCore& core = *impl_->core;
  const MutexLock lock(core.mutex);
  return {.connections =
              static_cast<std::int64_t>(core.sessions.size()) - core.refusing,
          .requests = core.requests.load(std::memory_order_relaxed),
          .refused_connections = core.refused.load(std::memory_order_relaxed)};
}

}  // namespace grpccommon
