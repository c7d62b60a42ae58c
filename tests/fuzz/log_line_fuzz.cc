// SPDX-License-Identifier: Apache-2.0
// Any text as name and value of a log's field: always one line of JSON, which
// says what the text was.
#include <cstdint>
#include <string>

#include "fuzz/fuzz.h"
#include "grpccommon/base/utf8.h"
#include "grpccommon/log/logger.h"
#include "log/json_text.h"
#include "log/line_fields.h"
#include "nlohmann/json.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using grpccommon::RepairUtf8;
  using grpccommon::fuzz::Require;
  std::string_view input = grpccommon::fuzz::AsText(data, size);
  const std::string_view name = grpccommon::fuzz::TakeChunk(input);

  grpccommon::LogLine line;
  line.Add("a", input).Add({name, name}).AddInteger("b", -1);
  { grpccommon::internal::LineFields(line).Text<"c">(input).Text<"d">(name); }
  line.Add("e", input);
  const std::string_view finished = line.Finish();
  Require(finished.ends_with('\n'));
  for (const char c : finished.substr(0, finished.size() - 1)) {
    Require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
  }
  const auto json = nlohmann::json::parse(finished, nullptr, false);
  Require(json.is_object());
  const std::string text = RepairUtf8(input);
  const std::string shown = RepairUtf8(name);
  Require(json.contains(shown) && json.contains("e"));
  // Of fields with one name the last one counts here.
  if (shown.size() != 1) {
    Require(json["a"] == text && json["c"] == text && json["e"] == text);
    Require(json["d"] == shown && json[shown] == shown);
  }

  std::string quoted;
  grpccommon::internal::AppendJsonText(input, quoted);
  Require(nlohmann::json::parse(quoted) == text);
  return 0;
}
