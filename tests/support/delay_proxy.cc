// SPDX-License-Identifier: Apache-2.0
#include "support/delay_proxy.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

namespace grpccommon::test {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

// What one direction holds before it stops reading, as a full socket buffer
// would.
constexpr std::size_t kMaxHeld = 1 << 20;

[[noreturn]] void Die(const char* what) {
  std::perror(what);
  std::abort();
}

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// Closing sends a reset instead of an end.
void CloseWithReset(int socket) {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  setsockopt(socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close(socket);
}

void NoDelay(int socket) {
  const int on = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

}  // namespace

// Two sockets, and for each what is on its way to it.
struct DelayProxy::Connection {
  struct Chunk {
    SteadyTime due;
    std::vector<char> bytes;
    std::size_t sent = 0;
  };
  struct End {
    int socket = -1;
    std::deque<Chunk> to_it;
    std::size_t held = 0;
    bool said_end = false;  // it sends no more
    bool told_end = false;  // and has been told that the other one does not
    SteadyTime end_due;
  };
  End ends[2];

  ~Connection() {
    for (const End& end : ends) CloseWithReset(end.socket);
  }

  // False: over.
  bool Receive(int from, SteadyTime due) {
    End& source = ends[from];
    End& target = ends[1 - from];
    std::vector<char> bytes(16384);
    const ssize_t count = recv(source.socket, bytes.data(), bytes.size(), 0);
    if (count < 0) return errno == EAGAIN || errno == EINTR;
    if (count == 0) {
      source.said_end = true;
      target.end_due = due;
      return true;
    }
    bytes.resize(static_cast<std::size_t>(count));
    target.held += bytes.size();
    target.to_it.push_back({.due = due, .bytes = std::move(bytes)});
    return true;
  }

  bool Send(int to, SteadyTime now) {
    End& target = ends[to];
    while (!target.to_it.empty() && target.to_it.front().due <= now) {
      Chunk& chunk = target.to_it.front();
      const ssize_t count = send(target.socket, chunk.bytes.data() + chunk.sent,
                                 chunk.bytes.size() - chunk.sent, MSG_NOSIGNAL);
      if (count < 0) return errno == EAGAIN || errno == EINTR;
      chunk.sent += static_cast<std::size_t>(count);
      target.held -= static_cast<std::size_t>(count);
      if (chunk.sent < chunk.bytes.size()) return true;
      target.to_it.pop_front();
    }
    if (ends[1 - to].said_end && !target.told_end && target.to_it.empty() &&
        target.end_due <= now) {
      target.told_end = true;
      shutdown(target.socket, SHUT_WR);
    }
    return !(ends[0].told_end && ends[1].told_end);
  }
};

DelayProxy::DelayProxy(int target_port) : target_port_(target_port) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (listener_ < 0) Die("socket");
  sockaddr_in address = Loopback(0);
  socklen_t length = sizeof address;
  if (bind(listener_, reinterpret_cast<sockaddr*>(&address), length) != 0 ||
      listen(listener_, 128) != 0 ||
      getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length) !=
          0) {
    Die("listen");
  }
  port_ = ntohs(address.sin_port);
  wake_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (wake_ < 0) Die("eventfd");
  thread_ = std::thread([this] { Run(); });
}

DelayProxy::~DelayProxy() {
  {
    const MutexLock lock(mutex_);
    stop_ = true;
  }
  Wake();
  thread_.join();
  connections_.clear();
  close(listener_);
  close(wake_);
}

void DelayProxy::SetDelay(std::chrono::nanoseconds each_way) {
  const MutexLock lock(mutex_);
  delay_ = each_way;
}

void DelayProxy::SetBlackHole(bool on) {
  {
    const MutexLock lock(mutex_);
    black_hole_ = on;
  }
  Wake();
}

void DelayProxy::SetRefuse(bool on) {
  const MutexLock lock(mutex_);
  refuse_ = on;
}

void DelayProxy::Reset() {
  {
    const MutexLock lock(mutex_);
    reset_ = true;
  }
  Wake();
}

void DelayProxy::SetTarget(int target_port) {
  const MutexLock lock(mutex_);
  target_port_ = target_port;
}

int DelayProxy::accepted() const {
  const MutexLock lock(mutex_);
  return accepted_;
}

int DelayProxy::open() const {
  const MutexLock lock(mutex_);
  return open_;
}

