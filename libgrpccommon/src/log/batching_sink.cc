// SPDX-License-Identifier: Apache-2.0
#include "log/batching_sink.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <exception>
#include <functional>
#include <new>
#include <utility>

#include "grpccommon/log/logger.h"

namespace grpccommon::internal {
namespace {

constexpr std::size_t kWakeBytes = 256 << 10;
constexpr std::size_t kChunkBytes = 64 << 10;
// After so many times that the writer has come round, chunks that nobody has
// needed meanwhile are freed.
constexpr int kDrainsBetweenTrims = 100;
constexpr std::chrono::minutes kReportInterval{1};

// How many forks lie between the first process and this one. A process id would
// not tell: that of a child in a namespace of its own may be its parent's.
std::atomic<int> forks{0};

int Forks() {
  [[maybe_unused]] static const int registered =
      pthread_atfork(nullptr, nullptr, [] { ++forks; });
  return forks;
}

// A thread without signals: they are the application's, and SIGPIPE would end
// the process for a log reader that has gone.
std::thread StartWithoutSignals(std::function<void()> run) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  // But for those that say that this thread itself has crashed.
  for (const int crash : {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP}) {
    sigdelset(&all, crash);
  }
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread(std::move(run));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

}  // namespace

BatchingSink::BatchingSink(std::unique_ptr<LogTransport> transport,
                           const LogSinkOptions& options, const Clock& clock)
    : transport_(std::move(transport)),
      interval_(options.batch_interval),
      clock_(clock),
      reserve_bytes_(
          static_cast<std::int64_t>(options.queue_bytes / (8 * kShards))),
      wake_bytes_(static_cast<std::int64_t>(
          std::min(kWakeBytes, options.queue_bytes / 4))),
      forks_(Forks()),
      free_bytes_(static_cast<std::int64_t>(options.queue_bytes)),
      writer_(StartWithoutSignals([this] { Run(); })) {}

BatchingSink::~BatchingSink() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.NotifyOne();
  writer_.join();
}

[[gnu::hot]] void BatchingSink::Write(std::string_view line) {
  if (InChild()) return;
  Shard& shard = shards_[ThreadSlot() % kShards];
  bool appended = false;
  try {
    appended = Append(shard, line);
  } catch (const std::exception&) {  // out of memory
  }
  if (!appended) dropped_.fetch_add(1, std::memory_order_relaxed);
}

[[gnu::hot]] bool BatchingSink::Append(Shard& shard, std::string_view line) {
  bool early;
  {
    const MutexLock lock(shard.mutex);
    const std::int64_t before = shard.waiting;
    const std::int64_t after = before + static_cast<std::int64_t>(line.size());
    const std::int64_t missing = after - shard.reserved;
    if (missing > 0) {
      const std::int64_t more = std::max(missing, reserve_bytes_);
      if (Reserve(more)) {
        shard.reserved += more;
      } else if (Reserve(missing)) {
        shard.reserved += missing;
      } else {
        return false;
      }
    }
    if (shard.lines.empty() ||
        line.size() > shard.lines.capacity() - shard.lines.size()) {
      StartChunk(shard, line.size());
    }
    shard.lines.append(line);
    shard.waiting = after;
    early = before < wake_bytes_ && after >= wake_bytes_;
  }
  // The writer looks into all shards after it has called itself idle, so either
  // it has seen this line, or we see that it is idle.
  const bool idle = idle_.load(std::memory_order_relaxed) &&
                    idle_.exchange(false, std::memory_order_relaxed);
  if (early || idle) Wake(early);
  return true;
}

bool BatchingSink::Reserve(std::int64_t bytes) {
  std::int64_t free = free_bytes_.load(std::memory_order_relaxed);
  while (free >= bytes) {
    if (free_bytes_.compare_exchange_weak(free, free - bytes,
                                          std::memory_order_relaxed)) {
      return true;
    }
  }
  return false;
}

void BatchingSink::StartChunk(Shard& shard, std::size_t bytes) {
  shard.full.reserve(shard.full.size() + 2);
  std::string chunk = TakeChunk();
  chunk.reserve(std::max(bytes, kChunkBytes));
  if (!shard.lines.empty()) shard.full.push_back(std::move(shard.lines));
  shard.lines = std::move(chunk);
}

std::string BatchingSink::TakeChunk() {
  const MutexLock lock(spare_mutex_);
  if (spare_.empty()) return {};
  std::string chunk = std::move(spare_.back());
  spare_.pop_back();
  unused_ = std::min(unused_, spare_.size());
  return chunk;
}

