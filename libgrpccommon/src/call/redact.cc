// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/call/redact.h"

#include <cassert>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "google/protobuf/util/json_util.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/base/utf8.h"
#include "grpccommon/v1/options.pb.h"
#include "log/json_text.h"

namespace grpccommon {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::MessageFactory;
using google::protobuf::Reflection;

// Deeper than protobuf itself parses by default.
constexpr int kMaxDepth = 100;
// An Any is bytes until it is parsed here, one within another, and its messages
// may take many times their bytes of memory; so no more is parsed than a
// rendering of this size may come from.
constexpr std::size_t kParsedPerByte = 16;

enum class Form {
  kFields,
  kAny,
  // With a JSON form of its own and without fields that could be secret.
  kWellKnown,
};

Form FormOf(const Descriptor& type) {
  const std::string_view name = ToStd(type.full_name());
  constexpr std::string_view kPackage = "google.protobuf.";
  if (!name.starts_with(kPackage)) return Form::kFields;
  const std::string_view known = name.substr(kPackage.size());
  if (known == "Any") return Form::kAny;
  for (const std::string_view other :
       {"Timestamp", "Duration", "FieldMask", "Struct", "Value", "ListValue",
        "DoubleValue", "FloatValue", "Int64Value", "UInt64Value", "Int32Value",
        "UInt32Value", "BoolValue", "StringValue", "BytesValue"}) {
    if (known == other) return Form::kWellKnown;
  }
  return Form::kFields;
}

bool IsSecret(const FieldDescriptor& field) {
  return field.options().GetExtension(v1::field).secret();
}

}  // namespace

struct internal::RedactionPlans {
  struct Type;
  struct Field {
    bool secret = false;
    std::string json_name;          // with quotes and colon
    const Type* message = nullptr;  // of the field or of the map's values
  };
  struct Type {
    const Descriptor* descriptor = nullptr;
    Form form = Form::kFields;
    std::vector<Field> fields;  // by index of the field descriptor
  };

  const Type* Compile(const Descriptor& descriptor) {
    const auto [entry, is_new] = types.try_emplace(&descriptor);
    Type* const type = &entry->second;  // stays where it is
    if (!is_new) return type;
    type->descriptor = &descriptor;
    type->form = FormOf(descriptor);
    if (type->form != Form::kFields) return type;
    type->fields.resize(static_cast<std::size_t>(descriptor.field_count()));
    for (int i = 0; i < descriptor.field_count(); ++i) {
      const FieldDescriptor& field = *descriptor.field(i);
      Field& plan = type->fields[static_cast<std::size_t>(i)];
      plan.secret = IsSecret(field);
      has_secrets |= plan.secret;
      internal::AppendJsonText(ToStd(field.json_name()), plan.json_name);
      plan.json_name.push_back(':');
      const FieldDescriptor& value =
          field.is_map() ? *field.message_type()->map_value() : field;
      if (!plan.secret && value.message_type() != nullptr) {
        plan.message = Compile(*value.message_type());
      }
    }
    return type;
  }

  std::unordered_map<const Descriptor*, Type> types;
  const Type* root = nullptr;
  bool has_secrets = false;
};

namespace {

using Plans = internal::RedactionPlans;

// Writes one message; gives up as soon as it has written too much.
class Writer {
 public:
  Writer(std::size_t max_bytes, std::string& out)
      : out_(out),
        end_(out.size() + max_bytes),
        parseable_(kParsedPerByte * max_bytes) {}

  bool full() const { return out_.size() > end_; }

  void WriteMessage(const Plans::Type& type, const Message& message,
                    int depth) {
    if (depth > kMaxDepth) {
      out_.append("\"[too deep]\"");
      return;
    }
    switch (type.form) {
      case Form::kFields:
        out_.push_back('{');
        WriteFields(type, message, depth);
        out_.push_back('}');
        break;
      case Form::kAny:
        WriteAny(message, depth);
        break;
      case Form::kWellKnown:
        WriteWellKnown(message);
        break;
    }
  }

