// SPDX-License-Identifier: Apache-2.0
#include "ratelimit/caller_key.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace grpccommon::internal {
namespace {

// Opens each key, so that callers of two kinds never share one.
enum class Kind : char { kPrincipal, kIpv4, kIpv6, kOther };

// The kind, then the parts.
template <typename... Parts>
CallerKey Make(Kind kind, const Parts&... parts) {
  CallerKey key((1 + ... + parts.size()));
  char* out = key.data();
  *out++ = static_cast<char>(kind);
  ((out = std::copy(parts.begin(), parts.end(), out)), ...);
  return key;
}

template <std::size_t kSize>
std::string_view View(const unsigned char (&bytes)[kSize], std::size_t offset,
                      std::size_t size) {
  return std::string_view(reinterpret_cast<const char*>(bytes) + offset, size);
}

}  // namespace

[[gnu::hot]] CallerKey KeyOfPrincipal(const Principal& principal) {
  // The issuer's size keeps "ab" + "c" and "a" + "bc" apart.
  const std::uint64_t issuer_size = principal.issuer.size();
  char size[sizeof(issuer_size)];
  std::memcpy(size, &issuer_size, sizeof(size));
  return Make(Kind::kPrincipal, std::string_view(size, sizeof(size)),
              principal.issuer, principal.subject);
}

CallerKey KeyOfPeer(std::string_view address) {
  // A link-local address bears its interface: fe80::1%eth0.
  const std::string_view number = address.substr(0, address.find('%'));
  char text[INET6_ADDRSTRLEN] = {};
  if (number.size() < sizeof(text)) {
    number.copy(text, number.size());
    unsigned char bytes[16];
    if (inet_pton(AF_INET, text, bytes) == 1) {
      return Make(Kind::kIpv4, View(bytes, 0, 4));
    }
    if (inet_pton(AF_INET6, text, bytes) == 1) {
      // A server that listens on [::] sees IPv4 clients as ::ffff:a.b.c.d, and
      // all of them in one /64.
      static constexpr unsigned char kMapped[12] = {0, 0, 0, 0, 0,    0,
                                                    0, 0, 0, 0, 0xff, 0xff};
      if (std::memcmp(bytes, kMapped, sizeof(kMapped)) == 0) {
        return Make(Kind::kIpv4, View(bytes, 12, 4));
      }
      return Make(Kind::kIpv6, View(bytes, 0, 8));
    }
  }
  return Make(Kind::kOther, address);
}

}  // namespace grpccommon::internal