void BatchingSink::GiveBack(std::vector<std::string>& chunks) {
  try {
    const MutexLock lock(spare_mutex_);
    for (std::string& chunk : chunks) {
      // One of a long line goes.
      if (chunk.capacity() > kChunkBytes) continue;
      chunk.clear();
      spare_.push_back(std::move(chunk));
    }
  } catch (const std::bad_alloc&) {  // then they go as well
  }
  chunks.clear();
}

void BatchingSink::Trim() {
  const MutexLock lock(spare_mutex_);
  // Those at the front have lain there longest.
  spare_.erase(spare_.begin(),
               spare_.begin() + static_cast<std::ptrdiff_t>(unused_));
  unused_ = spare_.size();
}

void BatchingSink::Wake(bool early) {
  {
    const MutexLock lock(mutex_);
    early_ = early_ || early;
  }
  wake_.NotifyOne();
}

bool BatchingSink::InChild() const {
  return forks.load(std::memory_order_relaxed) != forks_;
}

void BatchingSink::Flush() {
  if (InChild()) return;
  mutex_.Lock();
  const std::uint64_t ours = ++flushes_wanted_;
  wake_.NotifyOne();
  while (flushes_done_ < ours) flushed_.Wait(mutex_);
  mutex_.Unlock();
}

void BatchingSink::Run() {
  mutex_.Lock();
  while (true) {
    while (idle_.load(std::memory_order_relaxed) && !stopping_ &&
           flushes_wanted_ == flushes_done_) {
      wake_.Wait(mutex_);
    }
    const Clock::TimePoint due = std::chrono::steady_clock::now() + interval_;
    while (!early_ && !stopping_ && flushes_wanted_ == flushes_done_) {
      if (!wake_.WaitUntil(mutex_, due)) break;
    }
    early_ = false;
    const bool last = stopping_;
    const std::uint64_t flushes = flushes_wanted_;
    mutex_.Unlock();

    const bool wrote = Drain();
    ReportLosses();
    if (!wrote) {
      idle_.store(true, std::memory_order_relaxed);
      if (AnythingWaits()) idle_.store(false, std::memory_order_relaxed);
    }

    mutex_.Lock();
    flushes_done_ = flushes;
    flushed_.NotifyAll();
    if (last) break;
  }
  mutex_.Unlock();
}

bool BatchingSink::Drain() {
  bool wrote = false;
  for (Shard& shard : shards_) {
    std::int64_t reserved;
    {
      const MutexLock lock(shard.mutex);
      if (shard.waiting == 0) continue;
      shard.full.push_back(std::move(shard.lines));
      shard.lines.clear();
      shard.full.swap(batch_);
      shard.waiting = 0;
      reserved = std::exchange(shard.reserved, 0);
    }
    wrote = true;
    for (const std::string& lines : batch_) WriteBatch(lines);
    GiveBack(batch_);
    // Only now, for lines that are on their way take memory as well.
    free_bytes_.fetch_add(reserved, std::memory_order_relaxed);
  }
  if (wrote && ++drains_ == kDrainsBetweenTrims) {
    drains_ = 0;
    Trim();
  }
  return wrote;
}

bool BatchingSink::AnythingWaits() {
  return std::any_of(shards_.begin(), shards_.end(), [](Shard& shard) {
    const MutexLock lock(shard.mutex);
    return shard.waiting != 0;
  });
}

[[gnu::hot]] void BatchingSink::WriteBatch(std::string_view lines) {
  const std::size_t piece_bytes = transport_->piece_bytes();
  while (!lines.empty()) {
    std::size_t size = lines.size();
    if (size > piece_bytes) {
      size = lines.rfind('\n', piece_bytes - 1);
      if (size == std::string_view::npos) size = lines.find('\n');
      size = size == std::string_view::npos ? lines.size() : size + 1;
    }
    const std::string_view piece = lines.substr(0, size);
    if (!transport_->Write(piece)) {
      dropped_.fetch_add(static_cast<std::uint64_t>(
                             std::count(piece.begin(), piece.end(), '\n')),
                         std::memory_order_relaxed);
    }
    lines.remove_prefix(size);
  }
}

void BatchingSink::ReportLosses() {
  const std::uint64_t total = dropped();
  if (total == reported_) return;
  const Clock::TimePoint now = clock_.Now();
  if (reported_at_.has_value() && now - *reported_at_ < kReportInterval) return;
  LogLine line;
  line.AddTime("ts", clock_.WallNow())
      .Add("level", LogLevelName(LogLevel::kWarning))
      .Add("msg", "log lines were dropped")
      .Add({"dropped", total - reported_})
      .Add({"dropped_total", total});
  if (!transport_->Write(line.Finish())) return;
  reported_ = total;
  reported_at_ = now;
}

}  // namespace grpccommon::internal
