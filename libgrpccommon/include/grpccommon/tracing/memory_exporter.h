// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "grpccommon/base/export.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/tracing/span_exporter.h"

namespace grpccommon {

/// Keeps spans in memory, for tests and for a page that shows recent ones.
/// Thread-safe.
class GRPCCOMMON_EXPORT MemorySpanExporter : public SpanExporter {
 public:
  /// Keeps the youngest `max_spans`, at least 1.
  explicit MemorySpanExporter(std::size_t max_spans = 10'000);

  absl::Status Export(const SpanResource& resource,
                      std::span<const SpanData> spans) override;

  /// Oldest first.
  std::vector<SpanData> spans() const;
  SpanResource resource() const;
  void Clear();

 private:
  const std::size_t max_spans_;
  mutable Mutex mutex_;
  SpanResource resource_ ABSL_GUARDED_BY(mutex_);
  std::vector<SpanData> spans_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace grpccommon
