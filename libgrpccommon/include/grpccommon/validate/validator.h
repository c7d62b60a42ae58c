// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/export.h"

namespace google::protobuf {
class Descriptor;
class Message;
}  // namespace google::protobuf

namespace grpccommon {

/// Checks messages of one type against the rules of its contract, the
/// `(grpccommon.v1.field)` options of its fields and of those of the messages
/// inside it, at any depth.
///
/// What "set" means, and what each rule does, says
/// proto/grpccommon/v1/options.proto. Rules for strings, bytes and numbers hold
/// for the wrapper types (google.protobuf.StringValue …) as well. Extensions
/// and the content of google.protobuf.Any are not looked into.
///
/// Immutable after `Create`, hence thread-safe. Parts of a message that have no
/// rules cost nothing. A valid message is checked without allocation, except
/// for maps whose values have rules (protobuf's reflection makes a list of
/// their entries once) and for `unique` over more than `kMaxPairwise` elements.
class GRPCCOMMON_EXPORT Validator {
 public:
  /// At most so many violations are reported; the rest of the message is then
  /// not looked at.
  static constexpr std::size_t kMaxViolations = 20;
  /// Nor more bytes of them, so that the details fit into gRPC's trailers.
  static constexpr std::size_t kMaxViolationBytes = 4096;
  /// Messages nested deeper are a violation; protobuf's parser stops at 100.
  static constexpr int kMaxDepth = 128;
  /// Up to so many elements `unique` compares each with each.
  static constexpr int kMaxPairwise = 32;

  /// Compiles the rules of `type`, which must outlive the validator.
  /// Errors: kInvalidArgument, naming message, field and rule, for a contract
  /// that cannot be meant: a pattern that RE2 refuses, a minimum above its
  /// maximum, a rule for another type than the field's, a rule that can never
  /// be met or never apply.
  static absl::StatusOr<std::unique_ptr<Validator>> Create(
      const google::protobuf::Descriptor& type);

  ~Validator();
  Validator(const Validator&) = delete;
  Validator& operator=(const Validator&) = delete;

  /// OK, or INVALID_ARGUMENT with one `google.rpc.BadRequest` violation for
  /// each value that breaks a rule; paths read `items[2].price` and
  /// `labels["k"]`. Strings and bytes are never quoted, and of `secret` fields,
  /// and whatever lies in them, nothing is told but the rule. Errors: kInternal
  /// if `message` is not of the validator's type.
  absl::Status Validate(const google::protobuf::Message& message) const;

  /// False if no rule can apply, so that every message is valid.
  bool has_rules() const;

 private:
  struct Impl;
  explicit Validator(std::unique_ptr<const Impl> impl);

  const std::unique_ptr<const Impl> impl_;
};

}  // namespace grpccommon
