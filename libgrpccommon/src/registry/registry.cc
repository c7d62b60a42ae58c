// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/registry/registry.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "grpccommon/base/check_range.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/base/utf8.h"
#include "registry/address.h"
#include "registry/instances.h"

namespace grpccommon {
namespace {

using internal::HostPort;
using internal::Quoted;

constexpr std::string_view kUnixPrefix = "unix:";
constexpr std::size_t kMaxSocketPathBytes = 107;  // sun_path less its NUL

template <typename... Parts>
absl::Status Refuse(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

// Texts end up in logs, labels and consoles: one line of well-formed UTF-8.
absl::Status CheckText(std::string_view field, std::string_view text,
                       std::size_t min_bytes, std::size_t max_bytes) {
  if (text.size() < min_bytes || text.size() > max_bytes) {
    return Refuse(ToAbsl(field), " must have ", min_bytes, " to ", max_bytes,
                  " bytes, got ", text.size());
  }
  if (!IsUtf8(text)) return Refuse(ToAbsl(field), " must be UTF-8");
  const auto is_control = [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  };
  if (std::any_of(text.begin(), text.end(), is_control)) {
    return Refuse(ToAbsl(field), " must have no control characters");
  }
  return absl::OkStatus();
}

absl::Status CheckAddress(std::string_view address) {
  if (address.starts_with(kUnixPrefix)) {
    const std::string_view path = address.substr(kUnixPrefix.size());
    if (!path.starts_with('/') || path.starts_with("//") ||
        path.ends_with('/')) {
      return Refuse("address ", Quoted(address),
                    ": must be unix: and the absolute path of a socket");
    }
    return CheckText("the path in address", path, 1, kMaxSocketPathBytes);
  }
  const absl::StatusOr<HostPort> parsed = internal::ParseHostPort(address);
  if (!parsed.ok()) {
    return Refuse("address ", Quoted(address), ": ", parsed.status().message());
  }
  // What a server listens on, registered by mistake, would send every caller to
  // itself.
  if (parsed->kind != internal::HostKind::kName &&
      parsed->host.find_first_not_of("0:.") == std::string::npos) {
    return Refuse("address ", Quoted(address),
                  ": is for listening; give one that others can reach");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckInstance(const Instance& instance) {
  absl::Status valid = CheckAddress(instance.address);
  valid.Update(CheckRange("weight", instance.weight, 0.001, 1000));
  valid.Update(CheckText("zone", instance.zone, 0, kMaxInstanceTextBytes));
  valid.Update(
      CheckText("version", instance.version, 0, kMaxInstanceTextBytes));
  if (!valid.ok()) return valid;
  if (instance.metadata.size() > 32) {
    return Refuse("metadata must have at most 32 entries, got ",
                  instance.metadata.size());
  }
  for (const auto& [key, value] : instance.metadata) {
    valid = CheckText(absl::StrCat("metadata key ", Quoted(key)), key, 1, 64);
    valid.Update(CheckText(absl::StrCat("metadata value of ", Quoted(key)),
                           value, 0, 256));
    if (!valid.ok()) return valid;
  }
  return absl::OkStatus();
}

absl::Status CheckServiceName(std::string_view service) {
  if (service.empty() || service.size() > 255) {
    return Refuse("a service's name must have 1 to 255 bytes, got ",
                  service.size());
  }
  const auto is_allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  };
  if (!std::all_of(service.begin(), service.end(), is_allowed)) {
    return Refuse("service ", Quoted(service),
                  ": a name has letters, digits and \"._-\" only");
  }
  return absl::OkStatus();
}

namespace internal {

absl::Status CheckInstances(std::vector<Instance>& instances) {
  for (const Instance& instance : instances) {
    if (const absl::Status valid = CheckInstance(instance); !valid.ok()) {
      return Refuse("instance ", Quoted(instance.address), ": ",
                    valid.message());
    }
  }
  return SortInstances(instances);
}

absl::Status SortInstances(std::vector<Instance>& instances) {
  if (instances.size() > kMaxInstances) {
    return Refuse("more than ", kMaxInstances, " instances");
  }
  const auto before = [](const Instance& a, const Instance& b) {
    return a.address < b.address;
  };
  // Most back ends answer in order, and moving instances about is what costs.
  if (!std::is_sorted(instances.begin(), instances.end(), before)) {
    std::sort(instances.begin(), instances.end(), before);
  }
  const auto same =
      std::adjacent_find(instances.begin(), instances.end(),
                         [](const Instance& a, const Instance& b) {
                           return a.address == b.address;
                         });
  if (same != instances.end()) {
    return Refuse("instance ", Quoted(same->address), " comes twice");
  }
  return absl::OkStatus();
}

absl::Status CheckRegistrationOptions(const RegistrationOptions& options) {
  return CheckRange("ttl", options.ttl, std::chrono::seconds(1),
                    std::chrono::hours(1));
}

}  // namespace internal
}  // namespace grpccommon
