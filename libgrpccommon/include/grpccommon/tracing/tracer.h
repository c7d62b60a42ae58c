// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "absl/status/statusor.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpccommon/call/trace_context.h"
#include "grpccommon/tracing/batch_span_processor.h"
#include "grpccommon/tracing/span.h"

namespace grpccommon {

struct TracerOptions {
  /// Share of the traces that begin here which are recorded, in [0, 1]. Chosen
  /// by the trace id.
  double sample_ratio = 0.01;
  /// Whether a caller that has a trace decides for us, as all parts of a trace
  /// should be recorded or none. Switch it off where callers are strangers, who
  /// could have every call recorded: then `sample_ratio` holds for all, and it
  /// is not their trace id that chooses.
  bool follow_caller = true;
};

/// Begins spans and decides which are recorded. Thread-safe.
///
/// Source: OpenTelemetry's samplers ParentBased and TraceIdRatioBased, the
/// latter comparing the last 63 bits of the trace id.
class GRPCCOMMON_EXPORT Tracer {
 public:
  /// `processor` gets the spans and is borrowed, as is `clock`; both must
  /// outlive the tracer and its spans. Without a processor nothing is recorded,
  /// and callers' decisions are passed on.
  /// Errors: kInvalidArgument for a ratio out of range.
  static absl::StatusOr<std::unique_ptr<Tracer>> Create(
      BatchSpanProcessor* processor, const TracerOptions& options = {},
      const Clock& clock = SteadyClock());

  /// The context of a new span for a call that came in from `caller`, or of a
  /// new trace if that is not valid.
  TraceContext Continue(const TraceContext& caller) const;

  /// The context of a new span below one of this process, recorded if that is.
  /// Requires a valid context.
  TraceContext Below(const TraceContext& parent) const;

  /// Begins a span below `parent`, or a new trace if that is not valid. It is
  /// recorded if the parent is; else it passes the parent on.
  Span StartSpan(std::string_view name, const TraceContext& parent,
                 SpanKind kind = SpanKind::kInternal) const;

  /// Begins the span that `context` is the context of, at a given time.
  Span StartSpanOf(TraceContext context, std::string_view name, SpanKind kind,
                   Clock::TimePoint started_at,
                   Clock::WallTime started_wall) const;

 private:
  Tracer(BatchSpanProcessor* processor, const TracerOptions& options,
         const Clock& clock);
  bool Sample(std::span<const std::uint8_t, 8> bytes) const;

  BatchSpanProcessor* const processor_;
  // Bytes whose last 63 bits are below this are sampled.
  const std::uint64_t sample_below_;
  const bool follow_caller_;
  const Clock& clock_;
};

}  // namespace grpccommon
