// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "grpccommon/base/mutex.h"

namespace grpccommon {

// Answers each connection with the same text, whatever was asked.
class CannedHttpServer {
 public:
  CannedHttpServer() : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(
        bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address),
        0);
    socklen_t size = sizeof address;
    getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    EXPECT_EQ(listen(socket_, 8), 0);
    thread_ = std::thread([this] { Serve(); });
  }
  ~CannedHttpServer() {
    shutdown(socket_, SHUT_RDWR);
    thread_.join();
    close(socket_);
  }
  std::string url() const {
    return "http://127.0.0.1:" + std::to_string(port_) + "/keys";
  }
  /// The latest one.
  std::string request() {
    const MutexLock lock(mutex_);
    return request_;
  }
  void Answer(std::string answer) {
    const MutexLock lock(mutex_);
    answer_ = std::move(answer);
  }

 private:
  static bool IsWhole(const std::string& request) {
    const std::size_t head = request.find("\r\n\r\n");
    if (head == std::string::npos) return false;
    constexpr std::string_view kLength = "Content-Length: ";
    const std::size_t length = request.find(kLength);
    if (length == std::string::npos) return true;
    return request.size() - head - 4 >=
           std::stoul(request.substr(length + kLength.size()));
  }

  void Serve() {
    while (true) {
      const int connection = accept(socket_, nullptr, nullptr);
      if (connection < 0) return;
      std::string request;
      char buffer[1024];
      while (!IsWhole(request)) {
        const ssize_t count = read(connection, buffer, sizeof buffer);
        if (count <= 0) break;
        request.append(buffer, static_cast<std::size_t>(count));
      }
      std::string answer;
      {
        const MutexLock lock(mutex_);
        answer = answer_;
        request_ = request;
      }
      // Without an answer the client waits, until it gives up.
      while (answer.empty() && read(connection, buffer, sizeof buffer) > 0) {
      }
      std::string_view left = answer;
      while (!left.empty()) {
        const ssize_t sent =
            send(connection, left.data(), left.size(), MSG_NOSIGNAL);
        if (sent <= 0) break;
        left.remove_prefix(static_cast<std::size_t>(sent));
      }
      close(connection);
    }
  }

  const int socket_;
  int port_ = 0;
  Mutex mutex_;
  std::string answer_ ABSL_GUARDED_BY(mutex_);
  std::string request_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace grpccommon
