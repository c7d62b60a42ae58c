// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "grpccommon/base/export.h"

namespace google::protobuf {
class ServiceDescriptor;
}

namespace grpccommon {

/// What the contracts of services say, in the form that gRPC has for it (a
/// service config, JSON): for each method its timeout and, if it is idempotent,
/// retries by gRFC A6; those of its contract, or three attempts on UNAVAILABLE.
/// gRPC makes at most five attempts, spreads no more than a fifth of the
/// backoff, and knows no timeout for an attempt. All channels to a server stop
/// retrying while more than about one call in ten fails.
///
/// A timeout is two seconds longer here than in the contract, since gRPC may
/// count it from two seconds before the call: it bounds what nobody else does.
/// Whoever wants to know sooner sets a deadline; the server keeps to the
/// contract's.
///
/// For channels of stock stubs; Client has its own and better retries.
/// Errors: kInvalidArgument for a contract out of range, as CompilePolicy.
GRPCCOMMON_EXPORT absl::StatusOr<std::string> ServiceConfigFor(
    std::span<const google::protobuf::ServiceDescriptor* const> services);

}  // namespace grpccommon
