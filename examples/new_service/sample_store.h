// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "absl/status/statusor.h"

/// What the service is about; knows nothing of gRPC. Thread-safe.
class SampleStore {
 public:
  /// Returns the total under this name. Errors: kOutOfRange.
  absl::StatusOr<std::int64_t> Add(const std::string& name,
                                   std::int64_t value) {
    const std::lock_guard lock(mutex_);
    std::int64_t& total = totals_[name];
    if (__builtin_add_overflow(total, value, &value)) {
      return absl::OutOfRangeError("the total would not fit into 64 bits");
    }
    return total = value;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::int64_t> totals_;
};