 private:
  // `out_` ends in '{' or in a field.
  void WriteFields(const Plans::Type& type, const Message& message, int depth) {
    std::vector<const FieldDescriptor*> set;
    message.GetReflection()->ListFields(message, &set);
    for (const FieldDescriptor* const field : set) {
      if (full()) return;
      if (field->is_extension()) continue;
      const Plans::Field& plan =
          type.fields[static_cast<std::size_t>(field->index())];
      if (out_.back() != '{') out_.push_back(',');
      out_.append(plan.json_name);
      if (plan.secret) {
        internal::AppendJsonText(kRedacted, out_);
      } else if (field->is_map()) {
        WriteMap(plan, message, *field, depth);
      } else if (field->is_repeated()) {
        WriteList(plan, message, *field, depth);
      } else {
        WriteValue(plan, message, *field, -1, depth);
      }
    }
  }

  void WriteList(const Plans::Field& plan, const Message& message,
                 const FieldDescriptor& field, int depth) {
    out_.push_back('[');
    const int size = message.GetReflection()->FieldSize(message, &field);
    for (int i = 0; i < size && !full(); ++i) {
      if (i > 0) out_.push_back(',');
      WriteValue(plan, message, field, i, depth);
    }
    out_.push_back(']');
  }

  void WriteMap(const Plans::Field& plan, const Message& message,
                const FieldDescriptor& field, int depth) {
    const FieldDescriptor& key = *field.message_type()->map_key();
    const FieldDescriptor& value = *field.message_type()->map_value();
    const Reflection& reflection = *message.GetReflection();
    out_.push_back('{');
    const int size = reflection.FieldSize(message, &field);
    for (int i = 0; i < size && !full(); ++i) {
      const Message& entry = reflection.GetRepeatedMessage(message, &field, i);
      if (i > 0) out_.push_back(',');
      const std::size_t begin = out_.size();
      WriteValue(plan, entry, key, -1, depth);
      // JSON's keys are strings.
      if (out_[begin] != '"') {
        out_.insert(begin, 1, '"');
        out_.push_back('"');
      }
      out_.push_back(':');
      WriteValue(plan, entry, value, -1, depth);
    }
    out_.push_back('}');
  }

  // The element `index` of a list, or the field itself where that is -1.
  void WriteValue(const Plans::Field& plan, const Message& message,
                  const FieldDescriptor& field, int index, int depth) {
    const Reflection& reflection = *message.GetReflection();
    const auto get = [&](auto one, auto element) {
      return index < 0 ? (reflection.*one)(message, &field)
                       : (reflection.*element)(message, &field, index);
    };
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
        return WriteNumber(
            get(&Reflection::GetInt32, &Reflection::GetRepeatedInt32));
      case FieldDescriptor::CPPTYPE_UINT32:
        return WriteNumber(
            get(&Reflection::GetUInt32, &Reflection::GetRepeatedUInt32));
      case FieldDescriptor::CPPTYPE_INT64:
        return WriteQuoted(
            get(&Reflection::GetInt64, &Reflection::GetRepeatedInt64));
      case FieldDescriptor::CPPTYPE_UINT64:
        return WriteQuoted(
            get(&Reflection::GetUInt64, &Reflection::GetRepeatedUInt64));
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return WriteReal(
            get(&Reflection::GetDouble, &Reflection::GetRepeatedDouble));
      case FieldDescriptor::CPPTYPE_FLOAT:
        return WriteReal(
            get(&Reflection::GetFloat, &Reflection::GetRepeatedFloat));
      case FieldDescriptor::CPPTYPE_BOOL:
        out_.append(get(&Reflection::GetBool, &Reflection::GetRepeatedBool)
                        ? "true"
                        : "false");
        return;
      case FieldDescriptor::CPPTYPE_ENUM: {
        const int number =
            get(&Reflection::GetEnumValue, &Reflection::GetRepeatedEnumValue);
        const auto* const value = field.enum_type()->FindValueByNumber(number);
        if (value == nullptr) return WriteNumber(number);
        return internal::AppendJsonText(ToStd(value->name()), out_);
      }
      case FieldDescriptor::CPPTYPE_STRING: {
        std::string scratch;
        const std::string& text =
            index < 0 ? reflection.GetStringReference(message, &field, &scratch)
                      : reflection.GetRepeatedStringReference(message, &field,
                                                              index, &scratch);
        return field.type() == FieldDescriptor::TYPE_BYTES ? WriteBytes(text)
                                                           : WriteText(text);
      }
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return WriteMessage(
            *plan.message,
            index < 0 ? reflection.GetMessage(message, &field)
                      : reflection.GetRepeatedMessage(message, &field, index),
            depth + 1);
    }
  }

