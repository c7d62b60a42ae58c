// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/tracing/tracer.h"

#include <cstring>
#include <string>
#include <utility>

#include "absl/memory/memory.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/random.h"

namespace grpccommon {
namespace {

// Random bytes, not all zero, for that is not an id.
template <typename Id>
void MakeId(Id& id) {
  for (std::size_t at = 0; at < id.size(); at += sizeof(std::uint64_t)) {
    std::uint64_t bits;
    do {
      bits = RandomBits();
    } while (bits == 0);
    std::memcpy(id.data() + at, &bits, sizeof bits);
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tracer>> Tracer::Create(
    BatchSpanProcessor* processor, const TracerOptions& options,
    const Clock& clock) {
  const absl::Status valid =
      CheckRange("sample_ratio", options.sample_ratio, 0.0, 1.0);
  if (!valid.ok()) return valid;
  return absl::WrapUnique(new Tracer(processor, options, clock));
}

Tracer::Tracer(BatchSpanProcessor* processor, const TracerOptions& options,
               const Clock& clock)
    : processor_(processor),
      sample_below_(
          static_cast<std::uint64_t>(options.sample_ratio * 0x1.0p63)),
      follow_caller_(options.follow_caller),
      clock_(clock) {}

bool Tracer::Sample(std::span<const std::uint8_t, 8> bytes) const {
  if (processor_ == nullptr) return false;
  std::uint64_t bits = 0;
  for (const std::uint8_t byte : bytes) bits = bits << 8 | byte;
  return (bits & ~(std::uint64_t{1} << 63)) < sample_below_;
}

[[gnu::hot]] TraceContext Tracer::Continue(const TraceContext& caller) const {
  TraceContext context;
  const bool has_caller = caller.valid();
  if (has_caller) {
    context.trace_id = caller.trace_id;
    context.parent_span_id = caller.span_id;
    context.state = caller.state;
  } else {
    MakeId(context.trace_id);
  }
  MakeId(context.span_id);
  if (!has_caller) {
    context.sampled = Sample(std::span(context.trace_id).last<8>());
  } else {
    // A caller who may not decide chose the trace id, but not this one.
    context.sampled = follow_caller_ ? caller.sampled : Sample(context.span_id);
  }
  return context;
}

TraceContext Tracer::Below(const TraceContext& parent) const {
  TraceContext context = parent;
  context.parent_span_id = parent.span_id;
  MakeId(context.span_id);
  return context;
}

Span Tracer::StartSpan(std::string_view name, const TraceContext& parent,
                       SpanKind kind) const {
  TraceContext context;
  if (!parent.valid()) {
    context = Continue(parent);
  } else if (!parent.sampled || processor_ == nullptr) {
    return Span(parent);
  } else {
    context = Below(parent);
  }
  return StartSpanOf(std::move(context), name, kind, clock_.Now(),
                     clock_.WallNow());
}

Span Tracer::StartSpanOf(TraceContext context, std::string_view name,
                         SpanKind kind, Clock::TimePoint started_at,
                         Clock::WallTime started_wall) const {
  if (!context.sampled || processor_ == nullptr) {
    return Span(std::move(context));
  }
  SpanData data;
  data.context = std::move(context);
  data.name = name;
  data.kind = kind;
  data.start = started_wall;
  return Span(std::move(data), started_at, *processor_, clock_);
}

}  // namespace grpccommon
