// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/tracing/batch_span_processor.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <utility>

#include "absl/memory/memory.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/string_view.h"

namespace grpccommon {

using std::chrono::steady_clock;

absl::StatusOr<std::unique_ptr<BatchSpanProcessor>> BatchSpanProcessor::Create(
    std::unique_ptr<SpanExporter> exporter, BatchSpanProcessorOptions options) {
  if (exporter == nullptr) {
    return absl::InvalidArgumentError("exporter must not be null");
  }
  const auto max_queued = static_cast<double>(options.max_queued_spans);
  absl::Status valid = CheckRange("max_queued_spans", max_queued, 1, 1e6);
  if (valid.ok()) {
    valid =
        CheckRange("max_batch_spans",
                   static_cast<double>(options.max_batch_spans), 1, max_queued);
  }
  valid.Update(CheckRange("interval", options.interval,
                          std::chrono::milliseconds(1), std::chrono::hours(1)));
  if (!valid.ok()) return valid;
  return absl::WrapUnique(
      new BatchSpanProcessor(std::move(exporter), std::move(options)));
}

BatchSpanProcessor::BatchSpanProcessor(std::unique_ptr<SpanExporter> exporter,
                                       BatchSpanProcessorOptions options)
    : exporter_(std::move(exporter)), options_(std::move(options)) {
  thread_ = std::thread([this] { Run(); });
}

BatchSpanProcessor::~BatchSpanProcessor() { Shutdown(); }

void BatchSpanProcessor::Submit(SpanData span) {
  const std::size_t before = queued_.fetch_add(1);
  bool taken = before < options_.max_queued_spans;
  if (taken) {
    Shard& shard = shards_[ThreadSlot() % shards_.size()];
    const MutexLock lock(shard.mutex);
    taken = !shard.closed;
    if (taken) shard.spans.push_back(std::move(span));
  }
  if (!taken) {
    queued_.fetch_sub(1);
    dropped_.fetch_add(1);
    return;
  }
  // Only the first span and the one that fills a batch wake the thread, which
  // costs more than all else here.
  if (before == 0 || before + 1 == options_.max_batch_spans) {
    const MutexLock lock(mutex_);
    wake_.NotifyOne();
  }
}

bool BatchSpanProcessor::Flush(std::chrono::nanoseconds timeout) {
  // An "endless" time-out must not overflow into the past.
  const auto deadline =
      steady_clock::now() +
      std::min<std::chrono::nanoseconds>(timeout, std::chrono::hours(24));
  const MutexLock lock(mutex_);
  const std::uint64_t ticket = ++flushes_wanted_;
  wake_.NotifyOne();
  while (flushes_done_ < ticket) {
    if (stopped_) return false;
    if (!flushed_.WaitUntil(mutex_, deadline)) return flushes_done_ >= ticket;
  }
  return true;
}

void BatchSpanProcessor::Shutdown() {
  {
    const MutexLock lock(mutex_);
    if (stopping_) {
      // Another thread shuts down; the exporter is done when that is.
      while (!stopped_) flushed_.Wait(mutex_);
      return;
    }
    stopping_ = true;
    wake_.NotifyOne();
  }
  thread_.join();
  exporter_->Shutdown();
  const MutexLock lock(mutex_);
  stopped_ = true;
  flushed_.NotifyAll();
}

bool BatchSpanProcessor::ExportDue() const {
  return stopping_ || flushes_wanted_ > flushes_done_ ||
         queued_.load() >= options_.max_batch_spans;
}

void BatchSpanProcessor::Run() {
  mutex_.Lock();
  bool stop = false;
  while (!stop) {
    while (!ExportDue() && queued_.load() == 0) wake_.Wait(mutex_);
    const auto deadline = steady_clock::now() + options_.interval;
    while (!ExportDue() && wake_.WaitUntil(mutex_, deadline)) {
    }
    stop = stopping_;
    const std::uint64_t flushes = flushes_wanted_;
    mutex_.Unlock();
    ExportAll(TakeAll(stop));
    mutex_.Lock();
    flushes_done_ = flushes;
    flushed_.NotifyAll();
  }
  mutex_.Unlock();
}

std::vector<SpanData> BatchSpanProcessor::TakeAll(bool close) {
  std::vector<SpanData> all;
  for (Shard& shard : shards_) {
    std::vector<SpanData> spans;
    {
      const MutexLock lock(shard.mutex);
      spans.swap(shard.spans);
      shard.closed = close;
    }
    std::move(spans.begin(), spans.end(), std::back_inserter(all));
  }
  return all;
}

void BatchSpanProcessor::ExportAll(std::vector<SpanData> spans) {
  std::span<const SpanData> left(spans);
  while (!left.empty()) {
    const auto batch =
        left.first(std::min(left.size(), options_.max_batch_spans));
    left = left.subspan(batch.size());
    absl::Status result;
    try {
      result = exporter_->Export(options_.resource, batch);
    } catch (...) {
      result = absl::InternalError("the exporter threw");
    }
    (result.ok() ? exported_ : failed_).fetch_add(batch.size());
    queued_.fetch_sub(batch.size());
    if (failing_ != !result.ok()) {
      failing_ = !result.ok();
      if (failing_) {
        options_.logger.Warning("spans cannot be exported and are lost",
                                {{"error", ToStd(result.message())}});
      } else {
        options_.logger.Info("spans are exported again",
                             {{"lost", failed_.load()}});
      }
    }
  }
}

}  // namespace grpccommon
