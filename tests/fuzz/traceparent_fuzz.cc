// SPDX-License-Identifier: Apache-2.0
// A caller's traceparent and tracestate, divided by the first newline.
#include <cstdint>
#include <string>
#include <string_view>

#include "fuzz/fuzz.h"
#include "grpccommon/tracing/traceparent.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using grpccommon::fuzz::Require;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t newline = input.find('\n');
  const std::string_view parent = input.substr(0, newline);

  if (const auto context = grpccommon::ParseTraceParent(parent)) {
    Require(context->valid());
    const std::string text = grpccommon::FormatTraceParent(*context);
    // All but version and flags is as it came.
    Require(text.substr(3, 50) == parent.substr(3, 50));
    const auto again = grpccommon::ParseTraceParent(text);
    Require(again.has_value());
    Require(again->trace_id == context->trace_id &&
            again->span_id == context->span_id &&
            again->sampled == context->sampled);
  }
  if (newline != std::string_view::npos) {
    const std::string_view state = input.substr(newline + 1);
    if (grpccommon::IsTraceState(state)) {
      Require(state.size() <= 512);
      for (const char c : state) Require(c == '\t' || (c >= ' ' && c <= '~'));
    }
  }
  return 0;
}
