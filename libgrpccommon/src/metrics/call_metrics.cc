// SPDX-License-Identifier: Apache-2.0
#include "metrics/call_metrics.h"

namespace grpccommon::internal {

void RefusalCounters::Count(CounterFamily& refused, Stage stage,
                            std::string_view interceptor) {
  Entry* const newest = newest_.load(std::memory_order_acquire);
  for (const Entry* entry = newest; entry != nullptr;
       entry = entry->next.get()) {
    if (entry->stage == stage && entry->interceptor == interceptor) {
      return entry->calls->Increment();
    }
  }
  Counter& calls = refused.With({StageName(stage), interceptor});
  calls.Increment();
  auto entry = std::make_unique<Entry>(
      Entry{stage, std::string(interceptor), &calls, nullptr});
  Entry* expected = newest;
  entry->next.reset(newest);
  if (newest_.compare_exchange_strong(expected, entry.get(),
                                      std::memory_order_acq_rel)) {
    entry.release();
  } else {
    // Another thread was first; the next refusal tries again.
    entry->next.release();
  }
}

}  // namespace grpccommon::internal
