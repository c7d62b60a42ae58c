// SPDX-License-Identifier: Apache-2.0
#include "support/delay_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "gtest/gtest.h"

namespace grpccommon::test {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  int fd() const { return fd_; }

  void Send(const std::string& text) const {
    ASSERT_EQ(send(fd_, text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  // Until `size` bytes, the end ("" or less) or a reset ("RESET").
  std::string Receive(std::size_t size) const {
    std::string text;
    while (text.size() < size) {
      char buffer[4096];
      const ssize_t count =
          recv(fd_, buffer, std::min(sizeof buffer, size - text.size()), 0);
      if (count < 0) return errno == ECONNRESET ? "RESET" : "ERROR";
      if (count == 0) break;
      text.append(buffer, static_cast<std::size_t>(count));
    }
    return text;
  }
  bool ReadableWithin(std::chrono::milliseconds time) const {
    pollfd poll_fd{.fd = fd_, .events = POLLIN, .revents = 0};
    return poll(&poll_fd, 1, static_cast<int>(time.count())) > 0;
  }

 private:
  int fd_;
};

class DelayProxyTest : public ::testing::Test {
 protected:
  DelayProxyTest() : listener_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(bind(listener_.fd(), generic, length), 0);
    EXPECT_EQ(listen(listener_.fd(), 16), 0);
    EXPECT_EQ(getsockname(listener_.fd(), generic, &length), 0);
    proxy_.emplace(ntohs(address.sin_port));
  }

  Socket Connect() const {
    Socket client(socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(proxy_->port()));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(client.fd(), reinterpret_cast<sockaddr*>(&address),
                      sizeof address),
              0);
    return client;
  }
  Socket Accept() const {
    return Socket(accept(listener_.fd(), nullptr, nullptr));
  }

  Socket listener_;
  std::optional<DelayProxy> proxy_;
};

TEST_F(DelayProxyTest, PassesEverythingOnInBothDirections) {
  const Socket client = Connect();
  const Socket server = Accept();
  const std::string large(1 << 18, 'x');
  client.Send(large);
  EXPECT_EQ(server.Receive(large.size()), large);
  server.Send("answer");
  EXPECT_EQ(client.Receive(6), "answer");
  shutdown(client.fd(), SHUT_WR);
  EXPECT_EQ(server.Receive(1), "");
  server.Send("late");  // half closed is not closed
  EXPECT_EQ(client.Receive(4), "late");
}

TEST_F(DelayProxyTest, DelaysEachByteByTheSetTime) {
  const Socket client = Connect();
  const Socket server = Accept();
  proxy_->SetDelay(100ms);
  const auto begin = steady_clock::now();
  client.Send("a");
  EXPECT_EQ(server.Receive(1), "a");
  EXPECT_GE(steady_clock::now() - begin, 100ms);
  server.Send("b");
  EXPECT_EQ(client.Receive(1), "b");
  EXPECT_GE(steady_clock::now() - begin, 200ms);
}

TEST_F(DelayProxyTest, HoldsEverythingWhileItIsABlackHole) {
  const Socket client = Connect();
  const Socket server = Accept();
  proxy_->SetBlackHole(true);
  client.Send("held");
  EXPECT_FALSE(server.ReadableWithin(100ms));
  proxy_->SetBlackHole(false);
  EXPECT_EQ(server.Receive(4), "held");
}

TEST_F(DelayProxyTest, ResetsWhatIsOpenAndRefusesWhatIsNew) {
  const Socket client = Connect();
  const Socket server = Accept();
  client.Send("x");
  ASSERT_EQ(server.Receive(1), "x");
  proxy_->SetRefuse(true);
  EXPECT_EQ(Connect().Receive(1), "RESET");
  EXPECT_FALSE(client.ReadableWithin(0ms));
  proxy_->Reset();
  EXPECT_EQ(client.Receive(1), "RESET");
  EXPECT_EQ(server.Receive(1), "RESET");
  proxy_->SetRefuse(false);
  const Socket again = Connect();
  again.Send("y");
  EXPECT_EQ(Accept().Receive(1), "y");
  EXPECT_EQ(proxy_->accepted(), 3);
}

TEST_F(DelayProxyTest, ResetsWhoCallsATargetThatIsNotThere) {
  { const Socket gone = std::move(listener_); }
  EXPECT_EQ(Connect().Receive(1), "RESET");
}

}  // namespace
}  // namespace grpccommon::test
