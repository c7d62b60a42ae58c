// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "grpccommon/base/export.h"

namespace grpccommon {

/// An application's own settings: the environment variables that begin with
/// GRPCCOMMON_APP_, which the server's configuration leaves alone.
///
///   AppSettings settings;
///   const std::string database = settings.Text("DATABASE", "sqlite:tasks.db");
///   const auto interval = settings.Duration("CHECK_INTERVAL", 10s, 1s, 1h);
///   if (!settings.Check().ok()) return ExitWith(settings.Check());
///
/// Every setting is asked for, by its name after the prefix, before `Check`,
/// which reports all that is wrong at once: so a mistyped name is found where
/// it is made. What is wrong reads as its default. Used by one thread.
class GRPCCOMMON_EXPORT AppSettings {
 public:
  /// From this process's environment.
  AppSettings();
  /// From these names and values.
  explicit AppSettings(std::map<std::string, std::string> environment);

  std::string Text(std::string_view name, std::string_view otherwise);
  /// Must be set, and not be empty.
  std::string RequiredText(std::string_view name);
  /// "true" or "false".
  bool Flag(std::string_view name, bool otherwise);
  /// In [least, most], of the type of `otherwise`; sizes may have a unit
  /// ("4MiB").
  template <std::integral Number>
  Number Integer(
      std::string_view name, Number otherwise,
      std::type_identity_t<Number> least = std::numeric_limits<Number>::min(),
      std::type_identity_t<Number> most = std::numeric_limits<Number>::max()) {
    constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
    return static_cast<Number>(WholeNumber(
        name, static_cast<std::int64_t>(otherwise),
        static_cast<std::int64_t>(least),
        std::cmp_less(most, kMost) ? static_cast<std::int64_t>(most) : kMost));
  }
  /// In [least, most], with its unit ("250ms", "30s", "5m").
  std::chrono::nanoseconds Duration(
      std::string_view name, std::chrono::nanoseconds otherwise,
      std::chrono::nanoseconds least = std::chrono::nanoseconds::zero(),
      std::chrono::nanoseconds most = std::chrono::nanoseconds::max());
  /// Separated by commas, without the white space around them. Set to nothing:
  /// no items; else none may be empty.
  std::vector<std::string> List(std::string_view name,
                                std::vector<std::string> otherwise = {});
  /// What must not be seen: the content of the file that `<name>_FILE` names,
  /// without white space at its end, or `name` itself; empty if neither is set.
  /// Never in an error.
  std::string Secret(std::string_view name);

  /// Errors: kInvalidArgument, with everything that was wrong: values, files
  /// that cannot be read, and variables with the prefix that nobody asked for.
  absl::Status Check() const;

 private:
  std::int64_t WholeNumber(std::string_view name, std::int64_t otherwise,
                           std::int64_t least, std::int64_t most);
  // The value of a setting that is set, else null.
  const std::string* Find(std::string_view name);
  void Fail(std::string_view name, std::string_view problem);

  const std::map<std::string, std::string> environment_;
  std::set<std::string> asked_for_;
  std::vector<std::string> errors_;
};

}  // namespace grpccommon
