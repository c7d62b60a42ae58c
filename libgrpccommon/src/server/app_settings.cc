// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/server/app_settings.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "grpccommon/base/file.h"
#include "grpccommon/base/quantity.h"
#include "grpccommon/base/string_view.h"
#include "server/environment.h"

namespace grpccommon {
namespace {

constexpr std::string_view kPrefix = "GRPCCOMMON_APP_";

}  // namespace

AppSettings::AppSettings() : AppSettings(internal::ProcessEnvironment()) {}

AppSettings::AppSettings(std::map<std::string, std::string> environment)
    : environment_(std::move(environment)) {}

const std::string* AppSettings::Find(std::string_view name) {
  const std::string variable = absl::StrCat(ToAbsl(kPrefix), ToAbsl(name));
  asked_for_.insert(variable);
  const auto found = environment_.find(variable);
  return found == environment_.end() ? nullptr : &found->second;
}

void AppSettings::Fail(std::string_view name, std::string_view problem) {
  errors_.push_back(
      absl::StrCat(ToAbsl(kPrefix), ToAbsl(name), " ", ToAbsl(problem)));
}

std::string AppSettings::Text(std::string_view name,
                              std::string_view otherwise) {
  const std::string* const value = Find(name);
  return value != nullptr ? *value : std::string(otherwise);
}

std::string AppSettings::RequiredText(std::string_view name) {
  std::string value = Text(name, "");
  if (value.empty()) Fail(name, "must be set");
  return value;
}

bool AppSettings::Flag(std::string_view name, bool otherwise) {
  const std::string* const value = Find(name);
  if (value == nullptr) return otherwise;
  if (*value == "true") return true;
  if (*value == "false") return false;
  Fail(name, "must be true or false");
  return otherwise;
}

std::int64_t AppSettings::WholeNumber(std::string_view name,
                                      std::int64_t otherwise,
                                      std::int64_t least, std::int64_t most) {
  const std::string* const value = Find(name);
  if (value == nullptr) return otherwise;
  const std::optional<std::int64_t> number = ParseWhole(*value);
  if (number.has_value() && *number >= least && *number <= most) return *number;
  Fail(name, absl::StrCat("must be a whole number in [", least, ", ", most,
                          "], got \"", *value, "\""));
  return otherwise;
}

std::chrono::nanoseconds AppSettings::Duration(
    std::string_view name, std::chrono::nanoseconds otherwise,
    std::chrono::nanoseconds least, std::chrono::nanoseconds most) {
  const std::string* const value = Find(name);
  if (value == nullptr) return otherwise;
  const std::optional<std::chrono::nanoseconds> duration =
      ParseDuration(*value);
  if (!duration.has_value()) {
    Fail(name, absl::StrCat("must be a duration like \"250ms\", \"30s\" or "
                            "\"5m\", got \"",
                            *value, "\""));
  } else if (*duration < least || *duration > most) {
    Fail(name, absl::StrCat("is out of range: \"", *value, "\""));
  } else {
    return *duration;
  }
  return otherwise;
}

std::vector<std::string> AppSettings::List(std::string_view name,
                                           std::vector<std::string> otherwise) {
  const std::string* const value = Find(name);
  if (value == nullptr) return otherwise;
  std::vector<std::string> items;
  if (value->empty()) return items;
  for (const auto& item : absl::StrSplit(*value, ',')) {
    items.emplace_back(absl::StripAsciiWhitespace(item));
    if (!items.back().empty()) continue;
    Fail(name, "must be a list like \"a,b\", without empty items");
    return otherwise;
  }
  return items;
}

std::string AppSettings::Secret(std::string_view name) {
  const std::string* const value = Find(name);
  const std::string file = absl::StrCat(ToAbsl(name), "_FILE");
  const std::string* const path = Find(file);
  if (path == nullptr) return value != nullptr ? *value : std::string();
  if (value != nullptr) {
    Fail(name, "and its _FILE exclude each other");
    return {};
  }
  absl::StatusOr<std::string> content = ReadFile(*path, 1 << 20);
  if (!content.ok()) {
    Fail(file, absl::StrCat("names a file that cannot be read: ",
                            content.status().message()));
    return {};
  }
  absl::StripTrailingAsciiWhitespace(&*content);
  return *std::move(content);
}

absl::Status AppSettings::Check() const {
  std::vector<std::string> errors = errors_;
  for (const auto& [variable, value] : environment_) {
    if (variable.starts_with(kPrefix) && asked_for_.count(variable) == 0) {
      errors.push_back(absl::StrCat("unknown setting ", variable));
    }
  }
  if (errors.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(errors, "; "));
}

}  // namespace grpccommon
