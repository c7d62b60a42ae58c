// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/server/config.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "grpccommon/base/file.h"
#include "grpccommon/base/quantity.h"
#include "grpccommon/base/string_view.h"
#include "nlohmann/json.hpp"
#include "server/environment.h"
#include "server/options_schema.h"

namespace grpccommon {
namespace {

using nlohmann::json;
using std::chrono::nanoseconds;

// No option lies deeper by far, and copying a value takes a part of the stack
// for each step.
constexpr int kMaxDepth = 64;

// Errors begin with a verb.
absl::StatusOr<json> ParseJson(std::string_view text) {
  // nlohmann would take what stands before it for the whole.
  if (text.find('\0') != std::string_view::npos) {
    return absl::InvalidArgumentError("is not JSON: it has a zero byte");
  }
  // nlohmann would keep the last of two members with one name.
  std::vector<std::set<std::string>> seen;
  std::string twice;
  bool too_deep = false;
  const json::parser_callback_t watch =
      [&](int depth, json::parse_event_t event, json& parsed) {
        too_deep |= depth > kMaxDepth;
        if (event == json::parse_event_t::object_start) {
          seen.emplace_back();
        } else if (event == json::parse_event_t::object_end) {
          seen.pop_back();
        } else if (event == json::parse_event_t::key) {
          const std::string name = parsed.get<std::string>();
          if (!seen.back().insert(name).second) twice = name;
        }
        // What is too deep is left out.
        return depth <= kMaxDepth;
      };
  try {
    json parsed = json::parse(text, watch);
    if (twice.empty() && !too_deep) return parsed;
  } catch (const json::exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat("is not JSON: ", error.what()));
  }
  if (too_deep) {
    return absl::InvalidArgumentError(
        absl::StrCat("is nested deeper than ", kMaxDepth));
  }
  return absl::InvalidArgumentError(absl::StrCat("has \"", twice, "\" twice"));
}

// Each returns what the value should have been if it is not that. Texts stand
// for numbers and booleans too, since environment variables are texts.
std::string_view Read(const json& value, std::string& field) {
  if (!value.is_string()) return "a text";
  field = value.get<std::string>();
  return "";
}

std::string_view Read(const json& value, bool& field) {
  if (value.is_boolean()) {
    field = value.get<bool>();
  } else if (value == "true") {
    field = true;
  } else if (value == "false") {
    field = false;
  } else {
    return "true or false";
  }
  return "";
}

std::string_view Read(const json& value, double& field) {
  std::optional<double> number;
  if (value.is_number()) {
    number = value.get<double>();
  } else if (value.is_string()) {
    number = ParseNumber(value.get<std::string>());
  }
  if (!number.has_value()) return "a number";
  field = *number;
  return "";
}

template <typename Integer>
requires std::is_integral_v<Integer> std::string_view Read(const json& value,
                                                           Integer& field) {
  std::optional<double> number;
  if (value.is_number()) {
    number = value.get<double>();
  } else if (value.is_string()) {
    number = ParseWhole(value.get<std::string>());
  }
  const double least = std::is_signed_v<Integer> ? -9e15 : 0;
  if (!number.has_value() || *number != std::floor(*number) ||
      *number < std::max(least, static_cast<double>(
                                    std::numeric_limits<Integer>::min())) ||
      *number > std::min(9e15, static_cast<double>(
                                   std::numeric_limits<Integer>::max()))) {
    return "a whole number, or a size like \"4MiB\"";
  }
  field = static_cast<Integer>(*number);
  return "";
}

std::string_view Read(const json& value, nanoseconds& field) {
  const std::optional<nanoseconds> duration =
      value.is_string() ? ParseDuration(value.get<std::string>())
                        : std::nullopt;
  if (!duration.has_value()) {
    return "a duration like \"250ms\", \"30s\" or \"5m\"";
  }
  field = *duration;
  return "";
}

// An array, or a text that stands for one: JSON, or items between commas.
std::optional<json> ListOf(const json& value) {
  if (value.is_array()) return value;
  if (!value.is_string()) return std::nullopt;
  const std::string text = value.get<std::string>();
  if (absl::StartsWith(absl::StripLeadingAsciiWhitespace(text), "[")) {
    absl::StatusOr<json> parsed = ParseJson(text);
    if (!parsed.ok()) return std::nullopt;
    return *std::move(parsed);
  }
  json items = json::array();
  for (const auto& item : absl::StrSplit(text, ',', absl::SkipWhitespace())) {
    items.push_back(std::string(absl::StripAsciiWhitespace(item)));
  }
  return items;
}

std::string_view Read(const json& value, std::vector<std::string>& field) {
  constexpr std::string_view kWanted = "a list of texts";
  const std::optional<json> list = ListOf(value);
  if (!list.has_value()) return kWanted;
  std::vector<std::string> items;
  for (const json& item : *list) {
    if (!Read(item, items.emplace_back()).empty()) return kWanted;
  }
  field = std::move(items);
  return "";
}

std::string_view Read(const json& value, std::vector<double>& field) {
  constexpr std::string_view kWanted = "a list of numbers";
  const std::optional<json> list = ListOf(value);
  if (!list.has_value()) return kWanted;
  std::vector<double> numbers;
  for (const json& item : *list) {
    if (!Read(item, numbers.emplace_back()).empty()) return kWanted;
  }
  field = std::move(numbers);
  return "";
}

std::string_view Read(const json& value, LogLevel& field) {
  const std::optional<LogLevel> level =
      value.is_string() ? ParseLogLevel(value.get<std::string>())
                        : std::nullopt;
  if (!level.has_value()) return "debug, info, warning, error or off";
  field = *level;
  return "";
}

std::string_view Read(const json& value, Compression& field) {
  if (value == "none") {
    field = Compression::kNone;
  } else if (value == "gzip") {
    field = Compression::kGzip;
  } else if (value == "deflate") {
    field = Compression::kDeflate;
  } else {
    return "none, gzip or deflate";
  }
  return "";
}

// Reads an object into the fields that a schema names; see options_schema.h.
class Reader {
 public:
  // Names a member in an error, given its path.
  using Naming = std::function<std::string(const std::string& path)>;

