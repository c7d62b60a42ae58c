// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace grpccommon::internal {

enum class HostKind { kName, kIpv4, kIpv6 };

struct HostPort {
  /// Without brackets.
  std::string host;
  HostKind kind = HostKind::kName;
  std::uint16_t port = 0;
};

/// Takes "host:port" apart. The host is a name of RFC 1123 (no "_", no final
/// dot), an IPv4 address of four decimal numbers, or an IPv6 address in
/// brackets without a zone; a name that some resolver would take for a number
/// ("1.2.3", "0x7f.1") is refused. The port is in [1, 65535], without leading
/// zeros.
/// Errors: kInvalidArgument: what is wrong, without saying where the text is
/// from.
absl::StatusOr<HostPort> ParseHostPort(std::string_view text);

/// A name as ParseHostPort wants it, or an address of either kind.
absl::StatusOr<HostKind> CheckHost(std::string_view host);

absl::StatusOr<std::uint16_t> ParsePort(std::string_view text);

/// "host:port", an IPv6 host in brackets.
std::string JoinHostPort(const HostPort& address);

/// For messages: in quotes, escaped where it is not plain ASCII, and cut where
/// it is long.
std::string Quoted(std::string_view text);

}  // namespace grpccommon::internal
