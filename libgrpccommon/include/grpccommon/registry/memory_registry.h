// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "grpccommon/base/export.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/log/logger.h"
#include "grpccommon/registry/lease_store.h"
#include "grpccommon/registry/registry.h"

namespace grpccommon {

/// A registry within the process: for tests, for programs that are client and
/// server in one, and for what a program knows of others by its configuration.
///
/// Registrations hold until they are destroyed: their `ttl` is checked and
/// otherwise ignored, since their process cannot end without them.
///
/// `scheduler`, which calls the watchers, is borrowed and must outlive it.
GRPCCOMMON_EXPORT std::unique_ptr<Registry> CreateMemoryRegistry(
    Scheduler& scheduler, const Logger& logger = {});

/// The same over a store that others use too: the process that serves the
/// registry finds and announces itself through this. If somebody else registers
/// the same address in the store, the registration is lost: WaitRegistered says
/// kNotFound, and Update takes the place back.
///
/// `store` is borrowed and must outlive it.
GRPCCOMMON_EXPORT std::unique_ptr<Registry> CreateMemoryRegistry(
    LeaseStore& store);

}  // namespace grpccommon
