// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpccommon/base/export.h"

namespace google::protobuf {
class Descriptor;
class FieldMask;
class Message;
}  // namespace google::protobuf

namespace grpccommon {

/// Which fields of a message an update may change, and the change itself, by a
/// google.protobuf.FieldMask of the client's:
///
///   auto fields = UpdatableFields::Create(*Book::descriptor(),
///                                         {"title", "price.amount"});
///   absl::Status status =
///       fields->Apply(request.update_mask(), request.book(), book);
///
/// A path of the mask may be one of these or lie in one ("price.amount.units");
/// "*" stands for all of them. Immutable, hence thread-safe.
/// Source: AIP-134 (standard method Update), google/protobuf/field_mask.proto.
class GRPCCOMMON_EXPORT UpdatableFields {
 public:
  /// Paths with more parts are refused.
  static constexpr std::size_t kMaxPathParts = 32;
  /// At most so many wrong paths are named.
  static constexpr std::size_t kMaxViolations = 20;

  /// `type` must outlive the object. Errors: kInvalidArgument, naming a path
  /// that is not a field of `type`.
  static absl::StatusOr<UpdatableFields> Create(
      const google::protobuf::Descriptor& type, std::vector<std::string> paths);

  /// OK, or INVALID_ARGUMENT with a `google.rpc.BadRequest` violation for each
  /// path that may not be changed: "update_mask.paths[1]", where `mask_field`
  /// is the mask's place in the request. A mask without a path is a violation
  /// too, lest forgetting it changed nothing, or everything.
  absl::Status Check(const google::protobuf::FieldMask& mask,
                     std::string_view mask_field = "update_mask") const;

  /// Gives the fields that `mask` names the values that they have in `source`:
  /// one that is not set there is cleared, lists and messages are replaced as a
  /// whole. The rest of `target` stays, and all of it after an error.
  /// Errors: those of Check; kInternal if a message is of another type.
  absl::Status Apply(const google::protobuf::FieldMask& mask,
                     const google::protobuf::Message& source,
                     google::protobuf::Message& target,
                     std::string_view mask_field = "update_mask") const;

 private:
  UpdatableFields(const google::protobuf::Descriptor& type,
                  std::vector<std::string> paths, std::string rule);

  bool Contains(std::string_view path) const;

  const google::protobuf::Descriptor* type_;
  std::vector<std::string> paths_;
  std::string rule_;
};

}  // namespace grpccommon
