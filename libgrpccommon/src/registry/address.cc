// SPDX-License-Identifier: Apache-2.0
#include "registry/address.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "grpccommon/base/string_view.h"

namespace grpccommon::internal {
namespace {

constexpr std::size_t kMaxNameBytes = 253;   // RFC 1035, as text
constexpr std::size_t kMaxLabelBytes = 63;   // RFC 1035
constexpr std::size_t kMaxQuotedBytes = 80;  // a message stays one line

// Not <cctype>: that depends on the locale.
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsAlphanumeric(char c) {
  return IsDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

absl::Status Refuse(std::string_view what) {
  return absl::InvalidArgumentError(ToAbsl(what));
}

bool IsAddress(int family, std::string_view host) {
  unsigned char bytes[sizeof(in6_addr)];
  return host.find('\0') == std::string_view::npos &&
         inet_pton(family, std::string(host).c_str(), bytes) == 1;
}

// inet_aton and getaddrinfo read "1", "1.2", "017.1" and "0x7f.1" as IPv4
// addresses, by this test of the last label (WHATWG URL, "ends in a number").
bool EndsInNumber(std::string_view label) {
  if (label.size() >= 2 && label[0] == '0' &&
      (label[1] == 'x' || label[1] == 'X')) {
    return label.find_first_not_of("0123456789abcdefABCDEF", 2) ==
           std::string_view::npos;
  }
  return std::all_of(label.begin(), label.end(), IsDigit);
}

absl::Status CheckName(std::string_view name) {
  if (name.size() > kMaxNameBytes) {
    return Refuse("the host is longer than 253 bytes");
  }
  std::string_view rest = name;
  while (true) {
    const std::size_t dot = rest.find('.');
    const std::string_view label = rest.substr(0, dot);
    if (label.empty() || label.size() > kMaxLabelBytes) {
      return Refuse("each part of the host must have 1 to 63 bytes");
    }
    if (label.front() == '-' || label.back() == '-' ||
        !std::all_of(label.begin(), label.end(),
                     [](char c) { return IsAlphanumeric(c) || c == '-'; })) {
      return Refuse(
          "a part of the host must be letters, digits and inner hyphens");
    }
    if (dot == std::string_view::npos) {
      if (EndsInNumber(label)) {
        return Refuse("the host ends in a number and is no IPv4 address");
      }
      return absl::OkStatus();
    }
    rest.remove_prefix(dot + 1);
  }
}

}  // namespace

absl::StatusOr<HostKind> CheckHost(std::string_view host) {
  if (host.empty()) return Refuse("the host is empty");
  if (IsAddress(AF_INET, host)) return HostKind::kIpv4;
  if (IsAddress(AF_INET6, host)) return HostKind::kIpv6;
  if (absl::Status valid = CheckName(host); !valid.ok()) return valid;
  return HostKind::kName;
}

absl::StatusOr<std::uint16_t> ParsePort(std::string_view text) {
  std::uint32_t port = 0;
  if (text.empty() || text.size() > 5 || text.front() == '0' ||
      !std::all_of(text.begin(), text.end(), IsDigit)) {
    return Refuse("the port must be a number in [1, 65535]");
  }
  for (const char c : text) port = port * 10 + static_cast<unsigned>(c - '0');
  if (port > 65535) return Refuse("the port must be a number in [1, 65535]");
  return static_cast<std::uint16_t>(port);
}

absl::StatusOr<HostPort> ParseHostPort(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || text.back() == ']') {
    return Refuse("must be host:port");
  }
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.starts_with('[') && host.ends_with(']');
  if (bracketed) host = host.substr(1, host.size() - 2);

  const absl::StatusOr<HostKind> kind = CheckHost(host);
  if (bracketed && (!kind.ok() || *kind != HostKind::kIpv6)) {
    return Refuse("what is in brackets must be an IPv6 address");
  }
  if (!bracketed && host.find(':') != std::string_view::npos) {
    return Refuse("an IPv6 host must be in brackets");
  }
  if (!kind.ok()) return kind.status();
  const absl::StatusOr<std::uint16_t> port = ParsePort(text.substr(colon + 1));
  if (!port.ok()) return port.status();
  return HostPort{.host = std::string(host), .kind = *kind, .port = *port};
}

std::string JoinHostPort(const HostPort& address) {
  return address.kind == HostKind::kIpv6
             ? absl::StrCat("[", address.host, "]:", address.port)
             : absl::StrCat(address.host, ":", address.port);
}

std::string Quoted(std::string_view text) {
  const bool cut = text.size() > kMaxQuotedBytes;
  return absl::StrCat("\"",
                      absl::CHexEscape(ToAbsl(text.substr(0, kMaxQuotedBytes))),
                      cut ? "…\"" : "\"");
}

}  // namespace grpccommon::internal
