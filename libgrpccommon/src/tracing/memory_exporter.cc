// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/tracing/memory_exporter.h"

#include <algorithm>
#include <cassert>

namespace grpccommon {

MemorySpanExporter::MemorySpanExporter(std::size_t max_spans)
    : max_spans_(max_spans) {
  assert(max_spans >= 1);
}

absl::Status MemorySpanExporter::Export(const SpanResource& resource,
                                        std::span<const SpanData> spans) {
  const MutexLock lock(mutex_);
  resource_ = resource;
  spans_.insert(spans_.end(), spans.begin(), spans.end());
  if (spans_.size() > max_spans_) {
    spans_.erase(spans_.begin(),
                 spans_.end() - static_cast<std::ptrdiff_t>(max_spans_));
  }
  return absl::OkStatus();
}

std::vector<SpanData> MemorySpanExporter::spans() const {
  const MutexLock lock(mutex_);
  return spans_;
}

SpanResource MemorySpanExporter::resource() const {
  const MutexLock lock(mutex_);
  return resource_;
}

void MemorySpanExporter::Clear() {
  const MutexLock lock(mutex_);
  spans_.clear();
}

}  // namespace grpccommon
