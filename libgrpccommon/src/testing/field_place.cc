// SPDX-License-Identifier: Apache-2.0
#include "testing/field_place.h"

#include <cstdint>

#include "absl/strings/str_cat.h"

namespace grpccommon::testing::internal {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

void Set(const Place& place, const Value& value) {
  Message& message = *place.message;
  const Reflection& reflection = *message.GetReflection();
  const FieldDescriptor* const field = place.field;
  const int i = place.index;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: {
      const auto number = static_cast<std::int32_t>(std::get<1>(value));
      i < 0 ? reflection.SetInt32(&message, field, number)
            : reflection.SetRepeatedInt32(&message, field, i, number);
      break;
    }
    case FieldDescriptor::CPPTYPE_INT64: {
      const std::int64_t number = std::get<1>(value);
      i < 0 ? reflection.SetInt64(&message, field, number)
            : reflection.SetRepeatedInt64(&message, field, i, number);
      break;
    }
    case FieldDescriptor::CPPTYPE_UINT32: {
      const auto number = static_cast<std::uint32_t>(std::get<2>(value));
      i < 0 ? reflection.SetUInt32(&message, field, number)
            : reflection.SetRepeatedUInt32(&message, field, i, number);
      break;
    }
    case FieldDescriptor::CPPTYPE_UINT64: {
      const std::uint64_t number = std::get<2>(value);
      i < 0 ? reflection.SetUInt64(&message, field, number)
            : reflection.SetRepeatedUInt64(&message, field, i, number);
      break;
    }
    case FieldDescriptor::CPPTYPE_FLOAT: {
      const auto number = static_cast<float>(std::get<double>(value));
      i < 0 ? reflection.SetFloat(&message, field, number)
            : reflection.SetRepeatedFloat(&message, field, i, number);
      break;
    }
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      const double number = std::get<double>(value);
      i < 0 ? reflection.SetDouble(&message, field, number)
            : reflection.SetRepeatedDouble(&message, field, i, number);
      break;
    }
    case FieldDescriptor::CPPTYPE_BOOL: {
      const bool truth = std::get<bool>(value);
      i < 0 ? reflection.SetBool(&message, field, truth)
            : reflection.SetRepeatedBool(&message, field, i, truth);
      break;
    }
    case FieldDescriptor::CPPTYPE_ENUM: {
      const auto number = static_cast<int>(std::get<1>(value));
      i < 0 ? reflection.SetEnumValue(&message, field, number)
            : reflection.SetRepeatedEnumValue(&message, field, i, number);
      break;
    }
    case FieldDescriptor::CPPTYPE_STRING: {
      const std::string& text = std::get<std::string>(value);
      i < 0 ? reflection.SetString(&message, field, text)
            : reflection.SetRepeatedString(&message, field, i, text);
      break;
    }
    case FieldDescriptor::CPPTYPE_MESSAGE: {
      const DurationValue& duration = std::get<DurationValue>(value);
      Message& parts =
          i < 0 ? *reflection.MutableMessage(&message, field)
                : *reflection.MutableRepeatedMessage(&message, field, i);
      const google::protobuf::Descriptor& type = *parts.GetDescriptor();
      parts.GetReflection()->SetInt64(&parts, type.FindFieldByNumber(1),
                                      duration.seconds);
      parts.GetReflection()->SetInt32(&parts, type.FindFieldByNumber(2),
                                      duration.nanos);
      break;
    }
  }
}

void Append(Message& message, const FieldDescriptor& field, int index) {
  const Reflection& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection.AddInt32(&message, &field, 0);
    case FieldDescriptor::CPPTYPE_INT64:
      return reflection.AddInt64(&message, &field, 0);
    case FieldDescriptor::CPPTYPE_UINT32:
      return reflection.AddUInt32(&message, &field, 0);
    case FieldDescriptor::CPPTYPE_UINT64:
      return reflection.AddUInt64(&message, &field, 0);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return reflection.AddFloat(&message, &field, 0);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return reflection.AddDouble(&message, &field, 0);
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection.AddBool(&message, &field, false);
    case FieldDescriptor::CPPTYPE_ENUM:
      return reflection.AddEnumValue(&message, &field, 0);
    case FieldDescriptor::CPPTYPE_STRING:
      return reflection.AddString(&message, &field, std::string());
    case FieldDescriptor::CPPTYPE_MESSAGE:
      break;
  }
  Message* const element = reflection.AddMessage(&message, &field);
  if (!field.is_map()) return;
  const FieldDescriptor* const key = field.message_type()->map_key();
  Value value;
  switch (key->cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      value = absl::StrCat("k", index);
      break;
    case FieldDescriptor::CPPTYPE_BOOL:
      value = index % 2 == 1;
      break;
    case FieldDescriptor::CPPTYPE_UINT32:
    case FieldDescriptor::CPPTYPE_UINT64:
      value = static_cast<std::uint64_t>(index);
      break;
    default:
      value = std::int64_t{index};
  }
  Set({.message = element, .field = key}, value);
}

std::string IndexText(const Field& field, bool secret) {
  if (!field.descriptor->is_map()) return "[0]";
  if (secret) return "[?]";
  switch (field.descriptor->message_type()->map_key()->cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return "[\"k0\"]";
    case FieldDescriptor::CPPTYPE_BOOL:
      return "[false]";
    default:
      return "[0]";
  }
}

Place PlaceOf(Message& parent, const Field& field, int index) {
  Place place = {.message = &parent,
                 .field = field.descriptor,
                 .index = field.repeated() ? index : -1};
  if (field.descriptor->is_map()) {
    place = {.message = parent.GetReflection()->MutableRepeatedMessage(
                 &parent, field.descriptor, index),
             .field = field.descriptor->message_type()->map_value()};
  }
  if (field.wrapper) {
    const Reflection& reflection = *place.message->GetReflection();
    place = {
        .message = place.index < 0
                       ? reflection.MutableMessage(place.message, place.field)
                       : reflection.MutableRepeatedMessage(
                             place.message, place.field, place.index),
        .field = field.value};
  }
  return place;
}

Message& MessageAt(const Place& place) {
  const Reflection& reflection = *place.message->GetReflection();
  return place.index < 0
             ? *reflection.MutableMessage(place.message, place.field)
             : *reflection.MutableRepeatedMessage(place.message, place.field,
                                                  place.index);
}
}  // namespace grpccommon::testing::internal
