// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace google::protobuf {
class Descriptor;
}

namespace grpccommon::internal {

/// Says why `bytes` are not a message of type `descriptor`: which string field
/// is not UTF-8, or after which field the bytes make no sense any more. Never
/// repeats a value. Source: protobuf's wire format.
std::string ExplainMalformed(const google::protobuf::Descriptor& descriptor,
                             std::string_view bytes);

}  // namespace grpccommon::internal
