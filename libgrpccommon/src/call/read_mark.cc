// SPDX-License-Identifier: Apache-2.0
#include "call/read_mark.h"

#include <cstdint>
#include <random>
#include <utility>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "google/protobuf/unknown_field_set.h"

namespace grpccommon::internal {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::UnknownFieldSet;

// A client that knew it could pass bytes that do not parse for an end.
std::uint64_t Secret() {
  static const std::uint64_t secret = [] {
    std::random_device device;
    return std::uint64_t{device()} << 32 | device();
  }();
  return secret;
}

UnknownFieldSet& UnknownFields(Message& message) {
  return *message.GetReflection()->MutableUnknownFields(&message);
}

}  // namespace

void ReadMark::Put(Message& message) {
  message_ = &message;
  UnknownFields(message).AddVarint(FieldDescriptor::kMaxNumber, Secret());
}

bool ReadMark::Take() {
  if (message_ == nullptr) return true;
  UnknownFieldSet& fields = UnknownFields(*std::exchange(message_, nullptr));
  const int last = fields.field_count() - 1;
  if (last < 0 || fields.field(last).number() != FieldDescriptor::kMaxNumber ||
      fields.field(last).type() !=
          google::protobuf::UnknownField::TYPE_VARINT ||
      fields.field(last).varint() != Secret()) {
    return false;
  }
  fields.DeleteSubrange(last, 1);
  return true;
}

}  // namespace grpccommon::internal
