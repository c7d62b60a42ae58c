// SPDX-License-Identifier: Apache-2.0
// Any contract over any message: fields of every kind get contracts made of the
// input, and what is left of it is the message.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "fuzz/fuzz.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/descriptor.pb.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/dynamic_message.h"
#include "google/protobuf/text_format.h"
#include "google/protobuf/wrappers.pb.h"
#include "google/rpc/error_details.pb.h"
#include "grpccommon/base/utf8.h"
#include "grpccommon/status/details.h"
#include "grpccommon/v1/options.pb.h"
#include "grpccommon/validate/validator.h"

namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FileDescriptorProto;

using grpccommon::fuzz::Require;

// proto2, whose strings may hold any bytes.
constexpr char kFile[] = R"(
  name: 'fuzz.proto' package: 'fuzz'
  dependency: 'google/protobuf/duration.proto'
  dependency: 'google/protobuf/wrappers.proto'
  enum_type {
    name: 'E' value { name: 'ZERO' number: 0 } value { name: 'TWO' number: 2 }
  }
  message_type {
    name: 'M'
    oneof_decl { name: 'o' }
    field { name: 'a' number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
    field { name: 'b' number: 2 type: TYPE_BYTES label: LABEL_OPTIONAL }
    field { name: 'c' number: 3 type: TYPE_INT32 label: LABEL_OPTIONAL }
    field { name: 'd' number: 4 type: TYPE_UINT64 label: LABEL_OPTIONAL }
    field { name: 'e' number: 5 type: TYPE_FLOAT label: LABEL_OPTIONAL }
    field { name: 'f' number: 6 type: TYPE_DOUBLE label: LABEL_REPEATED }
    field { name: 'g' number: 7 type: TYPE_STRING label: LABEL_REPEATED }
    field { name: 'h' number: 8 type: TYPE_ENUM label: LABEL_REPEATED
            type_name: '.fuzz.E' }
    field { name: 'i' number: 9 type: TYPE_MESSAGE label: LABEL_OPTIONAL
            type_name: '.google.protobuf.Duration' }
    field { name: 'j' number: 10 type: TYPE_MESSAGE label: LABEL_OPTIONAL
            type_name: '.google.protobuf.StringValue' }
    field { name: 'k' number: 11 type: TYPE_MESSAGE label: LABEL_REPEATED
            type_name: '.google.protobuf.Int64Value' }
    field { name: 'l' number: 12 type: TYPE_MESSAGE label: LABEL_REPEATED
            type_name: '.fuzz.M' }
    field { name: 'm' number: 13 type: TYPE_MESSAGE label: LABEL_REPEATED
            type_name: '.fuzz.M.ByName' }
    field { name: 'n' number: 14 type: TYPE_MESSAGE label: LABEL_REPEATED
            type_name: '.fuzz.M.ByNumber' }
    field { name: 'p' number: 15 type: TYPE_STRING label: LABEL_OPTIONAL
            oneof_index: 0 }
    field { name: 'q' number: 16 type: TYPE_MESSAGE label: LABEL_OPTIONAL
            oneof_index: 0 type_name: '.fuzz.M' }
    nested_type {
      name: 'MEntry' options { map_entry: true }
      field { name: 'key' number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
      field { name: 'value' number: 2 type: TYPE_MESSAGE label: LABEL_OPTIONAL
              type_name: '.fuzz.M' }
    }
    nested_type {
      name: 'NEntry' options { map_entry: true }
      field { name: 'key' number: 1 type: TYPE_INT32 label: LABEL_OPTIONAL }
      field { name: 'value' number: 2 type: TYPE_STRING label: LABEL_OPTIONAL }
    }
  })";

FileDescriptorProto MakeFile() {
  // Links the files that the pool below is to find.
  google::protobuf::Duration::descriptor();
  google::protobuf::StringValue::descriptor();
  std::string text = kFile;
  // protoc derives these names from the fields'.
  text.replace(text.find(".fuzz.M.ByName"), 14, ".fuzz.M.MEntry");
  text.replace(text.find(".fuzz.M.ByNumber"), 16, ".fuzz.M.NEntry");
  FileDescriptorProto file;
  Require(google::protobuf::TextFormat::ParseFromString(text, &file));
  return file;
}

bool IsUtf8(const std::string& text) {
  return grpccommon::RepairUtf8(text) == text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using grpccommon::Validator;
  static const FileDescriptorProto* const skeleton =
      new FileDescriptorProto(MakeFile());
  std::string_view input(reinterpret_cast<const char*>(data), size);

  FileDescriptorProto file = *skeleton;
  for (auto& field : *file.mutable_message_type(0)->mutable_field()) {
    const std::string_view bytes = grpccommon::fuzz::TakeChunk(input);
    grpccommon::v1::FieldContract contract;
    if (bytes.empty() || !contract.ParseFromArray(
                             bytes.data(), static_cast<int>(bytes.size()))) {
      continue;
    }
    *field.mutable_options()->MutableExtension(grpccommon::v1::field) =
        contract;
  }
  DescriptorPool pool(DescriptorPool::generated_pool());
  const auto* const built = pool.BuildFile(file);
  Require(built != nullptr);
  const google::protobuf::Descriptor& type = *built->message_type(0);
  const auto validator = Validator::Create(type);
  if (!validator.ok()) {
    Require(validator.status().code() == absl::StatusCode::kInvalidArgument);
    Require(validator.status().message().find("contract of fuzz.M") == 0);
    return 0;
  }

  google::protobuf::DynamicMessageFactory factory(&pool);
  const std::unique_ptr<google::protobuf::Message> message(
      factory.GetPrototype(&type)->New());
  if (!message->ParsePartialFromArray(input.data(),
                                      static_cast<int>(input.size()))) {
    return 0;
  }
  const absl::Status status = (*validator)->Validate(*message);
  Require((*validator)->Validate(*message) == status);
  Require((*validator)->has_rules() || status.ok());
  if (status.ok()) return 0;
  Require(status.code() == absl::StatusCode::kInvalidArgument);
  google::rpc::BadRequest bad_request;
  Require(grpccommon::GetDetail(status, bad_request));
  Require(bad_request.field_violations_size() >= 1);
  Require(static_cast<std::size_t>(bad_request.field_violations_size()) <=
          Validator::kMaxViolations);
  for (const auto& violation : bad_request.field_violations()) {
    Require(!violation.field().empty() && IsUtf8(violation.field()));
    Require(!violation.description().empty() &&
            IsUtf8(violation.description()));
  }
  return 0;
}