void DelayProxy::Wake() const {
  const std::uint64_t one = 1;
  if (write(wake_, &one, sizeof one) != sizeof one) Die("eventfd");
}

void DelayProxy::Accept() {
  const int client =
      accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (client < 0) return;
  bool refuse;
  int target_port;
  {
    const MutexLock lock(mutex_);
    ++accepted_;
    refuse = refuse_;
    target_port = target_port_;
  }
  const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = Loopback(target_port);
  if (refuse || server < 0 ||
      connect(server, reinterpret_cast<sockaddr*>(&address), sizeof address) !=
          0) {
    CloseWithReset(client);
    if (server >= 0) close(server);
    return;
  }
  fcntl(server, F_SETFL, fcntl(server, F_GETFL) | O_NONBLOCK);
  NoDelay(client);
  NoDelay(server);
  auto connection = std::make_unique<Connection>();
  connection->ends[0].socket = client;
  connection->ends[1].socket = server;
  connections_.emplace(next_id_++, std::move(connection));
}

void DelayProxy::Run() {
  std::vector<pollfd> polled;
  std::vector<int> ids;
  for (;;) {
    bool black_hole;
    bool reset;
    {
      const MutexLock lock(mutex_);
      if (stop_) return;
      black_hole = black_hole_;
      reset = std::exchange(reset_, false);
    }
    if (reset) connections_.clear();

    // What can be sent now is, and the next due time bounds the sleep.
    const SteadyTime now = std::chrono::steady_clock::now();
    std::optional<SteadyTime> next;
    polled = {{.fd = wake_, .events = POLLIN, .revents = 0},
              {.fd = listener_, .events = POLLIN, .revents = 0}};
    ids.clear();
    for (auto it = connections_.begin(); it != connections_.end();) {
      Connection& connection = *it->second;
      bool going = true;
      if (!black_hole) {
        going = connection.Send(0, now) && connection.Send(1, now);
      }
      if (!going) {
        it = connections_.erase(it);
        continue;
      }
      for (int side = 0; side < 2; ++side) {
        const Connection::End& end = connection.ends[side];
        const Connection::End& other = connection.ends[1 - side];
        short events = 0;
        if (!black_hole) {
          if (!end.said_end && other.held < kMaxHeld) events |= POLLIN;
          std::optional<SteadyTime> due;
          if (!end.to_it.empty()) {
            due = end.to_it.front().due;
          } else if (other.said_end && !end.told_end) {
            due = end.end_due;
          }
          if (due.has_value() && *due <= now) {
            events |= POLLOUT;
          } else if (due.has_value()) {
            next = std::min(next.value_or(*due), *due);
          }
        }
        polled.push_back({.fd = events != 0 ? end.socket : -1,
                          .events = events,
                          .revents = 0});
      }
      ids.push_back(it->first);
      ++it;
    }
    {
      const MutexLock lock(mutex_);
      open_ = static_cast<int>(connections_.size());
    }

    timespec timeout{};
    if (next.has_value()) {
      const auto wait = std::chrono::duration_cast<std::chrono::nanoseconds>(
          *next - std::chrono::steady_clock::now());
      const std::int64_t ns = std::max<std::int64_t>(wait.count(), 0);
      timeout = {.tv_sec = ns / 1'000'000'000, .tv_nsec = ns % 1'000'000'000};
    }
    if (ppoll(polled.data(), polled.size(), next ? &timeout : nullptr,
              nullptr) < 0 &&
        errno != EINTR) {
      Die("ppoll");
    }

    if ((polled[0].revents & POLLIN) != 0) {
      std::uint64_t count;
      (void)!read(wake_, &count, sizeof count);
    }
    SteadyTime due = std::chrono::steady_clock::now();
    {
      const MutexLock lock(mutex_);
      due += delay_;
    }
    for (std::size_t i = 0; i < ids.size(); ++i) {
      Connection& connection = *connections_.at(ids[i]);
      for (int side = 0; side < 2; ++side) {
        const pollfd& poll = polled[2 + 2 * i + static_cast<std::size_t>(side)];
        if ((poll.revents & (POLLIN | POLLHUP | POLLERR)) == 0) continue;
        if (poll.fd >= 0 && !connection.Receive(side, due)) {
          connections_.erase(ids[i]);
          break;
        }
      }
    }
    if ((polled[1].revents & POLLIN) != 0) Accept();
  }
}

}  // namespace grpccommon::test
