// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "grpccommon/call/client_call.h"

namespace grpccommon::internal {

/// gRPC ends the process over metadata that HTTP/2 cannot carry, so whatever
/// interceptors and applications add has to pass here.
/// Errors: kInternal, naming the key that, or whose value, cannot be sent.
absl::Status CheckMetadata(const MetadataList& metadata);

/// Adds to what `context` of a ClientContext will send. Of keys that must not
/// come twice, an entry replaces what is there (trace, request id), or yields
/// to it (credentials, which the caller has chosen for this call).
void MergeMetadata(const MetadataList& metadata,
                   std::multimap<std::string, std::string>& context);

}  // namespace grpccommon::internal
