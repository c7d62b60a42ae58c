// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "grpccommon/call/server_call.h"
#include "grpcpp/client_context.h"

namespace grpccommon::internal {

/// What a ClientContext's call is made for. The context carries a pointer to it
/// where OpenCensus would have its own, which no program uses with this
/// library, so that a call's parent is found without a lookup.
struct CallLink {
  // Tells a pointer to us from another library's; must come first.
  const void* tag = Tag();
  const ServerCall* parent = nullptr;
  bool forward_credentials = false;

  void Attach(grpc::ClientContext& context) {
    context.set_census_context(reinterpret_cast<census_context*>(this));
  }
  /// Null if the context has none.
  static const CallLink* Of(const grpc::ClientContext& context) {
    const auto* const link =
        reinterpret_cast<const CallLink*>(context.census_context());
    return link != nullptr && link->tag == Tag() ? link : nullptr;
  }

 private:
  static const void* Tag();
};

}  // namespace grpccommon::internal
