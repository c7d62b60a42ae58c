// SPDX-License-Identifier: Apache-2.0
#include "client/target.h"

#include <sys/un.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "grpccommon/base/string_view.h"
#include "registry/address.h"

namespace grpccommon::internal {
namespace {

constexpr std::size_t kMaxTargetBytes = 4096;
// One byte of the path's place is for its end.
constexpr std::size_t kMaxPathBytes = sizeof(sockaddr_un::sun_path) - 1;

absl::Status Refuse(std::string_view target, std::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("target ", Quoted(target), ": ", ToAbsl(what)));
}

// A host as callers write it: other than in a registry, a name may have
// underscores (container names do) and a final dot (no search domains).
absl::Status CheckHostPort(std::string_view text) {
  std::string strict(text);
  std::replace(strict.begin(), strict.end(), '_', 'x');
  const std::size_t colon = strict.rfind(':');
  if (colon != std::string::npos && colon > 0 && strict[colon - 1] == '.') {
    strict.erase(colon - 1, 1);
  }
  return ParseHostPort(strict).status();
}

absl::Status CheckList(std::string_view list, HostKind kind) {
  while (true) {
    const std::size_t comma = list.find(',');
    const absl::StatusOr<HostPort> address =
        ParseHostPort(list.substr(0, comma));
    if (!address.ok()) return address.status();
    if (address->kind != kind) {
      return absl::InvalidArgumentError(
          kind == HostKind::kIpv4 ? "must be IPv4 addresses, as 127.0.0.1:80"
                                  : "must be IPv6 addresses, as [::1]:80");
    }
    if (comma == std::string_view::npos) return absl::OkStatus();
    list.remove_prefix(comma + 1);
  }
}

absl::Status CheckDns(std::string_view rest) {
  if (rest.starts_with("//")) {
    rest.remove_prefix(2);
    const std::size_t slash = rest.find('/');
    if (slash == std::string_view::npos) {
      return absl::InvalidArgumentError(
          "needs a third slash before the host, as dns:///host:port");
    }
    const std::string_view name_server = rest.substr(0, slash);
    if (!name_server.empty()) {
      if (absl::Status valid = CheckHostPort(name_server); !valid.ok()) {
        return absl::InvalidArgumentError(
            absl::StrCat("the name server ", valid.message()));
      }
    }
    rest.remove_prefix(slash + 1);
  }
  return CheckHostPort(rest);
}

absl::Status CheckPath(std::string_view rest) {
  if (rest.starts_with("//")) {
    rest.remove_prefix(2);
    if (!rest.starts_with('/')) {
      return absl::InvalidArgumentError(
          "needs an absolute path after the two slashes, as "
          "unix:///run/x.sock");
    }
  }
  if (rest.empty()) return absl::InvalidArgumentError("the path is empty");
  if (rest.size() <= kMaxPathBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the path is longer than ", kMaxPathBytes, " bytes"));
}

absl::Status CheckXds(std::string_view rest) {
  if (rest.starts_with("//")) {
    const std::size_t slash = rest.find('/', 2);
    rest = slash == std::string_view::npos ? "" : rest.substr(slash + 1);
  }
  if (!rest.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "names no service, as xds:///service would");
}

}  // namespace

absl::StatusOr<std::string> CheckTarget(std::string_view target) {
  if (target.empty()) {
    return Refuse(target,
                  "is empty; write host:port, or a scheme and what is "
                  "to be resolved, as dns:///host:port");
  }
  if (target.size() > kMaxTargetBytes ||
      !std::all_of(target.begin(), target.end(),
                   [](char c) { return c > ' ' && c < 0x7f; })) {
    return Refuse(target,
                  "must be at most 4096 bytes of printable ASCII without "
                  "blanks");
  }
  const std::size_t colon = target.find(':');
  const std::string_view scheme = target.substr(0, colon);
  const std::string_view rest =
      colon == std::string_view::npos ? "" : target.substr(colon + 1);
  absl::Status valid;
  if (scheme == "dns") {
    valid = CheckDns(rest);
  } else if (scheme == "ipv4") {
    valid = CheckList(rest, HostKind::kIpv4);
  } else if (scheme == "ipv6") {
    valid = CheckList(rest, HostKind::kIpv6);
  } else if (scheme == "unix") {
    valid = CheckPath(rest);
  } else if (scheme == "unix-abstract") {
    if (rest.empty() || rest.size() > kMaxPathBytes) {
      valid = absl::InvalidArgumentError("the name must have 1 to 107 bytes");
    }
  } else if (scheme == "xds") {
    valid = CheckXds(rest);
  } else if (rest.starts_with("//")) {
    valid = absl::InvalidArgumentError(
        "must be host:port or begin with dns:, ipv4:, ipv6:, unix:, "
        "unix-abstract: or xds:");
  } else {
    valid = CheckHostPort(target);
    if (valid.ok()) return absl::StrCat("dns:///", ToAbsl(target));
  }
  if (!valid.ok()) return Refuse(target, ToStd(valid.message()));
  return std::string(target);
}

}  // namespace grpccommon::internal
