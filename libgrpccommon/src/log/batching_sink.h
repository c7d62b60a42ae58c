// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/thread_slot.h"
#include "grpccommon/log/sink.h"
#include "log/transport.h"

namespace grpccommon::internal {

/// The sink behind CreateLogSink.
///
/// Each shard of threads appends to a buffer of its own. One thread, the
/// writer, swaps the buffers out every `batch_interval` and hands them to the
/// transport. While nothing comes it waits without a time limit, and the first
/// line that finds it idle wakes it; a buffer that grows past `kWakeBytes` has
/// it come early.
class BatchingSink : public LogSink {
 public:
  BatchingSink(std::unique_ptr<LogTransport> transport,
               const LogSinkOptions& options, const Clock& clock);
  ~BatchingSink() override;

  void Write(std::string_view line) override;
  void Flush() override;
  std::uint64_t dropped() const override { return dropped_.load(); }

 private:
  struct alignas(kCacheLineBytes) Shard {
    Mutex mutex;
    std::string lines ABSL_GUARDED_BY(mutex);
    // How much of the queue's bytes this shard may fill.
    std::int64_t reserved ABSL_GUARDED_BY(mutex) = 0;
    // How often in a row the writer found nothing here; the writer's.
    int found_empty = 0;
  };
  static constexpr std::size_t kShards = 16;

  bool Append(Shard& shard, std::string_view line);
  bool Reserve(std::int64_t bytes);
  void Wake(bool early);

  void Run();
  /// Writes what waits; false if there was nothing.
  bool Drain();
  bool AnythingWaits();
  void WriteBatch(std::string_view lines);
  void ReportLosses();

  const std::unique_ptr<LogTransport> transport_;
  const std::chrono::nanoseconds interval_;
  const Clock& clock_;
  // A shard reserves this much at a time, so that threads seldom meet at
  // `free_bytes_`; an eighth of the queue in all.
  const std::int64_t reserve_bytes_;
  const std::size_t wake_bytes_;

  std::array<Shard, kShards> shards_;
  alignas(kCacheLineBytes) std::atomic<std::int64_t> free_bytes_;
  alignas(kCacheLineBytes) std::atomic<std::uint64_t> dropped_{0};
  // Apart from what changes often: every line reads it.
  alignas(kCacheLineBytes) std::atomic<bool> idle_{true};

  alignas(kCacheLineBytes) Mutex mutex_;
  CondVar wake_;
  CondVar flushed_;
  bool early_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::uint64_t flushes_wanted_ ABSL_GUARDED_BY(mutex_) = 0;
  std::uint64_t flushes_done_ ABSL_GUARDED_BY(mutex_) = 0;

  // The writer's.
  std::string batch_;  // what a shard's lines are swapped with
  std::uint64_t reported_ = 0;
  std::optional<Clock::TimePoint> reported_at_;
  std::thread writer_;
};

}  // namespace grpccommon::internal
