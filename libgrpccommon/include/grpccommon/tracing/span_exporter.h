// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "absl/status/status.h"
#include "grpccommon/base/export.h"
#include "grpccommon/tracing/span.h"

namespace grpccommon {

/// Who made the spans: `service.name` and what else tells processes apart.
using SpanResource = std::vector<SpanAttribute>;

/// Brings finished spans out of the process.
///
/// Called by one thread at a time, which is none of a call's, so it may block;
/// it must return by a time-out of its own, for shutting down waits for it.
class GRPCCOMMON_EXPORT SpanExporter {
 public:
  virtual ~SpanExporter() = default;

  /// Exports a batch that is not empty. With an error the batch is lost and
  /// counted; an exporter that wants to try again does so before it returns.
  virtual absl::Status Export(const SpanResource& resource,
                              std::span<const SpanData> spans) = 0;

  /// Called once, after the last batch.
  virtual void Shutdown() {}
};

}  // namespace grpccommon
