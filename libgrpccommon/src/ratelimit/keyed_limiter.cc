// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/ratelimit/keyed_limiter.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "absl/memory/memory.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/thread_slot.h"
#include "ratelimit/sip_hash.h"

namespace grpccommon {
namespace {

// Small enough that rebuilding one takes microseconds.
constexpr std::size_t kKeysPerShard = 1024;
constexpr std::size_t kMaxShards = 65536;
constexpr std::size_t kMinSlots = 16;
// How many places are looked at for one to give up.
constexpr std::size_t kSample = 16;

std::uint64_t RandomSecret() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

}  // namespace

// One table: open addressing with linear probing, at most five eighths full,
// and no tombstones, since a removal closes its gap.
struct alignas(kCacheLineBytes) KeyedLimiter::Shard {
  struct Slot {
    std::uint64_t hash;  // 0: free
    std::int64_t tat;
  };

  static std::size_t MostKeys(std::size_t slot_count) {
    return slot_count / 8 * 5;
  }

  // The low bits of a hash chose the shard.
  std::size_t Home(std::uint64_t hash) const ABSL_SHARED_LOCKS_REQUIRED(mutex) {
    return (hash >> 32) & (slots.size() - 1);
  }

  // The slot that holds `hash`, or the free one where it would be.
  Slot& Find(std::uint64_t hash) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    std::size_t i = Home(hash);
    while (slots[i].hash != hash && slots[i].hash != 0) {
      i = (i + 1) & (slots.size() - 1);
    }
    return slots[i];
  }

  // Frees slot `gap` and moves what follows closer to its home (Knuth, TAOCP
  // volume 3, 6.4, algorithm R).
  void Remove(std::size_t gap) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    const std::size_t mask = slots.size() - 1;
    for (std::size_t i = (gap + 1) & mask; slots[i].hash != 0;
         i = (i + 1) & mask) {
      const std::size_t distance = (i - Home(slots[i].hash)) & mask;
      if (distance < ((i - gap) & mask)) continue;
      slots[gap] = slots[i];
      gap = i;
    }
    slots[gap] = {};
    --size;
  }

  // Takes over what is in use, into a table with room to grow; the work is paid
  // by the insertions that filled the old one.
  void Rebuild(std::int64_t now, std::size_t max_slots)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    const auto in_use = [now](const Slot& slot) {
      return slot.hash != 0 && slot.tat > now;
    };
    const auto kept = static_cast<std::size_t>(
        std::count_if(slots.begin(), slots.end(), in_use));
    std::size_t count = kMinSlots;
    while (count < max_slots && MostKeys(count) < 2 * kept) count *= 2;
    std::vector<Slot> old(count);
    old.swap(slots);
    size = kept;
    for (const Slot& slot : old) {
      if (in_use(slot)) Find(slot.hash) = slot;
    }
  }

  // Makes room for one key in a table that cannot grow: removes, of the next
  // few, those that are full again, else the one that is nearest to it.
  void MakeRoom(std::int64_t now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    const std::size_t mask = slots.size() - 1;
    const std::size_t before = size;
    std::size_t nearest = 0;
    std::int64_t nearest_tat = std::numeric_limits<std::int64_t>::max();
    std::size_t looked_at = 0;
    while (looked_at < kSample) {
      hand = (hand + 1) & mask;
      if (slots[hand].hash == 0) continue;
      ++looked_at;
      if (slots[hand].tat <= now) {
        // The next slot may move into this one: look here again.
        Remove(hand);
        hand = (hand - 1) & mask;
        if (size == 0) return;
      } else if (size == before && slots[hand].tat < nearest_tat) {
        nearest_tat = slots[hand].tat;
        nearest = hand;
      }
    }
    if (size < before) return;
    Remove(nearest);
    ++displaced;
  }

  [[gnu::hot]] GcraDecision TryTake(const GcraRate& rate, std::uint64_t hash,
                                    std::int64_t now, std::int64_t quantity,
                                    std::size_t max_keys) {
    const MutexLock lock(mutex);
    if (!slots.empty()) {
      Slot& slot = Find(hash);
      if (slot.hash != 0) return rate.Decide(slot.tat, now, quantity);
    }
    std::int64_t tat = GcraRate::kUntouched;
    const GcraDecision decision = rate.Decide(tat, now, quantity);
    // What took nothing leaves nothing to remember.
    if (tat == GcraRate::kUntouched) return decision;
    if (size >= std::min(MostKeys(slots.size()), max_keys)) {
      const std::size_t max_slots = std::bit_ceil(max_keys * 8 / 5 + 1);
      if (slots.size() < max_slots) {
        Rebuild(now, std::max(max_slots, kMinSlots));
      }
      if (size >= max_keys) MakeRoom(now);
    }
    Find(hash) = {hash, tat};
    ++size;
    return decision;
  }

  mutable Mutex mutex;
  std::vector<Slot> slots ABSL_GUARDED_BY(mutex);
  std::size_t size ABSL_GUARDED_BY(mutex) = 0;
  std::size_t hand ABSL_GUARDED_BY(mutex) = 0;
  std::uint64_t displaced ABSL_GUARDED_BY(mutex) = 0;
};

