// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/base/thread_slot.h"

namespace grpccommon::internal {

std::atomic<std::size_t> next_thread_slot{0};

}  // namespace grpccommon::internal
