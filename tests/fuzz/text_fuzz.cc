// SPDX-License-Identifier: Apache-2.0
// Any text for the small parsers that the others are made of.
#include <cmath>
#include <cstdint>
#include <string>

#include "base/json_reader.h"
#include "fuzz/fuzz.h"
#include "grpccommon/base/base64.h"
#include "grpccommon/base/quantity.h"
#include "grpccommon/base/utf8.h"
#include "grpccommon/base/uuid.h"

namespace grpccommon {
namespace {

using fuzz::Require;

void Utf8(std::string_view text) {
  const std::string repaired = RepairUtf8(text);
  Require(IsUtf8(repaired) && RepairUtf8(repaired) == repaired);
  Require(IsUtf8(text) == (repaired == text));
  for (const std::size_t bytes : {0UL, 1UL, 7UL, text.size()}) {
    const std::string_view cut = TruncateUtf8(text, bytes);
    Require(cut.size() <= bytes && text.starts_with(cut));
    // No shorter than it must be.
    Require(cut.size() + 4 > std::min(bytes, text.size()));
    const std::string_view valid = TruncateUtf8(repaired, bytes);
    Require(IsUtf8(valid));
    const std::size_t next =
        Utf8CharacterSize(std::string_view(repaired).substr(valid.size()));
    Require(next == 0 || valid.size() + next > bytes);
  }
}

void Quantities(std::string_view text) {
  if (const auto number = ParseNumber(text)) Require(std::isfinite(*number));
  if (const auto whole = ParseWhole(text)) {
    Require(std::abs(static_cast<double>(*whole)) <= 9e15);
    Require(ParseWhole(std::to_string(*whole)) == whole);
  }
  if (const auto duration = ParseDuration(text)) {
    Require(std::abs(static_cast<double>(duration->count())) <= 9e18);
  }
}

void Json(std::string_view text) {
  constexpr std::size_t kMaxBytes = 4096;
  const auto parsed = internal::ParseJson(text, "it", kMaxBytes, 8, 16);
  if (!parsed.ok()) {
    Require(parsed.status().message().find("it: ") == 0);
    return;
  }
  Require(text.size() <= kMaxBytes && IsUtf8(text));
  Require(nlohmann::json::parse(text) == *parsed);
  const std::string dumped = parsed->dump();
  const auto again = internal::ParseJson(dumped, "it", 10 * kMaxBytes, 8, 16);
  Require(again.ok() && again->dump() == dumped);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const std::string_view text = fuzz::AsText(data, size);
  Utf8(text);
  Quantities(text);
  Json(text);
  Require(Base64UrlDecode(Base64UrlEncode(text)) == text);
  if (const auto bytes = Base64UrlDecode(text)) {
    Require(Base64UrlEncode(*bytes) == text);
  }
  Require(!IsUuid(text) || text.size() == kUuidLength);
  return 0;
}

}  // namespace grpccommon
