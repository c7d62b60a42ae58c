// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace google::protobuf {
class Descriptor;
}

namespace grpccommon::internal {

/// The refusal of a request that is not a message, reason MALFORMED_REQUEST.
absl::Status MalformedRequest(std::string_view why);

/// Says why `bytes` are not a message of type `descriptor`: which string field
/// is not UTF-8, or after which field the bytes make no sense any more. Never
/// repeats a value. Source: protobuf's wire format.
std::string ExplainMalformed(const google::protobuf::Descriptor& descriptor,
                             std::string_view bytes);

}  // namespace grpccommon::internal
