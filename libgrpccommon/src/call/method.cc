// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/call/method.h"

namespace grpccommon {

[[gnu::hot]] std::string_view CallKindName(CallKind kind) {
  switch (kind) {
    case CallKind::kUnary:
      return "unary";
    case CallKind::kClientStream:
      return "client_stream";
    case CallKind::kServerStream:
      return "server_stream";
    case CallKind::kBidiStream:
      return "bidi_stream";
  }
  return "unknown";
}

}  // namespace grpccommon
