// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/export.h"
#include "grpccommon/call/server_interceptor.h"
#include "grpccommon/validate/validator.h"

namespace grpccommon {

/// Refuses requests that break the rules of their contract, and those larger
/// than its `max_request_bytes`, both with INVALID_ARGUMENT: the handler sees
/// valid messages only. On a client stream each message is checked as it
/// arrives, and the first invalid one ends the call, unless the contract says
/// `handler_checks_messages`: then only its size is.
///
/// Methods without rules and without a size are left alone. Raw and generic
/// methods have no message to check; of these only the size is.
class GRPCCOMMON_EXPORT ValidateInterceptor : public ServerInterceptor {
 public:
  ValidateInterceptor();
  ~ValidateInterceptor() override;

  std::string_view name() const override { return "validate"; }
  Stage stage() const override { return Stage::kCheck; }

  /// Errors: those of Validator::Create.
  absl::StatusOr<Hooks> Register(const Method& method) override;
  absl::Status OnStart(ServerCall& call) override;
  absl::Status OnReceived(ServerCall& call,
                          const google::protobuf::Message* message) override;

 private:
  struct PerMethod {
    const Validator* validator = nullptr;  // null if there are no rules
    std::optional<std::uint64_t> max_bytes;
  };

  // Methods often share a request type, and its rules are compiled once.
  std::unordered_map<const google::protobuf::Descriptor*,
                     std::unique_ptr<Validator>>
      validators_;
  std::vector<PerMethod> methods_;
};

}  // namespace grpccommon
