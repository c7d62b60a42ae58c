// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "google/protobuf/message.h"
#include "testing/field_values.h"

namespace grpccommon::testing::internal {

/// Where one value is: a field, or an element of a repeated one.
struct Place {
  google::protobuf::Message* message;
  const google::protobuf::FieldDescriptor* field;
  int index = -1;
};

/// Sets the value there, of the field's type.
void Set(const Place& place, const Value& value);

/// Adds an element, empty but for the key of a map's entry, which `index`
/// gives.
void Append(google::protobuf::Message& message,
            const google::protobuf::FieldDescriptor& field, int index);

/// The first element's place in a path: "[0]", or "["k0"]" for a map, whose
/// keys are not told where they are secret.
std::string IndexText(const Field& field, bool secret);

/// Where the value of `field` is, or of its element at `index`: within a map's
/// entry and a wrapper, which is made.
Place PlaceOf(google::protobuf::Message& parent, const Field& field, int index);

/// The message there, which is made.
google::protobuf::Message& MessageAt(const Place& place);

}  // namespace grpccommon::testing::internal
