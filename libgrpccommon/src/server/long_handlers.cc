// SPDX-License-Identifier: Apache-2.0
#include "server/long_handlers.h"

#include <array>
#include <chrono>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

#include "grpc/grpc.h"
#include "grpccommon/base/thread_slot.h"

namespace grpccommon::internal {
namespace {

// A handler is long when two sweeps have met it.
constexpr Clock::Duration kInterval = std::chrono::milliseconds(50);
// For fewer calls than these the sweeps would cost more than they save.
constexpr Clock::Duration kLongestGap = std::chrono::milliseconds(20);

struct alignas(kCacheLineBytes) Place {
  std::atomic<HeldBatch*> batch{nullptr};
  std::atomic<std::uint32_t> entered{0};
  // When the last one came.
  std::atomic<std::int64_t> came_ns{0};
  // The last sweep's.
  std::atomic<std::uint32_t> seen{0};
};

// Of all servers, and for good: a handler whose batch was taken may be the last
// to look here when its server is gone. Another server's sweep may start a
// batch a little early, which does no harm.
constinit std::array<Place, 64> places;

Place& PlaceOfThread() { return places[ThreadSlot() % places.size()]; }

}  // namespace

[[gnu::hot]] bool LongHandlers::Enter(HeldBatch& batch) {
  Place& place = PlaceOfThread();
  const std::int64_t now_ns = clock_.Coarse().time_since_epoch().count();
  const std::int64_t last_ns =
      place.came_ns.exchange(now_ns, std::memory_order_relaxed);
  if (now_ns - last_ns > kLongestGap.count()) return false;
  HeldBatch* none = nullptr;
  if (!place.batch.compare_exchange_strong(none, &batch)) return false;
  place.entered.fetch_add(1, std::memory_order_relaxed);
  sweep_.Ask(kInterval);
  return true;
}

[[gnu::hot]] bool LongHandlers::Leave(HeldBatch& batch) {
  HeldBatch* mine = &batch;
  if (PlaceOfThread().batch.compare_exchange_strong(mine, nullptr)) return true;
  // A sweep has it, and reads it for a moment yet.
  while (!batch.taken.load(std::memory_order_acquire)) {
    std::this_thread::yield();
  }
  return false;
}

OnDemandSweep::Next LongHandlers::Sweep() {
  OnDemandSweep::Next next;
  std::vector<
      std::pair<grpc::internal::CallOpSetInterface*, grpc::internal::Call>>
      taken;
  for (Place& place : places) {
    const std::uint32_t entered = place.entered.load(std::memory_order_relaxed);
    if (entered != place.seen.exchange(entered, std::memory_order_relaxed)) {
      next = kInterval;
      continue;
    }
    HeldBatch* batch = place.batch.load();
    if (batch == nullptr) continue;
    // Another handler may have come to the same place of the stack since: its
    // batch is started early, which does no harm.
    if (!place.batch.compare_exchange_strong(batch, nullptr)) continue;
    grpc_call_ref(batch->call.call());
    taken.emplace_back(&batch->ops, batch->call);
    batch->taken.store(true, std::memory_order_release);
  }
  for (auto& [ops, call] : taken) {
    ops->FillOps(&call);
    grpc_call_unref(call.call());
  }
  return next;
}

}  // namespace grpccommon::internal
