// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "grpccommon/base/export.h"
#include "grpccommon/call/contract.h"
#include "grpccommon/call/method.h"
#include "grpcpp/support/status_code_enum.h"

namespace google::protobuf {
class ServiceDescriptor;
}

namespace grpccommon::testing {

/// One thing that a method's contract promises: a call, and how it must end.
struct ContractCase {
  enum class Kind {
    /// Breaks nothing, so that it must get through the chain. What the other
    /// cases send differs from it in one place.
    kValid,
    kAnonymous,
    kWrongRole,
    kTooMany,
    kTooLarge,
    kField,
  };
  Kind kind = Kind::kValid;
  /// Path, kind of call and contract; of no server, so `index` says nothing.
  Method method;
  /// "anonymous", "problem.tags[0]: too long"
  std::string name;

  /// The message that is sent, serialised; the only one, of a stream.
  std::string request;
  /// Who calls: nobody, or somebody who is verified and has these.
  bool anonymous = false;
  std::vector<std::string> roles;
  std::vector<std::string> scopes;
  /// Of kTooMany: so many calls are not too many, the next one is.
  std::int64_t burst = 0;

  /// How the call must end; OK for kValid.
  grpc::StatusCode code = grpc::StatusCode::OK;
  /// In google.rpc.ErrorInfo; empty: gRPC refuses the call itself.
  std::string reason;
  /// Of kField: the one field that google.rpc.BadRequest must name.
  std::string field;
  /// What the message must contain, such as the roles that would do.
  std::vector<std::string> mentions;
};

struct ContractCases {
  std::vector<ContractCase> cases;
  /// Rules that no message can break, or none that would get that far, with the
  /// reason: "/pkg.Service/Method name: too long (…)".
  std::vector<std::string> left_out;
};

struct ContractCaseOptions {
  /// Of methods whose contract does not say, as the server's own option.
  AccessRule default_access = {.kind = AccessRule::Kind::kAuthenticated};
  /// What gRPC lets through, as the server's own option.
  std::size_t max_receive_message_bytes = 4 << 20;
  /// Values for string fields whose pattern is beyond what can be derived, by
  /// the field's full name.
  std::map<std::string, std::string> examples;
};

/// Derives, from the contract of each method of `service` (options.proto),
/// every refusal that it promises:
/// - anonymous callers where access is not public, and callers without one of
///   the roles or scopes;
/// - one call more than the rate limit's burst;
/// - a message larger than `max_request_bytes`;
/// - for each rule of each field, nested, repeated and map fields included, a
///   message that breaks this rule and no other. Types that contain themselves
///   are followed once. Not for client streams with `handler_checks_messages`.
/// And for each role and scope the call that must be admitted.
///
/// Knows the rules by itself and shares no code with what enforces them.
/// Errors: kInvalidArgument for a contract that makes no sense; kUnimplemented,
/// naming the field, if no valid message can be derived.
GRPCCOMMON_EXPORT absl::StatusOr<ContractCases> DeriveContractCases(
    const google::protobuf::ServiceDescriptor& service,
    const ContractCaseOptions& options = {});

}  // namespace grpccommon::testing
