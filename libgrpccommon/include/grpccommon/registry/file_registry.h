// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "grpccommon/base/export.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/log/logger.h"
#include "grpccommon/registry/registry.h"

namespace grpccommon {

struct FileRegistryOptions {
  /// How often the file is looked at, in [10 ms, 1 h].
  Clock::Duration check_interval = std::chrono::seconds(1);
};

/// A registry that an operator, or a program of his, writes as a JSON file of
/// at most 16 MiB and 1000 services:
///
///   {"services": {
///     "examples.greeter.v1.GreeterService": [
///       {"address": "10.0.0.1:50051"},
///       {"address": "[2001:db8::2]:50051", "weight": 2, "zone": "eu-1a",
///        "version": "1.4", "metadata": {"canary": "no"}, "healthy": false}]}}
///
/// Only the address is required; what the members mean, their limits and
/// defaults are those of Instance. Unknown members, members that appear twice
/// and malformed values are refused, and with them the whole file.
///
/// The file is read when it has changed (FileWatcher says how that is seen).
/// When it is broken or has gone, all watches keep their last instances with a
/// status that says why, and the log tells it once. Replace it by renaming, or
/// a half-written one may be read, which does the same for a moment.
///
/// Nobody can register with it: kUnimplemented. `scheduler`, on which the file
/// is read and the watchers are called, is borrowed and must outlive it.
/// Errors: kInvalidArgument for an option or a malformed file, naming the
/// place; those of ReadFile.
GRPCCOMMON_EXPORT absl::StatusOr<std::unique_ptr<Registry>> CreateFileRegistry(
    std::string path, Scheduler& scheduler,
    const FileRegistryOptions& options = {}, const Logger& logger = {});

}  // namespace grpccommon
