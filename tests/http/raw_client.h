// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "support/number.h"

namespace grpccommon::testing {

struct RawResponse {
  int status = 0;  // 0: the connection ended before a whole head came
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  bool complete = false;  // as far as its framing tells
};

// A socket that writes what a test wants, however wrong, and reads answers. No
// call waits for more than ten seconds.
class RawClient {
 public:
  explicit RawClient(int port, int receive_buffer = 0)
      : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (receive_buffer > 0) {
      setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer,
                 sizeof(receive_buffer));
    }
    const timeval limit = {.tv_sec = 10};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    const int on = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = connect(fd_, reinterpret_cast<const sockaddr*>(&address),
                         sizeof(address)) == 0;
  }
  ~RawClient() { Close(); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool connected() const { return connected_; }

  bool Send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  void HalfClose() const { shutdown(fd_, SHUT_WR); }
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  void Reset() {
    const linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    Close();
  }

  // False at the end of the stream, after a reset, or after ten seconds.
  bool ReadMore() {
    char chunk[16384];
    const ssize_t got = recv(fd_, chunk, sizeof(chunk), 0);
    if (got > 0) buffer_.append(chunk, static_cast<std::size_t>(got));
    reset_ = got < 0 && errno == ECONNRESET;
    ended_ = got == 0 || reset_;
    return got > 0;
  }

  // Waits for the server to close, dropping what comes.
  bool WaitForEnd() {
    while (ReadMore()) {
    }
    return ended_;
  }
  bool was_reset() const { return reset_; }

  std::string ReadExactly(std::size_t bytes) {
    while (buffer_.size() < bytes && ReadMore()) {
    }
    return Take(std::min(bytes, buffer_.size()));
  }

  std::string ReadUntil(std::string_view end) {
    std::size_t at;
    while ((at = buffer_.find(end)) == std::string::npos) {
      if (!ReadMore()) return Take(buffer_.size());
    }
    return Take(at + end.size());
  }

  RawResponse ReadHead() {
    RawResponse response;
    std::string head = ReadUntil("\r\n\r\n");
    if (head.size() < 16 || head.compare(0, 7, "HTTP/1.") != 0) return response;
    const std::string_view code = std::string_view(head).substr(9, 3);
    response.status = test::ParseNumber(code).value_or(0);
    std::size_t line = head.find("\r\n") + 2;
    while (line + 2 < head.size()) {
      const std::size_t end = head.find("\r\n", line);
      const std::size_t colon = head.find(": ", line);
      std::string name = head.substr(line, colon - line);
      for (char& c : name) c = static_cast<char>(std::tolower(c));
      response.headers[name] = head.substr(colon + 2, end - colon - 2);
      line = end + 2;
    }
    return response;
  }

  RawResponse ReadResponse(bool head_only = false) {
    RawResponse response = ReadHead();
    if (response.status == 0) return response;
    if (head_only || response.status == 204 || response.status == 304) {
      response.complete = true;
    } else if (response.headers.count("content-length") > 0) {
      const std::size_t size =
          std::strtoul(response.headers["content-length"].c_str(), nullptr, 10);
      response.body = ReadExactly(size);
      response.complete = response.body.size() == size;
    } else if (response.headers.count("transfer-encoding") > 0) {
      while (true) {
        std::string chunk;
        if (!ReadChunk(chunk)) break;
        if (chunk.empty()) {
          response.complete = true;
          break;
        }
        response.body += chunk;
      }
    } else {
      while (ReadMore()) {
      }
      response.body = Take(buffer_.size());
      response.complete = ended_ && !reset_;
    }
    return response;
  }

  // False if the stream breaks off. The last chunk is empty.
  bool ReadChunk(std::string& chunk) {
    const std::string line = ReadUntil("\r\n");
    if (line.size() < 3) return false;
    const std::size_t size = std::strtoul(line.c_str(), nullptr, 16);
    chunk = ReadExactly(size);
    return chunk.size() == size && ReadExactly(2) == "\r\n";
  }

 private:
  std::string Take(std::size_t bytes) {
    std::string taken = buffer_.substr(0, bytes);
    buffer_.erase(0, bytes);
    return taken;
  }

  int fd_;
  bool connected_ = false;
  bool ended_ = false;
  bool reset_ = false;
  std::string buffer_;
};

}  // namespace grpccommon::testing
