// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "grpccommon/base/export.h"

namespace google::protobuf {
class Descriptor;
class Message;
}  // namespace google::protobuf

namespace grpccommon {

namespace internal {
struct RedactionPlans;
}

/// What stands in the place of a secret.
inline constexpr char kRedacted[] = "[redacted]";

/// Renders messages of one type for a log, with the fields that their contract
/// marks `secret` replaced by "[redacted]", whatever their type: a scalar, a
/// message, a whole list or map. Holds at any depth, inside lists, map values,
/// oneofs and google.protobuf.Any.
///
/// The rendering is protobuf's JSON as far as a log needs it: fields that are
/// set, by their JSON names. What nobody can tell to be harmless is left out:
/// unknown fields, extensions, and the content of an Any whose type is not
/// linked into the program, of which the size remains. So it is with one that
/// is much larger than what may be written of it.
///
/// Immutable, thread-safe. The plan of each reachable type is made once, here.
class GRPCCOMMON_EXPORT Redactor {
 public:
  /// `type` must outlive the redactor.
  explicit Redactor(const google::protobuf::Descriptor& type);
  ~Redactor();
  Redactor(Redactor&&) noexcept;
  Redactor& operator=(Redactor&&) noexcept;

  /// Appends `message`, which is of the redactor's type, to `out` as one JSON
  /// value and returns true. If that takes more than `max_bytes`, appends the
  /// beginning of it, which is not JSON then, and returns false. Of what lies
  /// in Anys, 16 times `max_bytes` are parsed.
  bool AppendJson(const google::protobuf::Message& message,
                  std::size_t max_bytes, std::string& out) const;

  /// Whether anything reachable is marked secret (an Any may always hold more).
  bool has_secrets() const;

 private:
  std::unique_ptr<const internal::RedactionPlans> plans_;
};

}  // namespace grpccommon
