// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/auth/token_cache.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <list>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/memory/memory.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/base/thread_slot.h"

namespace grpccommon {
namespace {

constexpr std::size_t kShards = 16;

struct Entry {
  std::string token;
  std::uint64_t generation;
  Clock::WallTime valid_from;
  Clock::WallTime valid_until;
  std::shared_ptr<const Principal> principal;
  std::size_t bytes;
};

// The end of a token is its signature, as good as random: only verified tokens
// are kept, so nobody can choose two with the same end.
struct HashOfEnd {
  std::size_t operator()(absl::string_view token) const {
    std::uint64_t words[2] = {};
    const std::size_t size = std::min(token.size(), sizeof words);
    std::memcpy(words, token.data() + token.size() - size, size);
    // The table takes its bits from both ends.
    std::uint64_t hash = (words[0] ^ std::rotl(words[1], 32)) * kMultiplier;
    hash ^= hash >> 32;
    return static_cast<std::size_t>(hash * kMultiplier);
  }
  static constexpr std::uint64_t kMultiplier = 0x9e3779b97f4a7c15;
};

// Latest used first.
using Entries = std::list<Entry>;

std::size_t EstimateBytes(std::string_view token, const Principal& principal) {
  // Nodes of list and table, reference counts, the allocator's own.
  constexpr std::size_t kOverhead = sizeof(Entry) + sizeof(Principal) + 128;
  constexpr std::size_t kNode = 64;  // of the attribute tree
  std::size_t bytes = kOverhead + token.size() + principal.subject.size() +
                      principal.issuer.size();
  for (const auto* list : {&principal.roles, &principal.scopes}) {
    for (const std::string& text : *list) {
      bytes += sizeof(std::string) + text.size();
    }
  }
  for (const auto& [name, value] : principal.attributes) {
    bytes += 2 * sizeof(std::string) + kNode + name.size() + value.size();
  }
  return bytes;
}

}  // namespace

struct alignas(kCacheLineBytes) TokenCache::Shard {
  void Remove(Entries::iterator entry, Entries& removed)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    bytes -= entry->bytes;
    by_token.erase(ToAbsl(entry->token));
    removed.splice(removed.begin(), entries, entry);
  }

  mutable Mutex mutex;
  Entries entries ABSL_GUARDED_BY(mutex);
  // Views of the entries' own tokens.
  absl::flat_hash_map<absl::string_view, Entries::iterator, HashOfEnd> by_token
      ABSL_GUARDED_BY(mutex);
  std::size_t bytes ABSL_GUARDED_BY(mutex) = 0;
};

absl::StatusOr<std::unique_ptr<TokenCache>> TokenCache::Create(
    const TokenCacheOptions& options) {
  absl::Status valid = CheckRange(
      "max_entries", static_cast<double>(options.max_entries), 0, 1e7);
  valid.Update(CheckRange("max_bytes", static_cast<double>(options.max_bytes),
                          64 << 10, 17179869184.0));
  if (!valid.ok()) return valid;
  return absl::WrapUnique(new TokenCache(options));
}

TokenCache::TokenCache(const TokenCacheOptions& options)
    : max_shard_entries_((options.max_entries + kShards - 1) / kShards),
      max_shard_bytes_(options.max_bytes / kShards),
      shards_(std::make_unique<Shard[]>(kShards)) {}

TokenCache::~TokenCache() = default;

[[gnu::hot]] std::shared_ptr<const Principal> TokenCache::Find(
    std::string_view token, std::uint64_t generation, Clock::WallTime now) {
  Entries removed;  // destroyed without the lock
  Shard& shard = shards_[ThreadSlot() % kShards];
  const MutexLock lock(shard.mutex);
  const auto found = shard.by_token.find(ToAbsl(token));
  if (found == shard.by_token.end()) return nullptr;
  const Entries::iterator entry = found->second;
  if (entry->generation != generation || now >= entry->valid_until) {
    shard.Remove(entry, removed);
    return nullptr;
  }
  // The calendar may have been set back.
  if (now < entry->valid_from) return nullptr;
  shard.entries.splice(shard.entries.begin(), shard.entries, entry);
  return entry->principal;
}

void TokenCache::Insert(std::string_view token, std::uint64_t generation,
                        const VerifiedToken& verified) {
  const std::size_t bytes = EstimateBytes(token, *verified.principal);
  if (max_shard_entries_ == 0 || bytes > max_shard_bytes_) return;
  Entries removed;
  Entries fresh;
  fresh.push_back({std::string(token), generation, verified.valid_from,
                   verified.valid_until, verified.principal, bytes});
  Shard& shard = shards_[ThreadSlot() % kShards];
  const MutexLock lock(shard.mutex);
  const auto old = shard.by_token.find(ToAbsl(token));
  if (old != shard.by_token.end()) shard.Remove(old->second, removed);
  while (shard.entries.size() >= max_shard_entries_ ||
         shard.bytes + bytes > max_shard_bytes_) {
    shard.Remove(std::prev(shard.entries.end()), removed);
  }
  shard.entries.splice(shard.entries.begin(), fresh);
  shard.by_token.emplace(ToAbsl(shard.entries.front().token),
                         shard.entries.begin());
  shard.bytes += bytes;
}

std::size_t TokenCache::entries() const {
  std::size_t sum = 0;
  for (std::size_t i = 0; i < kShards; ++i) {
    const MutexLock lock(shards_[i].mutex);
    sum += shards_[i].entries.size();
  }
  return sum;
}

std::size_t TokenCache::bytes() const {
  std::size_t sum = 0;
  for (std::size_t i = 0; i < kShards; ++i) {
    const MutexLock lock(shards_[i].mutex);
    sum += shards_[i].bytes;
  }
  return sum;
}

}  // namespace grpccommon
