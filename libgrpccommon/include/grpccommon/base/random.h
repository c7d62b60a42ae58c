// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>

#include "grpccommon/base/export.h"

namespace grpccommon {

/// Where the library gets chance: uniform in [0, 1).
using Random = std::function<double()>;

/// A fast generator for each thread (xoshiro256**, seeded by the operating
/// system; anew in the child of a `fork`, which would repeat its parent
/// otherwise). Thread-safe; not for secrets, those come from OpenSSL.
GRPCCOMMON_EXPORT double UniformRandom();

/// 64 random bits from the same generator.
GRPCCOMMON_EXPORT std::uint64_t RandomBits();

}  // namespace grpccommon
