// SPDX-License-Identifier: Apache-2.0
#include "services/common/token.h"

#include <cstddef>

#include "grpccommon/base/base64.h"
#include "grpccommon/base/utf8.h"
#include "grpccommon/status/details.h"

namespace platform::common {
namespace {

constexpr std::size_t kNumberBytes = 8;
constexpr std::size_t kHeaderBytes = 1 + 2 * kNumberBytes;

// More than any key that we order by.
constexpr std::size_t kMaxTokenBytes = 4096;

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

// Kind, number, hash, and the texts with NUL between them.
std::string MakeToken(TokenKind kind, const Place& place,
                      TokenContext context) {
  const std::string begin = static_cast<char>(kind) +
                            Encode(static_cast<std::uint64_t>(place.number));
  std::string end;
  if (!place.text.empty() || !place.id.empty()) {
    end = place.text + '\0' + place.id;
  }
  std::uint64_t hash = Hash(end, Hash(begin, 0xcbf29ce484222325));
  for (const std::string_view field : context) {
    hash = Hash(field, Hash(Encode(field.size()), hash));
  }
  return grpccommon::Base64UrlEncode(begin + Encode(hash) + end);
}

std::optional<Place> ReadToken(TokenKind kind, std::string_view token,
                               TokenContext context) {
  if (token.size() > kMaxTokenBytes) return {};
  const std::optional<std::string> bytes = grpccommon::Base64UrlDecode(token);
  if (!bytes.has_value() || bytes->size() < kHeaderBytes ||
      !grpccommon::IsUtf8(std::string_view(*bytes).substr(kHeaderBytes))) {
    return {};
  }
  Place place{.number = static_cast<std::int64_t>(
                  Decode(std::string_view(*bytes).substr(1, kNumberBytes)))};
  const std::string_view end = std::string_view(*bytes).substr(kHeaderBytes);
  if (const std::size_t split = end.find('\0');
      split != std::string_view::npos) {
    place.text = end.substr(0, split);
    place.id = end.substr(split + 1);
    if (place.id.find('\0') != std::string::npos) return {};
  }
  if (MakeToken(kind, place, context) != token) return {};
  return place;
}

absl::StatusOr<std::optional<Place>> ReadPageToken(std::string_view token,
                                                   TokenContext context,
                                                   std::string_view field) {
  if (token.empty()) return std::optional<Place>();
  std::optional<Place> place = ReadToken(TokenKind::kPage, token, context);
  if (!place.has_value()) {
    return grpccommon::InvalidFields(
        {{std::string(field),
          "is not the next_page_token of a page with this "
          "filter"}});
  }
  return place;
}

}  // namespace platform::common
