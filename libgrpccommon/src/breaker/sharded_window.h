// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "grpccommon/base/clock.h"
#include "grpccommon/base/thread_slot.h"

namespace grpccommon::internal {

/// Events of `kCounters` kinds in a sliding window of time, without a lock.
///
/// The window is a ring of buckets, and each thread counts in one of a few
/// copies of it. A counter is one word that carries its bucket's tag beside its
/// count: so a counter of a bucket that has passed is reused by the same
/// compare-and-swap that counts, no event is lost or counted twice, and a late
/// thread cannot put its event into a bucket that it does not belong to.
///
/// A tag is the number of the bucket since the clock's zero, and a generation:
/// events of another generation are not seen. The numbers go round after 2^32
/// buckets (136 years of seconds); some events of one window are forgotten
/// then.
template <std::size_t kCounters>
class ShardedWindow {
 public:
  using Tag = std::uint64_t;
  using Counts = std::array<std::uint64_t, kCounters>;

  ShardedWindow(Clock::Duration length, int buckets)
      : buckets_(static_cast<std::uint32_t>(buckets)),
        bucket_ns_(length.count() / buckets),
        lines_per_shard_((kCounters * buckets_ + kWordsPerLine - 1) /
                         kWordsPerLine),
        lines_(std::make_unique<Line[]>(kShards * lines_per_shard_)) {}

  Tag TagAt(std::uint8_t generation, Clock::TimePoint now) const {
    return MakeTag(generation,
                   static_cast<std::uint32_t>(now.time_since_epoch().count() /
                                              bucket_ns_));
  }

  /// The later of two tags of the same generation.
  static Tag Later(Tag a, Tag b) {
    return IsLater(EpochOf(a), EpochOf(b)) ? a : b;
  }
  static std::uint8_t GenerationOf(Tag tag) {
    return static_cast<std::uint8_t>(tag >> 32);
  }

  /// Counts one event, unless its bucket has left the window.
  void Add(Tag tag, std::size_t counter) {
    std::atomic<std::uint64_t>& word =
        WordAt(ThreadSlot() % kShards, counter, EpochOf(tag) % buckets_);
    std::uint64_t seen = word.load(std::memory_order_relaxed);
    std::uint64_t wanted;
    do {
      const Tag there = seen >> kCountBits;
      if (there == tag && (seen & kCountMask) != 0) {
        if ((seen & kCountMask) == kCountMask) return;  // 16 million: enough
        wanted = seen + 1;
      } else if ((seen & kCountMask) != 0 && IsNewer(there, tag)) {
        return;
      } else {
        wanted = tag << kCountBits | 1;
      }
    } while (!word.compare_exchange_weak(seen, wanted));
  }

  /// The events of one kind in the window that ends with the tag's bucket.
  std::uint64_t Sum(Tag tag, std::size_t counter) const {
    // A tag of another generation is far away from it.
    const Tag oldest = tag - (buckets_ - 1);
    std::uint64_t sum = 0;
    for (std::size_t shard = 0; shard < kShards; ++shard) {
      for (std::uint32_t bucket = 0; bucket < buckets_; ++bucket) {
        const std::uint64_t word = WordAt(shard, counter, bucket).load();
        const Tag there = word >> kCountBits;
        sum += there - oldest < buckets_ ? word & kCountMask : 0;
      }
    }
    return sum;
  }

  /// All of them. Kinds are read from the last to the first: where each event
  /// of a later kind comes after one of an earlier kind, no more of the later
  /// than of the earlier ones are seen.
  Counts SumAll(Tag tag) const {
    Counts counts;
    for (std::size_t i = kCounters; i-- > 0;) counts[i] = Sum(tag, i);
    return counts;
  }

  /// Forgets everything, so that a tag that comes round again finds nothing.
  void Clear() {
    for (std::size_t i = 0; i < kShards * lines_per_shard_; ++i) {
      for (std::atomic<std::uint64_t>& word : lines_[i].words) word.store(0);
    }
  }

 private:
  static constexpr std::size_t kShards = 8;
  static constexpr int kCountBits = 24;
  static constexpr std::uint64_t kCountMask = (1 << kCountBits) - 1;
  static constexpr std::size_t kWordsPerLine =
      kCacheLineBytes / sizeof(std::uint64_t);

  struct alignas(kCacheLineBytes) Line {
    std::array<std::atomic<std::uint64_t>, kWordsPerLine> words{};
  };

  static Tag MakeTag(std::uint8_t generation, std::uint32_t epoch) {
    return Tag{generation} << 32 | epoch;
  }
  static std::uint32_t EpochOf(Tag tag) {
    return static_cast<std::uint32_t>(tag);
  }
  // Both numbers go round; what is ahead by less than half of it is later.
  static bool IsLater(std::uint32_t a, std::uint32_t b) {
    return static_cast<std::int32_t>(a - b) > 0;
  }
  static bool IsNewer(Tag a, Tag b) {
    const auto generations = static_cast<std::int8_t>(
        static_cast<std::uint8_t>(GenerationOf(a) - GenerationOf(b)));
    return generations != 0 ? generations > 0 : IsLater(EpochOf(a), EpochOf(b));
  }

  std::atomic<std::uint64_t>& WordAt(std::size_t shard, std::size_t counter,
                                     std::uint32_t bucket) const {
    const std::size_t index = counter * buckets_ + bucket;
    return lines_[shard * lines_per_shard_ + index / kWordsPerLine]
        .words[index % kWordsPerLine];
  }

  const std::uint32_t buckets_;
  const std::int64_t bucket_ns_;
  const std::size_t lines_per_shard_;
  const std::unique_ptr<Line[]> lines_;
};

}  // namespace grpccommon::internal
