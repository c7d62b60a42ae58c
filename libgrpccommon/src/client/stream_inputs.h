// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <utility>

#include "google/protobuf/message_lite.h"
#include "grpccommon/client/call_options.h"

namespace grpccommon::internal {

class ServiceClient;

/// What a stream's call refers to and has to outlive it.
struct StreamInputs {
  std::shared_ptr<ServiceClient> client;
  CallOptions options;
  /// Of a server stream; else null.
  std::unique_ptr<const google::protobuf::MessageLite> request;
  /// Of a client stream, and the caller's; else null.
  google::protobuf::MessageLite* response = nullptr;
};

/// Keeps them for longer than what it is a base of beside them.
struct KeptInputs {
  explicit KeptInputs(StreamInputs inputs) : inputs_(std::move(inputs)) {}
  const StreamInputs inputs_;
};

}  // namespace grpccommon::internal
