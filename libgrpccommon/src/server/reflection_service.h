// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "grpcpp/impl/service_type.h"

namespace grpccommon::internal {

/// grpc.reflection.v1 and v1alpha over the protos linked into the process, for
/// releases of gRPC that know v1alpha only, and keep a thread for each of its
/// streams (GRPCCOMMON_OWN_REFLECTION). `services` are the full names to list.
/// A stream keeps nothing but itself between two questions.
std::unique_ptr<grpc::Service> CreateReflectionService(
    std::vector<std::string> services);

}  // namespace grpccommon::internal
