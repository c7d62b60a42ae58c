// SPDX-License-Identifier: Apache-2.0
#include "call/sendable_metadata.h"

#include "grpc/grpc.h"
#include "grpc/slice.h"

namespace grpccommon::internal {
namespace {

// Refers to the text.
[[gnu::hot]] grpc_slice SliceOf(std::string_view text) {
  return grpc_slice_from_static_buffer(text.data(), text.size());
}

}  // namespace

[[gnu::hot]] bool IsSendable(std::string_view key, std::string_view value) {
  return !key.empty() && grpc_header_key_is_legal(SliceOf(key)) != 0 &&
         (grpc_is_binary_header(SliceOf(key)) != 0 ||
          grpc_header_nonbin_value_is_legal(SliceOf(value)) != 0);
}

}  // namespace grpccommon::internal
