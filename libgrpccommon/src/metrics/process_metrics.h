// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "prometheus/metric_family.h"

namespace grpccommon::internal {

/// Fields of /proc/<pid>/stat (proc(5)).
struct ProcessStat {
  std::uint64_t cpu_ticks = 0;  // user and system
  std::int64_t threads = 0;
  std::uint64_t start_ticks = 0;  // after boot
  std::uint64_t virtual_bytes = 0;
  std::int64_t resident_pages = 0;
};

/// The program's name, which the second field holds in parentheses, may itself
/// contain spaces and parentheses.
std::optional<ProcessStat> ParseProcessStat(std::string_view text);

/// Seconds since the epoch at which the machine booted, from /proc/stat.
std::optional<double> ParseBootTime(std::string_view text);

/// Adds the `process_…` metrics of this process, as they are now, under the
/// names of Prometheus' client libraries; what cannot be read is left out.
void CollectProcessMetrics(std::vector<prometheus::MetricFamily>& out);

}  // namespace grpccommon::internal
