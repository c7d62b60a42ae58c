// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpccommon/call/trace_context.h"

namespace grpccommon {

class BatchSpanProcessor;

using AttributeValue = std::variant<bool, std::int64_t, double, std::string>;

/// A name, by OpenTelemetry's conventions where there is one, and what it is.
struct SpanAttribute {
  std::string name;
  AttributeValue value;

  friend bool operator==(const SpanAttribute&, const SpanAttribute&) = default;
};

enum class SpanKind : std::uint8_t {
  kInternal,
  kServer,
  kClient,
  kProducer,
  kConsumer,
};

enum class SpanStatus : std::uint8_t { kUnset, kOk, kError };

struct SpanEvent {
  std::string name;
  Clock::WallTime time;
  std::vector<SpanAttribute> attributes;
};

/// A span that has ended, as exporters get it: OpenTelemetry's data model.
struct SpanData {
  TraceContext context;
  std::string name;
  SpanKind kind = SpanKind::kInternal;
  Clock::WallTime start;
  Clock::WallTime end;
  std::vector<SpanAttribute> attributes;
  std::vector<SpanEvent> events;
  /// How many came after the limits below were reached.
  std::uint32_t dropped_attributes = 0;
  std::uint32_t dropped_events = 0;
  SpanStatus status = SpanStatus::kUnset;
  /// Of errors only.
  std::string status_message;
};

/// What one span holds at most; further attributes and events are counted as
/// dropped, and longer texts cut. Texts are made valid UTF-8, for a span that
/// is not is refused with its whole batch.
inline constexpr std::size_t kMaxSpanAttributes = 128;
inline constexpr std::size_t kMaxSpanEvents = 128;
inline constexpr std::size_t kMaxSpanTextBytes = 4096;

/// A piece of work in a trace, while it is done; made by Tracer::StartSpan,
/// ends by `End` or with its scope.
///
///   Span query = tracer.StartSpan("load order", call->trace());
///   query.SetAttribute("db.system.name", "sqlite");
///
/// A span of a call that is not sampled records nothing and costs next to
/// nothing; it still has the context to pass on. Never put a secret into a
/// span.
///
/// Thread-safe but for moving. Nothing changes a span that has ended.
class GRPCCOMMON_EXPORT Span {
 public:
  /// Records nothing.
  Span();
  /// Records nothing and passes `context` on.
  explicit Span(TraceContext context);
  /// Records into `data` until it ends, then hands it to `processor`, which is
  /// borrowed and must outlive the span, as must `clock`. `started_at` is the
  /// time of `data.start` on the steady clock, so that a calendar that jumps
  /// does not change the span's length.
  Span(SpanData data, Clock::TimePoint started_at,
       BatchSpanProcessor& processor, const Clock& clock);
  Span(Span&& other) noexcept;
  /// Ends the span that was there.
  Span& operator=(Span&& other) noexcept;
  ~Span();

  /// False also once it has ended.
  bool recording() const;

  /// The parent for spans and calls below this one.
  const TraceContext& context() const { return context_; }

  /// Replaces an attribute of the same name.
  void SetAttribute(std::string_view name, AttributeValue value);

  void AddEvent(std::string_view name,
                std::initializer_list<SpanAttribute> attributes = {});

  /// An event "exception" with `exception.message`.
  void RecordException(std::string_view message);

  /// `message` says what went wrong, and is kept of errors only.
  void SetStatus(SpanStatus status, std::string_view message = {});

  void End();

 private:
  struct State;
  TraceContext context_;
  std::unique_ptr<State> state_;
};

}  // namespace grpccommon
