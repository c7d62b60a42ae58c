// SPDX-License-Identifier: Apache-2.0
// Any text as a page token of the services, and any place as one.
#include <cstdint>
#include <cstring>
#include <string>

#include "fuzz/fuzz.h"
#include "grpccommon/base/utf8.h"
#include "services/common/token.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using grpccommon::fuzz::Require;
  using namespace platform::common;
  std::string_view input = grpccommon::fuzz::AsText(data, size);

  if (const auto place = ReadToken(TokenKind::kPage, input, {"owner", ""})) {
    Require(MakeToken(TokenKind::kPage, *place, {"owner", ""}) == input);
    for (const std::string& text : {place->text, place->id}) {
      Require(grpccommon::IsUtf8(text) && text.find('\0') == std::string::npos);
    }
    Require(!ReadToken(TokenKind::kResume, input, {"owner", ""}).has_value());
    Require(!ReadToken(TokenKind::kPage, input, {"", "owner"}).has_value());
  }
  Require(ReadPageToken(input).ok() ==
          (input.empty() || ReadToken(TokenKind::kPage, input).has_value()));

  Place place;
  const std::string_view number = grpccommon::fuzz::TakeChunk(input);
  if (!number.empty()) {
    std::memcpy(&place.number, number.data(),
                std::min(number.size(), sizeof place.number));
  }
  place.text = grpccommon::fuzz::TakeUntil('\0', input);
  place.id = grpccommon::fuzz::TakeUntil('\0', input);
  const std::string token = MakeToken(TokenKind::kResume, place, {"c"});
  const auto read = ReadToken(TokenKind::kResume, token, {"c"});
  if (grpccommon::IsUtf8(place.text) && grpccommon::IsUtf8(place.id) &&
      place.text.size() + place.id.size() < 2048) {
    Require(read == place);
  } else {
    Require(!read.has_value() || *read == place);
  }
  return 0;
}
