// SPDX-License-Identifier: Apache-2.0
#include "client/outgoing_metadata.h"

#include "absl/strings/str_cat.h"
#include "call/sendable_metadata.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/call/metadata_keys.h"
#include "registry/address.h"

namespace grpccommon::internal {

absl::Status CheckMetadata(const MetadataList& metadata) {
  for (const auto& [key, value] : metadata) {
    if (IsSendable(key, value)) continue;
    // Not the value: it may be a secret.
    return absl::InternalError(absl::StrCat(
        "metadata ", Quoted(key), " cannot be sent: keys are lower-case ",
        "letters, digits and -_., values printable ASCII"));
  }
  return absl::OkStatus();
}

void MergeMetadata(const MetadataList& metadata,
                   std::multimap<std::string, std::string>& context) {
  for (const auto& [key, value] : metadata) {
    if (key == metadata::kAuthorization || key == metadata::kApiKey) {
      if (context.find(key) != context.end()) continue;
    } else if (key == metadata::kTraceParent || key == metadata::kTraceState ||
               key == metadata::kRequestId) {
      context.erase(key);
    }
    context.emplace(key, value);
  }
}

}  // namespace grpccommon::internal
