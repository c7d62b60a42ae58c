// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "grpccommon/base/mutex.h"
#include "grpccommon/metrics/metric.h"

namespace grpccommon::internal {

/// Hands out cells of metrics, all zero, and frees them together.
///
/// Metrics made one after another, such as those of one method, lie one after
/// another in each shard, so a call touches few cache lines.
class CellArena {
 public:
  /// `count` cells in a row, in every shard; the first one of shard 0.
  /// Requires count <= kMetricShardCells.
  MetricCell* Take(std::size_t count);

 private:
  struct alignas(kCacheLineBytes) Block {
    MetricCell cells[kMetricShards * kMetricShardStride] = {};
  };

  Mutex mutex_;
  std::vector<std::unique_ptr<Block>> blocks_ ABSL_GUARDED_BY(mutex_);
  std::size_t used_ ABSL_GUARDED_BY(mutex_) = kMetricShardCells;
};

}  // namespace grpccommon::internal
