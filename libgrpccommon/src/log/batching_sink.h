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
#include <vector>

#include "absl/base/thread_annotations.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/thread_slot.h"
#include "grpccommon/log/sink.h"
#include "log/transport.h"

namespace grpccommon::internal {

/// The sink behind CreateLogSink.
///
/// Each shard of threads fills chunks of its own. One thread, the writer, takes
/// them out every `batch_interval`, hands them to the transport, and puts them
/// back where any shard finds its next one; so a line never waits for the bytes
/// of others to be copied, and memory is what is on its way, not what once was.
/// While nothing comes the writer waits without a time limit, and the first
/// line that finds it idle wakes it; a shard in which much waits has it come
/// early.
class BatchingSink : public LogSink {
 public:
  BatchingSink(std::unique_ptr<LogTransport> transport,
               const LogSinkOptions& options, const Clock& clock);
  ~BatchingSink() override;

  void Write(std::string_view line) override;
  void Flush() override;
  std::uint64_t dropped() const override { return dropped_.load(); }

  /// Whether this is a forked child. It has no writer, and the locks may be
  /// held by threads that it does not have; so it leaves the sink as it is.
  bool InChild() const;

 private:
  struct alignas(kCacheLineBytes) Shard {
    Mutex mutex;
    // The chunk that is being filled; in front of it those that are full. The
    // latter always have room for one more.
    std::string lines ABSL_GUARDED_BY(mutex);
    std::vector<std::string> full ABSL_GUARDED_BY(mutex);
    // The bytes in all of them, and how many of the queue's they may be.
    std::int64_t waiting ABSL_GUARDED_BY(mutex) = 0;
    std::int64_t reserved ABSL_GUARDED_BY(mutex) = 0;
  };
  static constexpr std::size_t kShards = 16;

  bool Append(Shard& shard, std::string_view line);
  bool Reserve(std::int64_t bytes);
  /// Makes room for a line of `bytes`.
  void StartChunk(Shard& shard, std::size_t bytes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(shard.mutex);
  std::string TakeChunk();
  void GiveBack(std::vector<std::string>& chunks);
  /// Frees the chunks that nobody has needed since the last time.
  void Trim();
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
  const std::int64_t wake_bytes_;
  const int forks_;

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

  Mutex spare_mutex_;
  std::vector<std::string> spare_ ABSL_GUARDED_BY(spare_mutex_);
  // How many of these nobody has needed since the last Trim.
  std::size_t unused_ ABSL_GUARDED_BY(spare_mutex_) = 0;

  // The writer's.
  std::vector<std::string> batch_;
  int drains_ = 0;
  std::uint64_t reported_ = 0;
  std::optional<Clock::TimePoint> reported_at_;
  std::thread writer_;
};

}  // namespace grpccommon::internal
