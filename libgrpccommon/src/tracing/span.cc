// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/tracing/span.h"

#include <algorithm>
#include <utility>

#include "grpccommon/base/mutex.h"
#include "grpccommon/base/utf8.h"
#include "grpccommon/tracing/batch_span_processor.h"

namespace grpccommon {
namespace {

// Most texts are short and ASCII, and are kept as they are.
bool NeedsCleaning(std::string_view text) {
  return text.size() > kMaxSpanTextBytes ||
         std::any_of(text.begin(), text.end(), [](char c) {
           return static_cast<unsigned char>(c) >= 0x80;
         });
}

std::string CleanText(std::string text) {
  if (!NeedsCleaning(text)) return text;
  const std::string repaired =
      RepairUtf8(TruncateUtf8(text, kMaxSpanTextBytes));
  return std::string(TruncateUtf8(repaired, kMaxSpanTextBytes));
}

SpanAttribute Clean(std::string name, AttributeValue value) {
  if (std::string* const text = std::get_if<std::string>(&value)) {
    *text = CleanText(std::move(*text));
  }
  return {CleanText(std::move(name)), std::move(value)};
}

}  // namespace

struct Span::State {
  State(SpanData d, Clock::TimePoint s, BatchSpanProcessor& p, const Clock& c)
      : started_at(s), processor(p), clock(c), data(std::move(d)) {}

  // The calendar time of now, as far from the start as the steady clock says.
  Clock::WallTime Now() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    return data.start + (clock.Now() - started_at);
  }

  const Clock::TimePoint started_at;
  BatchSpanProcessor& processor;
  const Clock& clock;
  Mutex mutex;
  bool ended ABSL_GUARDED_BY(mutex) = false;
  SpanData data ABSL_GUARDED_BY(mutex);
};

Span::Span() = default;

Span::Span(TraceContext context) : context_(std::move(context)) {}

Span::Span(SpanData data, Clock::TimePoint started_at,
           BatchSpanProcessor& processor, const Clock& clock)
    : context_(data.context) {
  data.name = CleanText(std::move(data.name));
  // What a call's span has, and some room for its handler.
  data.attributes.reserve(16);
  state_ =
      std::make_unique<State>(std::move(data), started_at, processor, clock);
}

Span::Span(Span&& other) noexcept = default;

Span& Span::operator=(Span&& other) noexcept {
  if (this != &other) {
    End();
    context_ = std::move(other.context_);
    state_ = std::move(other.state_);
  }
  return *this;
}

Span::~Span() { End(); }

bool Span::recording() const {
  if (state_ == nullptr) return false;
  const MutexLock lock(state_->mutex);
  return !state_->ended;
}

void Span::SetAttribute(std::string_view name, AttributeValue value) {
  if (state_ == nullptr) return;
  SpanAttribute attribute = Clean(std::string(name), std::move(value));
  const MutexLock lock(state_->mutex);
  if (state_->ended) return;
  std::vector<SpanAttribute>& attributes = state_->data.attributes;
  const auto place = std::find_if(
      attributes.begin(), attributes.end(),
      [&](const SpanAttribute& other) { return other.name == attribute.name; });
  if (place != attributes.end()) {
    *place = std::move(attribute);
  } else if (attributes.size() < kMaxSpanAttributes) {
    attributes.push_back(std::move(attribute));
  } else {
    ++state_->data.dropped_attributes;
  }
}

void Span::AddEvent(std::string_view name,
                    std::initializer_list<SpanAttribute> attributes) {
  if (state_ == nullptr) return;
  SpanEvent event;
  event.name = CleanText(std::string(name));
  for (const SpanAttribute& attribute : attributes) {
    event.attributes.push_back(Clean(attribute.name, attribute.value));
  }
  const MutexLock lock(state_->mutex);
  if (state_->ended) return;
  if (state_->data.events.size() == kMaxSpanEvents) {
    ++state_->data.dropped_events;
    return;
  }
  event.time = state_->Now();
  state_->data.events.push_back(std::move(event));
}

void Span::RecordException(std::string_view message) {
  if (state_ == nullptr) return;
  AddEvent("exception", {{"exception.message", std::string(message)}});
}

void Span::SetStatus(SpanStatus status, std::string_view message) {
  if (state_ == nullptr) return;
  const MutexLock lock(state_->mutex);
  if (state_->ended) return;
  state_->data.status = status;
  state_->data.status_message =
      status == SpanStatus::kError ? CleanText(std::string(message)) : "";
}

void Span::End() {
  if (state_ == nullptr) return;
  SpanData ended;
  {
    const MutexLock lock(state_->mutex);
    if (state_->ended) return;
    state_->ended = true;
    state_->data.end = state_->Now();
    ended = std::move(state_->data);
  }
  state_->processor.Submit(std::move(ended));
}

}  // namespace grpccommon
