// SPDX-License-Identifier: Apache-2.0
#include "client/outgoing_metadata.h"

#include <grpc/grpc.h>
#include <grpc/slice.h>

#include "absl/strings/str_cat.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/call/metadata_keys.h"
#include "registry/address.h"

namespace grpccommon::internal {
namespace {

// Refers to the text.
grpc_slice SliceOf(std::string_view text) {
  return grpc_slice_from_static_buffer(text.data(), text.size());
}

bool CanBeSent(std::string_view key, std::string_view value) {
  // HTTP/2 keys are lower case; gRPC would not say so.
  return !key.empty() && grpc_header_key_is_legal(SliceOf(key)) != 0 &&
         (key.ends_with("-bin") ||
          grpc_header_nonbin_value_is_legal(SliceOf(value)) != 0);
}

}  // namespace

absl::Status CheckMetadata(const MetadataList& metadata) {
  for (const auto& [key, value] : metadata) {
    if (CanBeSent(key, value)) continue;
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
