// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "grpccommon/base/export.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/thread_slot.h"
#include "grpccommon/log/logger.h"
#include "grpccommon/tracing/span_exporter.h"

namespace grpccommon {

struct BatchSpanProcessorOptions {
  /// Most spans that wait or are being exported, in [1, 1e6]; those that come
  /// while there are as many are dropped and counted.
  std::size_t max_queued_spans = 2048;
  /// Most spans in a batch, in [1, max_queued_spans]; a batch leaves as soon as
  /// it is full.
  std::size_t max_batch_spans = 512;
  /// How long a span may wait for its batch to fill, in [1 ms, 1 h].
  std::chrono::nanoseconds interval = std::chrono::seconds(5);
  SpanResource resource;
  /// Is told when exporting begins to fail and when it works again.
  Logger logger;
};

/// Collects ended spans and exports them in batches, by size and time.
///
/// `Submit` never waits for an exporter: spans go into the buffer of their
/// group of threads and leave from a thread of the processor's own, which
/// sleeps while there are none. Thread-safe. Source of the defaults:
/// OpenTelemetry's batching processor.
class GRPCCOMMON_EXPORT BatchSpanProcessor {
 public:
  /// Errors: kInvalidArgument, naming the option that is out of range.
  static absl::StatusOr<std::unique_ptr<BatchSpanProcessor>> Create(
      std::unique_ptr<SpanExporter> exporter,
      BatchSpanProcessorOptions options = {});
  /// As Shutdown.
  ~BatchSpanProcessor();

  /// Takes an ended span; drops and counts it if the queue is full or the
  /// processor is shut down.
  void Submit(SpanData span);

  /// Exports what was submitted before. False if that took longer than
  /// `timeout`, or the processor is shut down.
  bool Flush(std::chrono::nanoseconds timeout);

  /// Exports what is left, then shuts the exporter down. Takes as long as the
  /// exporter does. A second call does nothing.
  void Shutdown();

  /// Spans that came when the queue was full or after the shutdown.
  std::uint64_t dropped() const { return dropped_.load(); }
  /// Spans that the exporter took.
  std::uint64_t exported() const { return exported_.load(); }
  /// Spans that the exporter could not export.
  std::uint64_t failed() const { return failed_.load(); }
  /// Spans that wait or are being exported.
  std::size_t queued() const { return queued_.load(); }

 private:
  struct alignas(kCacheLineBytes) Shard {
    Mutex mutex;
    bool closed ABSL_GUARDED_BY(mutex) = false;
    std::vector<SpanData> spans ABSL_GUARDED_BY(mutex);
  };

  BatchSpanProcessor(std::unique_ptr<SpanExporter> exporter,
                     BatchSpanProcessorOptions options);
  void Run();
  bool ExportDue() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::vector<SpanData> TakeAll(bool close);
  void ExportAll(std::vector<SpanData> spans);

  std::array<Shard, 16> shards_;
  const std::unique_ptr<SpanExporter> exporter_;
  const BatchSpanProcessorOptions options_;
  // Counted before a span goes into its shard and after its export, so it is
  // never below the number of spans there.
  std::atomic<std::size_t> queued_{0};
  std::atomic<std::uint64_t> dropped_{0};
  std::atomic<std::uint64_t> exported_{0};
  std::atomic<std::uint64_t> failed_{0};
  bool failing_ = false;  // the exporting thread's

  Mutex mutex_;
  CondVar wake_;
  CondVar flushed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::uint64_t flushes_wanted_ ABSL_GUARDED_BY(mutex_) = 0;
  std::uint64_t flushes_done_ ABSL_GUARDED_BY(mutex_) = 0;
  std::thread thread_;
};

}  // namespace grpccommon