  template <typename Number>
  void WriteNumber(Number number) {
    char digits[32];
    out_.append(digits, std::to_chars(digits, std::end(digits), number).ptr);
  }

  template <typename Number>
  void WriteQuoted(Number number) {
    out_.push_back('"');
    WriteNumber(number);
    out_.push_back('"');
  }

  template <typename Real>
  void WriteReal(Real real) {
    if (std::isfinite(real)) return WriteNumber(real);
    internal::AppendJsonText(std::isnan(real) ? "NaN"
                             : real > 0       ? "Infinity"
                                              : "-Infinity",
                             out_);
  }

  // Of what would not fit, no more than shows that it does not.
  std::size_t room() const { return full() ? 0 : end_ - out_.size() + 1; }

  void WriteText(std::string_view text) {
    internal::AppendJsonText(TruncateUtf8(text, room()), out_);
  }

  void WriteBytes(std::string_view bytes) {
    std::string text;
    absl::Base64Escape(ToAbsl(bytes.substr(0, room())), &text);
    WriteText(text);
  }

  void WriteWellKnown(const Message& message) {
    std::string json;
    if (!google::protobuf::util::MessageToJsonString(message, &json).ok()) {
      json = "\"[invalid]\"";
    }
    // What protobuf makes of a Value without a kind.
    if (json.empty()) json = "null";
    // Of a Struct, which may be large.
    out_.append(json, 0, room());
  }

  void WriteAny(const Message& any, int depth) {
    const Descriptor& type = *any.GetDescriptor();
    const Reflection& reflection = *any.GetReflection();
    const std::string url =
        reflection.GetString(any, type.FindFieldByNumber(1));
    std::string scratch;
    const std::string& value =
        reflection.GetStringReference(any, type.FindFieldByNumber(2), &scratch);
    out_.append("{\"@type\":");
    WriteText(url);
    const Descriptor* const inner =
        DescriptorPool::generated_pool()->FindMessageTypeByName(
            url.substr(url.rfind('/') + 1));
    std::unique_ptr<Message> message;
    if (inner != nullptr && value.size() <= parseable_) {
      parseable_ -= value.size();
      message.reset(
          MessageFactory::generated_factory()->GetPrototype(inner)->New());
    }
    if (message == nullptr || !message->ParsePartialFromString(value)) {
      out_.append(",\"bytes\":");
      WriteNumber(value.size());
    } else if (!full()) {
      Plans plans;
      const Plans::Type& plan = *plans.Compile(*inner);
      if (plan.form == Form::kFields) {
        WriteFields(plan, *message, depth + 1);
      } else {
        out_.append(",\"value\":");
        WriteMessage(plan, *message, depth + 1);
      }
    }
    out_.push_back('}');
  }

  std::string& out_;
  const std::size_t end_;
  std::size_t parseable_;  // bytes in Anys
};

}  // namespace

Redactor::Redactor(const Descriptor& type) {
  auto plans = std::make_unique<internal::RedactionPlans>();
  plans->root = plans->Compile(type);
  plans_ = std::move(plans);
}

Redactor::~Redactor() = default;
Redactor::Redactor(Redactor&&) noexcept = default;
Redactor& Redactor::operator=(Redactor&&) noexcept = default;

bool Redactor::has_secrets() const { return plans_->has_secrets; }

bool Redactor::AppendJson(const Message& message, std::size_t max_bytes,
                          std::string& out) const {
  assert(message.GetDescriptor() == plans_->root->descriptor);
  const std::size_t begin = out.size();
  Writer writer(max_bytes, out);
  writer.WriteMessage(*plans_->root, message, 0);
  if (!writer.full()) return true;
  out.resize(
      begin +
      TruncateUtf8(std::string_view(out).substr(begin), max_bytes).size());
  return false;
}

}  // namespace grpccommon
