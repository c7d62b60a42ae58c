// SPDX-License-Identifier: Apache-2.0
#include "validate/formats.h"

#include <arpa/inet.h>

#include <cstdint>
#include <cstring>

#include "grpccommon/base/utf8.h"

namespace grpccommon::internal {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool IsAlphanumeric(char c) { return IsDigit(c) || IsLetter(c); }
bool IsHex(char c) {
  return IsDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
bool IsOneOf(char c, std::string_view set) {
  return set.find(c) != std::string_view::npos;
}

// A label of a host name; WHATWG and RFC 1123 agree on it.
bool IsLabel(std::string_view label) {
  if (label.empty() || label.size() > 63) return false;
  if (label.front() == '-' || label.back() == '-') return false;
  for (const char c : label) {
    if (!IsAlphanumeric(c) && c != '-') return false;
  }
  return true;
}

// Calls `accept` for each part between the dots until it returns false.
template <typename Accept>
bool AllLabels(std::string_view text, Accept accept) {
  while (true) {
    const std::size_t dot = text.find('.');
    if (!accept(text.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

// RFC 3986: unreserved, sub-delims, `more`, and escapes such as %2F.
bool IsUriText(std::string_view text, std::string_view more) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '%') {
      if (text.size() - i < 3 || !IsHex(text[i + 1]) || !IsHex(text[i + 2])) {
        return false;
      }
      i += 2;
    } else if (!IsAlphanumeric(c) && !IsOneOf(c, "-._~!$&'()*+,;=") &&
               !IsOneOf(c, more)) {
      return false;
    }
  }
  return true;
}

bool IsIpv6(std::string_view text) {
  char buffer[INET6_ADDRSTRLEN] = {};
  if (text.size() >= sizeof(buffer) ||
      text.find('\0') != std::string_view::npos) {
    return false;
  }
  text.copy(buffer, text.size());
  in6_addr address;
  return inet_pton(AF_INET6, buffer, &address) == 1;
}

bool IsAuthority(std::string_view text) {
  const std::size_t at = text.rfind('@');
  if (at != std::string_view::npos) {
    if (!IsUriText(text.substr(0, at), ":")) return false;
    text.remove_prefix(at + 1);
  }
  std::string_view port;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos || !IsIpv6(text.substr(1, end - 1))) {
      return false;
    }
    port = text.substr(end + 1);
  } else {
    const std::size_t colon = text.find(':');
    const std::string_view host = text.substr(0, colon);
    if (host.empty() || !IsUriText(host, "")) return false;
    if (colon != std::string_view::npos) port = text.substr(colon);
  }
  if (port.empty()) return true;
  if (port.front() != ':') return false;
  for (const char c : port.substr(1)) {
    if (!IsDigit(c)) return false;
  }
  return true;
}

}  // namespace

[[gnu::hot]] std::optional<std::size_t> CountCodePoints(std::string_view text) {
  std::size_t count = 0;
  std::size_t i = 0;
  while (i < text.size()) {
    // Most text is ASCII: eight bytes at once.
    std::uint64_t eight;
    if (text.size() - i >= sizeof(eight)) {
      std::memcpy(&eight, text.data() + i, sizeof(eight));
      if ((eight & 0x8080808080808080u) == 0) {
        i += sizeof(eight);
        count += sizeof(eight);
        continue;
      }
    }
    const std::size_t length = Utf8CharacterSize(text.substr(i));
    if (length == 0) return std::nullopt;
    i += length;
    ++count;
  }
  return count;
}

bool IsEmail(std::string_view text) {
  const std::size_t at = text.find('@');
  if (at == std::string_view::npos || at == 0) return false;
  for (const char c : text.substr(0, at)) {
    if (!IsAlphanumeric(c) && !IsOneOf(c, ".!#$%&'*+/=?^_`{|}~-")) return false;
  }
  return AllLabels(text.substr(at + 1), IsLabel);
}

bool IsHostname(std::string_view text) {
  if (text.size() > 253) return false;
  bool last_is_number = false;
  return AllLabels(text,
                   [&](std::string_view label) {
                     last_is_number = label.find_first_not_of("0123456789") ==
                                      std::string_view::npos;
                     return IsLabel(label);
                   }) &&
         !last_is_number;
}

bool IsUri(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0 || !IsLetter(text[0])) {
    return false;
  }
  for (const char c : text.substr(0, colon)) {
    if (!IsAlphanumeric(c) && !IsOneOf(c, "+-.")) return false;
  }
  text.remove_prefix(colon + 1);
  if (!text.starts_with("//")) return false;
  text.remove_prefix(2);

  const std::string_view authority = text.substr(0, text.find_first_of("/?#"));
  if (!IsAuthority(authority)) return false;
  text.remove_prefix(authority.size());
  const std::size_t hash = text.find('#');
  if (hash != std::string_view::npos &&
      !IsUriText(text.substr(hash + 1), ":@/?")) {
    return false;
  }
  text = text.substr(0, hash);
  const std::size_t question = text.find('?');
  if (question != std::string_view::npos &&
      !IsUriText(text.substr(question + 1), ":@/?")) {
    return false;
  }
  return IsUriText(text.substr(0, question), ":@/");
}

}  // namespace grpccommon::internal
