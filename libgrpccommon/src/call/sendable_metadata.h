// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace grpccommon::internal {

/// Whether HTTP/2 can carry it: keys are lower-case letters, digits and -_.,
/// values printable ASCII unless the key ends in "-bin" behind something else.
/// gRPC ends the process over what it cannot.
bool IsSendable(std::string_view key, std::string_view value);

}  // namespace grpccommon::internal
