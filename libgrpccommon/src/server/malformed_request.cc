// SPDX-License-Identifier: Apache-2.0
#include "server/malformed_request.h"

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "google/protobuf/descriptor.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/base/utf8.h"
#include "grpccommon/status/details.h"

namespace grpccommon::internal {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

// protobuf's own bound on nesting.
constexpr int kMaxDepth = 100;

enum WireType { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

std::optional<std::uint64_t> TakeVarint(std::string_view& bytes) {
  std::uint64_t value = 0;
  for (int shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    value |= std::uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

bool Skip(std::string_view& bytes, std::uint64_t count) {
  if (count > bytes.size()) return false;
  bytes.remove_prefix(count);
  return true;
}

// A field, and those that its message lies in. On the stack of those that look
// at it: the path becomes a text only where there is a fault to name, since a
// stranger decides how many fields there are.
struct Place {
  const Place* outer = nullptr;
  const FieldDescriptor* field = nullptr;  // null: none that is known so far
};

std::string PathOf(const Place* place) {
  std::vector<std::string_view> names;
  for (; place != nullptr; place = place->outer) {
    if (place->field != nullptr) names.push_back(place->field->name());
  }
  std::string path;
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    absl::StrAppend(&path, path.empty() ? "" : ".", ToAbsl(*name));
  }
  return path;
}

// The fault of a message, with its path; none if there is none.
std::optional<std::string> FindFault(const Descriptor& type,
                                     std::string_view bytes, const Place* outer,
                                     int depth) {
  if (depth > kMaxDepth) {
    return absl::StrCat(PathOf(outer), " is nested too deeply");
  }
  Place last{.outer = outer};
  const auto broken = [&last] {
    const std::string path = PathOf(&last);
    return absl::StrCat("the bytes after ",
                        path.empty() ? "its beginning" : path,
                        " are no message");
  };
  while (!bytes.empty()) {
    const std::optional<std::uint64_t> tag = TakeVarint(bytes);
    if (!tag.has_value() || *tag >> 3 == 0 || *tag >> 3 > 0x1fffffff) {
      return broken();
    }
    const FieldDescriptor* const field =
        type.FindFieldByNumber(static_cast<int>(*tag >> 3));
    if (field != nullptr) last.field = field;
    switch (*tag & 7) {
      case kVarint:
        if (!TakeVarint(bytes).has_value()) return broken();
        break;
      case kFixed64:
        if (!Skip(bytes, 8)) return broken();
        break;
      case kFixed32:
        if (!Skip(bytes, 4)) return broken();
        break;
      case kBytes: {
        const std::optional<std::uint64_t> size = TakeVarint(bytes);
        if (!size.has_value() || *size > bytes.size()) return broken();
        const std::string_view value = bytes.substr(0, *size);
        bytes.remove_prefix(*size);
        if (field == nullptr) break;
        if (field->type() == FieldDescriptor::TYPE_STRING && !IsUtf8(value)) {
          return absl::StrCat("field ", PathOf(&last), " is not valid UTF-8");
        }
        if (field->type() == FieldDescriptor::TYPE_MESSAGE) {
          std::optional<std::string> fault =
              FindFault(*field->message_type(), value, &last, depth + 1);
          if (fault.has_value()) return fault;
        }
        break;
      }
      default:  // groups, which proto3 does not have, and what is no type
        return broken();
    }
  }
  return std::nullopt;
}

}  // namespace

absl::Status MalformedRequest(std::string_view why) {
  return WithReason(absl::InvalidArgumentError(ToAbsl(why)),
                    "MALFORMED_REQUEST", kErrorDomain);
}

std::string ExplainMalformed(const Descriptor& descriptor,
                             std::string_view bytes) {
  return FindFault(descriptor, bytes, nullptr, 0)
      .value_or("the request is not a valid message of its type");
}

}  // namespace grpccommon::internal
