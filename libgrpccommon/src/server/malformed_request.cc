// SPDX-License-Identifier: Apache-2.0
#include "server/malformed_request.h"

#include <cstdint>
#include <optional>

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

// The fault of a message, with its path; none if there is none.
std::optional<std::string> FindFault(const Descriptor& type,
                                     std::string_view bytes,
                                     const std::string& path, int depth) {
  std::string last = path.empty() ? "its beginning" : path;
  const auto broken = [&last] {
    return absl::StrCat("the bytes after ", last, " are no message");
  };
  if (depth > kMaxDepth) return absl::StrCat(path, " is nested too deeply");
  while (!bytes.empty()) {
    const std::optional<std::uint64_t> tag = TakeVarint(bytes);
    if (!tag.has_value() || *tag >> 3 == 0 || *tag >> 3 > 0x1fffffff) {
      return broken();
    }
    const FieldDescriptor* const field =
        type.FindFieldByNumber(static_cast<int>(*tag >> 3));
    if (field != nullptr) {
      last = absl::StrCat(path, path.empty() ? "" : ".", field->name());
    }
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
          return absl::StrCat("field ", last, " is not valid UTF-8");
        }
        if (field->type() == FieldDescriptor::TYPE_MESSAGE) {
          std::optional<std::string> fault =
              FindFault(*field->message_type(), value, last, depth + 1);
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
  return FindFault(descriptor, bytes, "", 0)
      .value_or("the request is not a valid message of its type");
}

}  // namespace grpccommon::internal
