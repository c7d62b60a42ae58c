// SPDX-License-Identifier: Apache-2.0
#include "base/json_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "grpccommon/base/string_view.h"

namespace grpccommon::internal {
namespace {

// Builds a tree from the reader's events.
class TreeBuilder final : public JsonReader {
 public:
  using JsonReader::JsonReader;
  nlohmann::json Take() { return std::move(root_); }

 private:
  bool OnOpen(bool object) override {
    open_.push_back(
        Place(object ? nlohmann::json::object() : nlohmann::json::array()));
    return true;
  }
  bool OnClose(bool /*object*/) override {
    open_.pop_back();
    return true;
  }
  bool OnName(const std::string& name) override {
    name_ = name;
    return true;
  }
  bool OnText(std::string& text) override {
    Place(std::move(text));
    return true;
  }
  bool OnNumber(double /*number*/, const nlohmann::json& exact) override {
    Place(exact);
    return true;
  }
  bool OnBool(bool value) override {
    Place(value);
    return true;
  }
  bool OnNull() override {
    Place(nullptr);
    return true;
  }

  nlohmann::json* Place(nlohmann::json value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    nlohmann::json& parent = *open_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    nlohmann::json& member = parent[name_];
    member = std::move(value);
    return &member;
  }

  nlohmann::json root_;
  // A parent does not grow while a child is open, so the pointers stay good.
  std::vector<nlohmann::json*> open_;
  std::string name_;
};

}  // namespace

bool JsonReader::Read(std::string_view text) {
  containers_.clear();
  names_.clear();
  error_.clear();
  // For the parser underneath, what follows a zero byte is not there.
  if (const std::size_t zero = text.find('\0');
      zero != std::string_view::npos) {
    return Fail(absl::StrCat("not JSON at byte ", zero + 1));
  }
  return nlohmann::json::sax_parse(
      text.begin(), text.end(),
      static_cast<nlohmann::json_sax<nlohmann::json>*>(this));
}

bool JsonReader::null() { return OnNull(); }
bool JsonReader::boolean(bool value) { return OnBool(value); }

bool JsonReader::number_integer(number_integer_t number) {
  return OnNumber(static_cast<double>(number), number);
}

bool JsonReader::number_unsigned(number_unsigned_t number) {
  return OnNumber(static_cast<double>(number), number);
}

bool JsonReader::number_float(number_float_t number, const string_t& /*text*/) {
  return OnNumber(number, number);
}

bool JsonReader::string(string_t& text) { return OnText(text); }

bool JsonReader::binary(binary_t& /*bytes*/) { return Fail("not JSON"); }

bool JsonReader::start_object(std::size_t /*elements*/) { return Open(true); }
bool JsonReader::end_object() { return Close(true); }
bool JsonReader::start_array(std::size_t /*elements*/) { return Open(false); }
bool JsonReader::end_array() { return Close(false); }

bool JsonReader::key(string_t& name) {
  const auto first =
      names_.begin() + static_cast<std::ptrdiff_t>(containers_.back());
  if (std::find(first, names_.end(), name) != names_.end()) {
    return Fail(absl::StrCat("member \"", name, "\" appears twice"));
  }
  if (names_.end() - first >= static_cast<std::ptrdiff_t>(max_members_)) {
    return Fail(
        absl::StrCat("an object has more than ", max_members_, " members"));
  }
  names_.push_back(name);
  return OnName(names_.back());
}

bool JsonReader::parse_error(std::size_t position,
                             const std::string& /*last_token*/,
                             const nlohmann::detail::exception& /*exception*/) {
  // The exception's own text quotes the input, which may be a secret.
  return Fail(absl::StrCat("not JSON at byte ", position));
}

bool JsonReader::Open(bool object) {
  if (containers_.size() >= max_depth_) {
    return Fail(absl::StrCat("nested deeper than ", max_depth_));
  }
  containers_.push_back(names_.size());
  return OnOpen(object);
}

bool JsonReader::Close(bool object) {
  names_.resize(containers_.back());
  containers_.pop_back();
  return OnClose(object);
}

absl::StatusOr<nlohmann::json> ParseJson(std::string_view text,
                                         std::string_view what,
                                         std::size_t max_bytes,
                                         std::size_t max_depth,
                                         std::size_t max_members) {
  if (text.size() > max_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(ToAbsl(what), ": larger than ", max_bytes, " bytes"));
  }
  TreeBuilder builder(max_depth, max_members);
  if (!builder.Read(text)) {
    return absl::InvalidArgumentError(
        absl::StrCat(ToAbsl(what), ": ", builder.error()));
  }
  return builder.Take();
}

absl::Status CheckMembers(const nlohmann::json& value, std::string_view where,
                          std::initializer_list<std::string_view> known) {
  if (!value.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat(ToAbsl(where), ": must be an object"));
  }
  for (const auto& [name, member] : value.items()) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat(ToAbsl(where), ": unknown member \"", name, "\""));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> ReadStrings(
    const nlohmann::json& object, std::string_view member,
    std::string_view where) {
  std::vector<std::string> strings;
  const auto found = object.find(member);
  if (found == object.end()) return strings;
  const auto refuse = [&] {
    return absl::InvalidArgumentError(
        absl::StrCat(ToAbsl(where), ".", ToAbsl(member),
                     ": must be an array of non-empty strings"));
  };
  if (!found->is_array()) return refuse();
  for (const nlohmann::json& element : *found) {
    if (!element.is_string()) return refuse();
    strings.push_back(element.get<std::string>());
    if (strings.back().empty()) return refuse();
  }
  return strings;
}

}  // namespace grpccommon::internal
