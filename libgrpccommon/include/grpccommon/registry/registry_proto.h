// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

#include "google/protobuf/duration.pb.h"
#include "grpccommon/base/export.h"
#include "grpccommon/registry/registry.h"
#include "grpccommon/registry/v1/registry_service.pb.h"

namespace grpccommon {

/// Between the messages of grpccommon.registry.v1 and the library's types.
/// Checks nothing: CheckInstance does.
GRPCCOMMON_EXPORT registry::v1::Instance ToProto(const Instance& instance);
GRPCCOMMON_EXPORT Instance FromProto(const registry::v1::Instance& instance);

/// A duration beyond what nanoseconds can count becomes the longest that they
/// can.
GRPCCOMMON_EXPORT google::protobuf::Duration ToProto(
    std::chrono::nanoseconds duration);
GRPCCOMMON_EXPORT std::chrono::nanoseconds FromProto(
    const google::protobuf::Duration& duration);

}  // namespace grpccommon
