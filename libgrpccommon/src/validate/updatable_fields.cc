// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/validate/updatable_fields.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/field_mask.pb.h"
#include "google/protobuf/message.h"
#include "google/protobuf/util/field_mask_util.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/base/utf8.h"
#include "grpccommon/status/details.h"

namespace grpccommon {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldMask;
using google::protobuf::Message;
using google::protobuf::util::FieldMaskUtil;

constexpr std::string_view kAll = "*";

// Enough to recognise a path by; what a client makes up may be long.
std::string Quoted(const std::string& path) {
  constexpr std::size_t kLongest = 64;
  std::string shown(TruncateUtf8(path, kLongest));
  if (shown.size() < path.size()) shown += "...";
  return absl::StrCat("\"", absl::Utf8SafeCEscape(shown), "\"");
}

}  // namespace

absl::StatusOr<UpdatableFields> UpdatableFields::Create(
    const Descriptor& type, std::vector<std::string> paths) {
  for (const std::string& path : paths) {
    if (!FieldMaskUtil::GetFieldDescriptors(&type, path, nullptr)) {
      return absl::InvalidArgumentError(absl::StrCat(
          ToAbsl(ToStd(type.full_name())), " has no field ", Quoted(path)));
    }
  }
  std::string rule = absl::StrCat("not one of ", absl::StrJoin(paths, ", "));
  return UpdatableFields(type, std::move(paths), std::move(rule));
}

UpdatableFields::UpdatableFields(const Descriptor& type,
                                 std::vector<std::string> paths,
                                 std::string rule)
    : type_(&type), paths_(std::move(paths)), rule_(std::move(rule)) {}

bool UpdatableFields::Contains(std::string_view path) const {
  return std::any_of(
      paths_.begin(), paths_.end(), [path](const std::string& allowed) {
        return path.starts_with(allowed) &&
               (path.size() == allowed.size() || path[allowed.size()] == '.');
      });
}

absl::Status UpdatableFields::Check(const FieldMask& mask,
                                    std::string_view mask_field) const {
  if (mask.paths().empty()) {
    return InvalidFields(
        {{std::string(mask_field), "must name at least one field"}});
  }
  std::vector<FieldViolation> violations;
  for (int i = 0; i < mask.paths_size() && violations.size() < kMaxViolations;
       ++i) {
    const std::string& path = mask.paths(i);
    if (path == kAll) continue;
    // protobuf overlooks empty parts.
    const bool gaps =
        path.ends_with('.') || path.find("..") != std::string::npos;
    // A recursive type has paths of any length, and whoever merges by them
    // recurses.
    const auto dots = std::count(path.begin(), path.end(), '.');
    if (!gaps && static_cast<std::size_t>(dots) < kMaxPathParts &&
        Contains(path) &&
        FieldMaskUtil::GetFieldDescriptors(type_, path, nullptr)) {
      continue;
    }
    violations.push_back(
        {absl::StrCat(ToAbsl(mask_field), ".paths[", i, "]"),
         absl::StrCat(Quoted(path), " cannot be changed: ", rule_)});
  }
  return violations.empty() ? absl::OkStatus() : InvalidFields(violations);
}

absl::Status UpdatableFields::Apply(const FieldMask& mask,
                                    const Message& source, Message& target,
                                    std::string_view mask_field) const {
  if (source.GetDescriptor() != type_ || target.GetDescriptor() != type_) {
    return absl::InternalError(absl::StrCat(
        "these are the fields of ", ToAbsl(ToStd(type_->full_name())),
        ", not of ", ToAbsl(ToStd(source.GetDescriptor()->full_name()))));
  }
  absl::Status valid = Check(mask, mask_field);
  if (!valid.ok()) return valid;
  FieldMask fields = mask;
  if (std::find(mask.paths().begin(), mask.paths().end(), kAll) !=
      mask.paths().end()) {
    fields.mutable_paths()->Assign(paths_.begin(), paths_.end());
  }
  FieldMaskUtil::MergeOptions replace;
  replace.set_replace_message_fields(true);
  replace.set_replace_repeated_fields(true);
  FieldMaskUtil::MergeMessageTo(source, fields, replace, &target);
  return absl::OkStatus();
}

}  // namespace grpccommon
