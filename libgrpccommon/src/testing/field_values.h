// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/protobuf/descriptor.h"
#include "grpccommon/v1/options.pb.h"

namespace grpccommon::testing::internal {

/// Seconds and nanoseconds.
struct DurationValue {
  std::int64_t seconds = 0;
  std::int32_t nanos = 0;
};

using Value = std::variant<std::string, std::int64_t, std::uint64_t, double,
                           bool, DurationValue>;

/// A value that breaks one rule.
struct Broken {
  std::string label;
  Value value;
};

/// A field, its rules, and what they are about.
struct Field {
  explicit Field(const google::protobuf::FieldDescriptor& field);

  const google::protobuf::FieldDescriptor* descriptor;
  const v1::FieldContract* contract;
  /// What holds the value: the field, a map's value, a wrapper's.
  const google::protobuf::FieldDescriptor* value;
  bool wrapper = false;
  /// Of a message that is looked into.
  const google::protobuf::Descriptor* message = nullptr;
  /// Not set when it is empty or zero.
  bool implicit = false;

  bool repeated() const { return descriptor->is_repeated(); }
  /// How many elements it needs to be valid.
  int needed() const {
    const int minimum = static_cast<int>(contract->items().min());
    return contract->required() ? std::max(minimum, 1) : minimum;
  }
};

/// At least one value that keeps the rules of `field`, and `count` different
/// ones where there are so many; `example`, which may be null, is the first of
/// a text. Not for messages that are looked into. Errors: kUnimplemented,
/// naming the field, if none can be derived; kInvalidArgument for a pattern
/// that is none.
absl::StatusOr<std::vector<Value>> ValidValues(const Field& field,
                                               std::size_t count,
                                               const std::string* example);

/// One value for each rule of `field`'s value, which breaks it and, as far as
/// that is possible, no other. Notes in `unbreakable` which no value breaks,
/// and why. Errors: those of ValidValues.
absl::StatusOr<std::vector<Broken>> BrokenValues(
    const Field& field, const std::string* example,
    std::vector<std::string>& unbreakable);

/// kUnimplemented: "cannot derive <what> for <field>".
absl::Status Underivable(const Field& field, std::string_view what);

}  // namespace grpccommon::testing::internal