  Reader(const json& object, std::string path, const Naming& naming,
         absl::Status& status)
      : object_(object),
        path_(std::move(path)),
        naming_(naming),
        status_(status) {}

  template <typename Field>
  void operator()(const char* name, Field& field) {
    const json* const value = Find(name);
    if (value == nullptr) return;
    const std::string_view wanted = Read(*value, field);
    if (!wanted.empty()) {
      Fail(absl::StrCat(naming_(PathOf(name)), " must be ", ToAbsl(wanted)));
    }
  }

  // A struct in an optional appears with its first member, and goes with false.
  template <typename Struct>
  void operator()(const char* name, std::optional<Struct>& field) {
    const json* const value = Find(name);
    if (value == nullptr) return;
    if (*value == false || *value == "false") {
      field.reset();
      return;
    }
    if (!field.has_value()) field.emplace();
    if (*value == true || *value == "true") return;
    Nested(name, *field);
  }

  template <typename Struct>
  void Nested(const char* name, Struct& field) {
    const json* const value = Find(name);
    if (value == nullptr) return;
    if (!value->is_object()) {
      Fail(absl::StrCat(naming_(PathOf(name)), " must be an object"));
      return;
    }
    Reader reader(*value, PathOf(name), naming_, status_);
    internal::VisitOptions(field, reader);
    reader.RefuseUnknown();
  }

  // An array of objects, or a text with one: environment variables have no
  // other way.
  template <typename Struct>
  void List(const char* name, std::vector<Struct>& field) {
    const json* const value = Find(name);
    if (value == nullptr) return;
    json items = *value;
    if (value->is_string()) {
      absl::StatusOr<json> parsed = ParseJson(value->get<std::string>());
      if (!parsed.ok()) {
        Fail(absl::StrCat(naming_(PathOf(name)), " ",
                          parsed.status().message()));
        return;
      }
      items = *std::move(parsed);
    }
    if (!items.is_array()) {
      Fail(absl::StrCat(naming_(PathOf(name)), " must be a list of objects"));
      return;
    }
    field.clear();
    for (std::size_t i = 0; i < items.size(); ++i) {
      const std::string path = absl::StrCat(PathOf(name), "[", i, "]");
      if (!items[i].is_object()) {
        Fail(absl::StrCat(naming_(path), " must be an object"));
        return;
      }
      Reader reader(items[i], path, naming_, status_);
      internal::VisitOptions(field.emplace_back(), reader);
      reader.RefuseUnknown();
    }
  }