absl::StatusOr<std::unique_ptr<KeyedLimiter>> KeyedLimiter::Create(
    const KeyedLimiterOptions& options, const Clock& clock) {
  const absl::Status valid =
      CheckRange("max_keys", static_cast<double>(options.max_keys), 1, 1e8);
  if (!valid.ok()) return valid;
  const auto keys = static_cast<std::size_t>(options.max_keys);
  const std::size_t shards =
      std::min(std::bit_floor(std::max<std::size_t>(keys / kKeysPerShard, 1)),
               kMaxShards);
  // Hashing spreads keys unevenly; eight standard deviations above the mean
  // make sure that none is displaced before there are `max_keys`.
  const double mean = static_cast<double>(keys) / static_cast<double>(shards);
  const std::size_t keys_per_shard =
      shards == 1 ? keys : static_cast<std::size_t>(mean + 8 * std::sqrt(mean));
  return absl::WrapUnique(new KeyedLimiter(shards, keys_per_shard, clock));
}

KeyedLimiter::KeyedLimiter(std::size_t shards, std::size_t keys_per_shard,
                           const Clock& clock)
    : clock_(clock),
      secret_{RandomSecret(), RandomSecret()},
      shard_mask_(shards - 1),
      keys_per_shard_(keys_per_shard),
      shards_(std::make_unique<Shard[]>(shards)) {}

KeyedLimiter::~KeyedLimiter() = default;

[[gnu::hot]] GcraDecision KeyedLimiter::TryTake(const GcraRate& rate,
                                                std::uint64_t scope,
                                                std::string_view key,
                                                std::int64_t quantity) {
  std::uint64_t hash =
      internal::SipHash<1, 3>(secret_[0] ^ scope, secret_[1])(key);
  if (hash == 0) hash = 1;  // 0 marks a free slot
  const std::int64_t now = clock_.Now().time_since_epoch().count();
  return shards_[hash & shard_mask_].TryTake(rate, hash, now, quantity,
                                             keys_per_shard_);
}

std::size_t KeyedLimiter::keys() const {
  std::size_t keys = 0;
  for (std::size_t i = 0; i <= shard_mask_; ++i) {
    const MutexLock lock(shards_[i].mutex);
    keys += shards_[i].size;
  }
  return keys;
}

std::uint64_t KeyedLimiter::displaced() const {
  std::uint64_t displaced = 0;
  for (std::size_t i = 0; i <= shard_mask_; ++i) {
    const MutexLock lock(shards_[i].mutex);
    displaced += shards_[i].displaced;
  }
  return displaced;
}

std::size_t KeyedLimiter::memory_bytes() const {
  std::size_t bytes = 0;
  for (std::size_t i = 0; i <= shard_mask_; ++i) {
    const MutexLock lock(shards_[i].mutex);
    bytes += sizeof(Shard) + shards_[i].slots.capacity() * sizeof(Shard::Slot);
  }
  return bytes;
}

}  // namespace grpccommon
