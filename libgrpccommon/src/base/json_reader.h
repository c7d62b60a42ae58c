// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace grpccommon::internal {

/// Reads JSON as it comes, without a tree, and refuses what two readers may
/// understand differently or what costs more than it is worth: a member that
/// appears twice, deep nesting, crowded objects. The parser underneath is
/// iterative and checks UTF-8.
///
/// A hook returns false to stop. Strings are the hook's to move from.
class JsonReader : private nlohmann::json_sax<nlohmann::json> {
 public:
  /// Each member is compared with those before it, so a limit it needs.
  static constexpr std::size_t kMaxMembers = 256;

  explicit JsonReader(std::size_t max_depth,
                      std::size_t max_members = kMaxMembers)
      : max_depth_(max_depth), max_members_(max_members) {}

  /// False if `text` is not exactly one JSON value, or a hook said no.
  bool Read(std::string_view text);

  /// What was wrong; names members and places, never values.
  const std::string& error() const { return error_; }

 protected:
  ~JsonReader() override = default;

  virtual bool OnOpen(bool object) = 0;
  virtual bool OnClose(bool object) = 0;
  virtual bool OnName(const std::string& name) = 0;
  virtual bool OnText(std::string& text) = 0;
  /// `exact` is the number as a tree would keep it.
  virtual bool OnNumber(double number, const nlohmann::json& exact) = 0;
  virtual bool OnBool(bool value) = 0;
  virtual bool OnNull() = 0;

  bool Fail(std::string error) {
    error_ = std::move(error);
    return false;
  }
  /// Of the innermost open container; 1 inside the outermost.
  std::size_t depth() const { return containers_.size(); }

 private:
  bool null() final;
  bool boolean(bool value) final;
  bool number_integer(number_integer_t number) final;
  bool number_unsigned(number_unsigned_t number) final;
  bool number_float(number_float_t number, const string_t& text) final;
  bool string(string_t& text) final;
  bool binary(binary_t& bytes) final;
  bool start_object(std::size_t elements) final;
  bool key(string_t& name) final;
  bool end_object() final;
  bool start_array(std::size_t elements) final;
  bool end_array() final;
  bool parse_error(std::size_t position, const std::string& last_token,
                   const nlohmann::detail::exception& exception) final;

  bool Open(bool object);
  bool Close(bool object);

  const std::size_t max_depth_;
  const std::size_t max_members_;
  // Where the names of each open container begin in `names_`.
  std::vector<std::size_t> containers_;
  std::vector<std::string> names_;
  std::string error_;
};

/// The same strictness with a tree. Errors: kInvalidArgument, beginning with
/// `what`.
absl::StatusOr<nlohmann::json> ParseJson(
    std::string_view text, std::string_view what, std::size_t max_bytes,
    std::size_t max_depth = 16,
    std::size_t max_members = JsonReader::kMaxMembers);

/// Errors: kInvalidArgument if `value` is not an object or has a member that is
/// not in `known`, naming it.
absl::Status CheckMembers(const nlohmann::json& value, std::string_view where,
                          std::initializer_list<std::string_view> known);

/// Reads an array of non-empty strings; none if the member is absent.
absl::StatusOr<std::vector<std::string>> ReadStrings(
    const nlohmann::json& object, std::string_view member,
    std::string_view where);

}  // namespace grpccommon::internal
