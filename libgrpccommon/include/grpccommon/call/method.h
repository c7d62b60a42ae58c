// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "grpccommon/base/export.h"
#include "grpccommon/call/contract.h"

namespace google::protobuf {
class MethodDescriptor;
}

namespace grpccommon {

enum class CallKind { kUnary, kClientStream, kServerStream, kBidiStream };

/// "unary", "client_stream", "server_stream" or "bidi_stream".
GRPCCOMMON_EXPORT std::string_view CallKindName(CallKind kind);

/// One method of a registered service. Made once, at registration; lives as
/// long as its server.
struct Method {
  /// "/pkg.Service/Method", as gRPC sends it.
  std::string path;
  /// "pkg.Service"
  std::string service;
  /// "Method"
  std::string name;
  CallKind kind = CallKind::kUnary;
  /// 0, 1, 2 … within the server: interceptors keep what they need for a method
  /// in a vector at this index, so that no call looks anything up.
  std::size_t index = 0;
  MethodPolicy policy;
  /// Null for the methods of a generic service, whose types nobody knows.
  const google::protobuf::MethodDescriptor* descriptor = nullptr;

  bool client_streams() const {
    return kind == CallKind::kClientStream || kind == CallKind::kBidiStream;
  }
  bool server_streams() const {
    return kind == CallKind::kServerStream || kind == CallKind::kBidiStream;
  }
};

}  // namespace grpccommon