  void RefuseUnknown() {
    for (const auto& [name, value] : object_.items()) {
      if (known_.count(name) != 0) continue;
      Fail(absl::StrCat("unknown option ", naming_(PathOf(name))));
    }
  }

 private:
  const json* Find(const char* name) {
    known_.insert(name);
    const auto member = object_.find(name);
    return member == object_.end() ? nullptr : &*member;
  }

  std::string PathOf(const std::string& name) const {
    return path_.empty() ? name : absl::StrCat(path_, ".", name);
  }

  void Fail(const std::string& message) {
    status_.Update(absl::InvalidArgumentError(message));
  }

  const json& object_;
  const std::string path_;
  const Naming& naming_;
  absl::Status& status_;
  std::set<std::string> known_;
};

absl::StatusOr<ServerOptions> Apply(ServerOptions options, const json& object,
                                    const Reader::Naming& naming) {
  absl::Status status;
  Reader reader(object, "", naming, status);
  internal::VisitOptions(options, reader);
  reader.RefuseUnknown();
  if (!status.ok()) return status;
  return options;
}

constexpr std::string_view kPrefix = "GRPCCOMMON_";
constexpr std::string_view kConfigVariable = "GRPCCOMMON_CONFIG";

// "tls.certificate_file" is GRPCCOMMON_TLS__CERTIFICATE_FILE.
std::string VariableOf(const std::string& path) {
  std::string name(kPrefix);
  for (const char c : path) {
    if (c == '.') {
      name += "__";
    } else {
      name += absl::ascii_toupper(static_cast<unsigned char>(c));
    }
  }
  return name;
}

}  // namespace

absl::StatusOr<ServerOptions> ApplyJson(ServerOptions base,
                                        std::string_view text) {
  absl::StatusOr<json> parsed = ParseJson(text);
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the configuration ", parsed.status().message()));
  }
  json& object = *parsed;
  if (!object.is_object()) {
    return absl::InvalidArgumentError(
        "the configuration must be a JSON object");
  }
  if (const auto app = object.find("app"); app != object.end()) {
    if (!app->is_object()) {
      return absl::InvalidArgumentError("app must be an object");
    }
    object.erase(app);
  }
  return Apply(std::move(base), object,
               [](const std::string& path) { return path; });
}

absl::StatusOr<ServerOptions> ApplyEnvironment(
    ServerOptions base, const std::map<std::string, std::string>& environment) {
  json object = json::object();
  for (const auto& [name, value] : environment) {
    if (!std::string_view(name).starts_with(kPrefix) ||
        name == kConfigVariable || name.starts_with("GRPCCOMMON_APP_")) {
      continue;
    }
    // Two variables that differ by case would be one option.
    if (absl::AsciiStrToUpper(name) != name) {
      return absl::InvalidArgumentError(absl::StrCat(
          "unknown option ", name, ": names are written in capitals"));
    }
    json* place = &object;
    const std::string path = absl::AsciiStrToLower(name.substr(kPrefix.size()));
    const std::vector<std::string> steps = absl::StrSplit(path, "__");
    std::string parent;
    for (std::size_t i = 0; i + 1 < steps.size(); ++i) {
      place = &(*place)[steps[i]];
      absl::StrAppend(&parent, parent.empty() ? "" : ".", steps[i]);
      if (!place->is_object() && !place->is_null()) {
        return absl::InvalidArgumentError(absl::StrCat(
            name, " is set beside a variable for all of ", VariableOf(parent)));
      }
    }
    (*place)[steps.back()] = value;
  }
  return Apply(std::move(base), object, VariableOf);
}

absl::StatusOr<ServerOptions> LoadServerOptions(ServerOptions defaults) {
  if (const char* const path = std::getenv(kConfigVariable.data());
      path != nullptr && *path != '\0') {
    absl::StatusOr<std::string> text = ReadFile(path, 1 << 20);
    if (!text.ok()) return text.status();
    absl::StatusOr<ServerOptions> applied =
        ApplyJson(std::move(defaults), *text);
    if (!applied.ok()) {
      return absl::Status(applied.status().code(),
                          absl::StrCat(path, ": ", applied.status().message()));
    }
    defaults = *std::move(applied);
  }
  return ApplyEnvironment(std::move(defaults), internal::ProcessEnvironment());
}

}  // namespace grpccommon
