// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace grpccommon::testing {

// A message of the domain name system, written byte by byte, so that it can be
// wrong in every way.
class DnsMessage {
 public:
  static constexpr std::uint16_t kA = 1;
  static constexpr std::uint16_t kCname = 5;
  static constexpr std::uint16_t kAaaa = 28;
  static constexpr std::uint16_t kSrv = 33;

  // An answer without error, to be counted by Answer().
  DnsMessage(std::uint16_t id, std::string_view name, std::uint16_t type) {
    Put16(id);
    Put16(0x8580);  // an answer, authoritative, recursion both
    Put16(1);
    Put16(0);
    Put16(0);
    Put16(0);
    PutName(name);
    Put16(type);
    Put16(1);
  }

  DnsMessage& Code(int code) {
    bytes_[3] = static_cast<char>((bytes_[3] & 0xf0) | code);
    return *this;
  }
  DnsMessage& Truncated() {
    bytes_[2] = static_cast<char>(bytes_[2] | 0x02);
    return *this;
  }
  DnsMessage& Answers(std::uint16_t count) {
    bytes_[6] = static_cast<char>(count >> 8);
    bytes_[7] = static_cast<char>(count & 0xff);
    count_ = count;
    return *this;
  }
  // One record, its owner the name that was asked for.
  DnsMessage& Answer(std::uint16_t type, std::uint32_t ttl,
                     const std::string& data) {
    Put16(0xc00c);
    return AnswerRest(type, ttl, data);
  }
  DnsMessage& AnswerFor(std::string_view owner, std::uint16_t type,
                        std::uint32_t ttl, const std::string& data) {
    PutName(owner);
    return AnswerRest(type, ttl, data);
  }
  DnsMessage& Raw(std::string_view bytes) {
    bytes_ += bytes;
    return *this;
  }
  DnsMessage& Cut(std::size_t bytes) {
    bytes_.resize(bytes);
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

  static std::string Name(std::string_view name) {
    std::string encoded;
    while (!name.empty()) {
      const std::string_view label = name.substr(0, name.find('.'));
      encoded += static_cast<char>(label.size());
      encoded += label;
      name.remove_prefix(std::min(label.size() + 1, name.size()));
    }
    return encoded + '\0';
  }
  static std::string Ipv4(const char* address) {
    char bytes[4];
    EXPECT_EQ(inet_pton(AF_INET, address, bytes), 1);
    return std::string(bytes, sizeof bytes);
  }
  static std::string Ipv6(const char* address) {
    char bytes[16];
    EXPECT_EQ(inet_pton(AF_INET6, address, bytes), 1);
    return std::string(bytes, sizeof bytes);
  }
  static std::string Srv(std::uint16_t priority, std::uint16_t weight,
                         std::uint16_t port, std::string_view target) {
    std::string data;
    for (const std::uint16_t number : {priority, weight, port}) {
      data += static_cast<char>(number >> 8);
      data += static_cast<char>(number & 0xff);
    }
    return data + Name(target);
  }

 private:
  DnsMessage& AnswerRest(std::uint16_t type, std::uint32_t ttl,
                         const std::string& data) {
    Put16(type);
    Put16(1);
    Put16(static_cast<std::uint16_t>(ttl >> 16));
    Put16(static_cast<std::uint16_t>(ttl & 0xffff));
    Put16(static_cast<std::uint16_t>(data.size()));
    bytes_ += data;
    return Answers(static_cast<std::uint16_t>(count_ + 1));
  }
  void Put16(std::uint16_t number) {
    bytes_ += static_cast<char>(number >> 8);
    bytes_ += static_cast<char>(number & 0xff);
  }
  void PutName(std::string_view name) { bytes_ += Name(name); }

  std::string bytes_;
  std::uint16_t count_ = 0;
};

// A name server on loopback UDP that answers as a test says, on a thread.
class FakeDnsServer {
 public:
  struct Question {
    std::uint16_t id = 0;
    std::string name;
    std::uint16_t type = 0;

    DnsMessage Reply() const { return DnsMessage(id, name, type); }
  };
  // The datagrams to send back: none, one or several.
  using Handler = std::function<std::vector<std::string>(const Question&)>;

  explicit FakeDnsServer(Handler handler) : handler_(std::move(handler)) {
    socket_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(
        bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address),
        0);
    socklen_t size = sizeof address;
    EXPECT_EQ(
        getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    address_ = address;
    thread_ = std::thread([this] { Serve(); });
  }
  ~FakeDnsServer() {
    // An empty datagram ends it: closing a socket does not wake its reader.
    const int last = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(sendto(last, "", 0, 0, reinterpret_cast<sockaddr*>(&address_),
                     sizeof address_),
              0);
    close(last);
    thread_.join();
    close(socket_);
  }

  // As an option takes it.
  std::string address() const {
    return "127.0.0.1:" + std::to_string(ntohs(address_.sin_port));
  }

 private:
  void Serve() {
    char buffer[1024];
    while (true) {
      sockaddr_in peer{};
      socklen_t size = sizeof peer;
      const ssize_t bytes = recvfrom(socket_, buffer, sizeof buffer, 0,
                                     reinterpret_cast<sockaddr*>(&peer), &size);
      if (bytes <= 0) return;
      const std::string_view query(buffer, static_cast<std::size_t>(bytes));
      for (const std::string& reply : handler_(Parse(query))) {
        sendto(socket_, reply.data(), reply.size(), 0,
               reinterpret_cast<sockaddr*>(&peer), size);
      }
    }
  }

  static Question Parse(std::string_view query) {
    const auto number = [&](std::size_t at) {
      return static_cast<std::uint16_t>(
          (static_cast<unsigned char>(query.at(at)) << 8) |
          static_cast<unsigned char>(query.at(at + 1)));
    };
    Question question{.id = number(0)};
    std::size_t at = 12;
    while (const auto length = static_cast<unsigned char>(query.at(at))) {
      if (!question.name.empty()) question.name += '.';
      question.name += query.substr(at + 1, length);
      at += 1u + length;
    }
    question.type = number(at + 1);
    return question;
  }

  const Handler handler_;
  int socket_ = -1;
  sockaddr_in address_{};
  std::thread thread_;
};

}  // namespace grpccommon::testing
