// SPDX-License-Identifier: Apache-2.0
#include "server/long_handlers.h"

#include <chrono>
#include <utility>
#include <vector>

#include "grpc/grpc.h"

namespace grpccommon::internal {
namespace {

// A handler is long when two sweeps have met it.
constexpr Clock::Duration kInterval = std::chrono::milliseconds(50);
// For fewer calls than these the sweeps would cost more than they save.
constexpr Clock::Duration kLongestGap = std::chrono::milliseconds(20);

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
  // The sweep has it, and is done with `batch` itself when it lets go.
  const MutexLock lock(taking_);
  return false;
}

OnDemandSweep::Next LongHandlers::Sweep() {
  OnDemandSweep::Next next;
  std::vector<HeldBatch> taken;
  {
    const MutexLock lock(taking_);
    for (Place& place : places_) {
      const std::uint32_t entered =
          place.entered.load(std::memory_order_relaxed);
      if (entered != std::exchange(place.seen, entered)) {
        next = kInterval;
        continue;
      }
      HeldBatch* batch = place.batch.load();
      if (batch == nullptr) continue;
      // Another handler may have come to the same place of the stack since:
      // its batch is started early, which does no harm.
      if (!place.batch.compare_exchange_strong(batch, nullptr)) continue;
      grpc_call_ref(batch->call.call());
      taken.push_back(*batch);
    }
  }
  for (HeldBatch& batch : taken) {
    grpc_call* const call = batch.call.call();
    batch.Start();
    grpc_call_unref(call);
  }
  return next;
}

}  // namespace grpccommon::internal
