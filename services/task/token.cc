// SPDX-License-Identifier: Apache-2.0
#include "services/task/token.h"

#include <cstddef>

#include "grpccommon/base/base64.h"

namespace platform::task {
namespace {

constexpr std::size_t kNumberBytes = 8;

// FNV-1a, 64 bits (Fowler, Noll, Vo): finds typing errors and mix-ups.
std::uint64_t Hash(std::string_view text, std::uint64_t hash) {
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  return hash;
}

std::string Encode(std::uint64_t number) {
  std::string bytes;
  for (std::size_t i = 0; i < kNumberBytes; ++i) {
    bytes.push_back(static_cast<char>(number >> (8 * i) & 0xff));
  }
  return bytes;
}

std::uint64_t Decode(std::string_view bytes) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < kNumberBytes; ++i) {
    number |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[i]))
              << (8 * i);
  }
  return number;
}

}  // namespace

std::string MakeToken(TokenKind kind, std::int64_t place,
                      std::string_view context) {
  std::string bytes(1, static_cast<char>(kind));
  bytes += Encode(static_cast<std::uint64_t>(place));
  bytes += Encode(Hash(context, Hash(bytes, 0xcbf29ce484222325)));
  return grpccommon::Base64UrlEncode(bytes);
}

std::optional<std::int64_t> ReadToken(TokenKind kind, std::string_view token,
                                      std::string_view context) {
  const std::optional<std::string> bytes = grpccommon::Base64UrlDecode(token);
  if (!bytes.has_value() || bytes->size() != 1 + 2 * kNumberBytes) return {};
  const auto place = static_cast<std::int64_t>(
      Decode(std::string_view(*bytes).substr(1, kNumberBytes)));
  if (place < 0 || MakeToken(kind, place, context) != token) return {};
  return place;
}

}  // namespace platform::task
