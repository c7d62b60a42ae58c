// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string_view>

#include "grpc/slice.h"
#include "grpccommon/base/string_view.h"
#include "grpcpp/server_context.h"

namespace grpccommon::internal {

/// What the client of `context` sent, as gRPC core handed it over.
/// `ServerContextBase::client_metadata()` gives the same as a multimap, which
/// it first has to build, a node for each entry.
const grpc_metadata_array& ClientMetadataOf(grpc::ServerContextBase& context);

/// Calls `visit(key, value)` for each entry, in the order in which they came,
/// until it returns false. Nothing is copied: the views live as long as the
/// call.
template <typename Visit>
[[gnu::hot]] void VisitClientMetadata(grpc::ServerContextBase& context,
                                      Visit visit) {
  // In unit tests there is no gRPC call, and the multimap is all there is.
  if (context.c_call() == nullptr) {
    for (const auto& [key, value] : context.client_metadata()) {
      if (!visit(ToStd(key), ToStd(value))) return;
    }
    return;
  }
  const auto view = [](const grpc_slice& slice) {
    return std::string_view(
        reinterpret_cast<const char*>(GRPC_SLICE_START_PTR(slice)),
        GRPC_SLICE_LENGTH(slice));
  };
  const grpc_metadata_array& all = ClientMetadataOf(context);
  for (std::size_t i = 0; i < all.count; ++i) {
    if (!visit(view(all.metadata[i].key), view(all.metadata[i].value))) return;
  }
}

}  // namespace grpccommon::internal
