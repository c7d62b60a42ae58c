// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "grpccommon/base/export.h"
#include "grpccommon/call/trace_context.h"

namespace grpccommon {

// Source of everything here: W3C Trace Context, level 1 (Recommendation of
// 2021-11-23).

/// The place of the caller's span, with `span_id` naming that span; none if
/// `text` is not a valid `traceparent`: "00-<32 hex>-<16 hex>-<2 hex>", lower
/// case, neither id all zero. Of later versions (not "ff", which is none) it
/// reads as much as it knows and ignores what follows another hyphen.
GRPCCOMMON_EXPORT std::optional<TraceContext> ParseTraceParent(
    std::string_view text);

inline constexpr std::size_t kTraceParentLength = 55;

/// The `traceparent` to send on a call whose parent is the span of `context`.
/// Requires a valid context.
GRPCCOMMON_EXPORT std::string FormatTraceParent(const TraceContext& context);

/// Whether `text` is a `tracestate` that may be passed on: at most 512 bytes
/// and 32 members, each "key=value" or empty, no key twice.
GRPCCOMMON_EXPORT bool IsTraceState(std::string_view text);

}  // namespace grpccommon
