// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/base/base64.h"

#include <array>
#include <cstdint>

namespace grpccommon {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::uint8_t kInvalid = 0xff;

constexpr std::array<std::uint8_t, 256> MakeDecodeTable() {
  std::array<std::uint8_t, 256> table{};
  table.fill(kInvalid);
  for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
    table[static_cast<unsigned char>(kAlphabet[i])] =
        static_cast<std::uint8_t>(i);
  }
  return table;
}

constexpr std::array<std::uint8_t, 256> kDecodeTable = MakeDecodeTable();

}  // namespace

// Three bytes are four characters; what is left over is two bytes (three
// characters) or one (two).
std::string Base64UrlEncode(std::string_view bytes) {
  std::string text((bytes.size() * 4 + 2) / 3, '\0');
  const auto* in = reinterpret_cast<const unsigned char*>(bytes.data());
  char* out = text.data();
  const char* const alphabet = kAlphabet.data();
  std::size_t rest = bytes.size();
  for (; rest >= 3; rest -= 3, in += 3, out += 4) {
    const std::uint32_t group =
        static_cast<std::uint32_t>(in[0] << 16 | in[1] << 8 | in[2]);
    out[0] = alphabet[group >> 18];
    out[1] = alphabet[group >> 12 & 0x3f];
    out[2] = alphabet[group >> 6 & 0x3f];
    out[3] = alphabet[group & 0x3f];
  }
  if (rest > 0) {
    const std::uint32_t group =
        static_cast<std::uint32_t>(in[0] << 16 | (rest == 2 ? in[1] << 8 : 0));
    out[0] = alphabet[group >> 18];
    out[1] = alphabet[group >> 12 & 0x3f];
    if (rest == 2) out[2] = alphabet[group >> 6 & 0x3f];
  }
  return text;
}

std::optional<std::string> Base64UrlDecode(std::string_view text) {
  if (text.size() % 4 == 1) return std::nullopt;
  std::string bytes(text.size() * 3 / 4, '\0');
  const auto* in = reinterpret_cast<const unsigned char*>(text.data());
  char* out = bytes.data();
  const std::uint8_t* const table = kDecodeTable.data();
  std::size_t rest = text.size();
  // kInvalid has bits that no value has, which stay to be seen at the end.
  std::uint32_t seen = 0;
  for (; rest >= 4; rest -= 4, in += 4, out += 3) {
    const std::uint32_t a = table[in[0]];
    const std::uint32_t b = table[in[1]];
    const std::uint32_t c = table[in[2]];
    const std::uint32_t d = table[in[3]];
    seen |= a | b | c | d;
    const std::uint32_t group = a << 18 | b << 12 | c << 6 | d;
    out[0] = static_cast<char>(group >> 16);
    out[1] = static_cast<char>(group >> 8);
    out[2] = static_cast<char>(group);
  }
  if (rest > 0) {
    const std::uint32_t a = table[in[0]];
    const std::uint32_t b = table[in[1]];
    const std::uint32_t c = rest == 3 ? table[in[2]] : 0;
    seen |= a | b | c;
    const std::uint32_t group = a << 18 | b << 12 | c << 6;
    out[0] = static_cast<char>(group >> 16);
    if (rest == 3) out[1] = static_cast<char>(group >> 8);
    // What no byte is made of must be zero.
    if ((group & (rest == 3 ? 0xffu : 0xffffu)) != 0) return std::nullopt;
  }
  if (seen > 0x3f) return std::nullopt;
  return bytes;
}

}  // namespace grpccommon
