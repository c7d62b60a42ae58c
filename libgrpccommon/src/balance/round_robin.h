// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>

#include "balance/picker.h"
#include "grpccommon/base/thread_slot.h"

namespace grpccommon::internal {

/// One endpoint after the other. All threads share the cursor, so that the
/// spread is even whoever picks; it begins at a place by chance, so that
/// neither many clients nor many updates favour the first of the list.
class RoundRobinPicker : public Picker {
 public:
  RoundRobinPicker(Endpoints endpoints, const Random& random);

  const std::shared_ptr<Endpoint>* Pick(
      const PickContext& context) const override;

 private:
  const Endpoints endpoints_;
  const SlowStartGate gate_;
  const Random& random_;
  alignas(kCacheLineBytes) mutable std::atomic<std::size_t> next_;
};

}  // namespace grpccommon::internal
