// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/registry/registry_uri.h"

#include <iterator>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/registry/memory_registry.h"
#include "registry/address.h"
#include "registry/parsed_uri.h"

namespace grpccommon {
namespace {

using internal::ParsedUri;
using internal::UriError;
using Created = absl::StatusOr<std::unique_ptr<Registry>>;

// What a registry may be made of.
struct Parts {
  Scheduler& scheduler;
  const RegistryUriOptions& options;
  const Logger& logger;
  const Clock& clock;
  const Random& random;
};

Created CreateMemory(const ParsedUri& uri, const Parts& parts) {
  if (uri.authority.has_value() || !uri.path.empty()) {
    return UriError("path", "must be empty: memory:");
  }
  return CreateMemoryRegistry(parts.scheduler, parts.logger);
}

Created CreateFile(const ParsedUri& uri, const Parts& parts) {
  if (!uri.authority.value_or("").empty()) {
    return UriError("authority", "must be empty: file:/path");
  }
  if (!uri.path.starts_with('/')) {
    return UriError("path", "must be absolute: file:/path");
  }
  return CreateFileRegistry(uri.path, parts.scheduler, parts.options.file,
                            parts.logger);
}

Created CreateDns(const ParsedUri& uri, const Parts& parts) {
  DnsRegistryOptions options = parts.options.dns;
  std::string_view pattern = uri.path;
  if (uri.authority.has_value()) {
    if (!uri.authority->empty()) {
      options.name_servers = absl::StrSplit(*uri.authority, ',');
    }
    if (pattern.starts_with('/')) pattern.remove_prefix(1);
  }
  if (!pattern.empty()) options.pattern = std::string(pattern);
  Created created =
      CreateDnsRegistry(parts.scheduler, options, parts.logger, parts.random);
  if (absl::IsInvalidArgument(created.status())) {
    return UriError("dns", ToStd(created.status().message()));
  }
  return created;
}

Created CreateRemote(const ParsedUri& uri, const Parts& parts) {
  auto addresses = internal::EndpointsOf(uri);
  if (!addresses.ok()) return addresses.status();
  if (!uri.path.empty() && uri.path != "/") {
    return UriError("path", "must be empty: registry://host:port");
  }
  RemoteRegistryOptions options = parts.options.remote;
  options.connection.addresses = *std::move(addresses);
  return RemoteRegistry::Create(std::move(options), parts.scheduler,
                                parts.logger, parts.clock, parts.random);
}

Created CreateEtcd(const ParsedUri& uri, const Parts& parts) {
  auto addresses = internal::EndpointsOf(uri);
  if (!addresses.ok()) return addresses.status();
  EtcdRegistryOptions options = parts.options.etcd;
  options.connection.addresses = *std::move(addresses);
  if (!uri.path.empty() && uri.path != "/") options.prefix = uri.path;
  return EtcdRegistry::Create(std::move(options), parts.scheduler, parts.logger,
                              parts.clock, parts.random);
}

struct Scheme {
  std::string_view name;
  Created (*create)(const ParsedUri& uri, const Parts& parts);
};

constexpr Scheme kSchemes[] = {
    {"memory", CreateMemory},   {"file", CreateFile}, {"dns", CreateDns},
    {"registry", CreateRemote}, {"etcd", CreateEtcd},
};

}  // namespace

absl::StatusOr<std::unique_ptr<Registry>> CreateRegistry(
    std::string_view uri, Scheduler& scheduler,
    const RegistryUriOptions& options, const Logger& logger, const Clock& clock,
    const Random& random) {
  const absl::StatusOr<ParsedUri> parsed = internal::ParseUri(uri);
  if (!parsed.ok()) return parsed.status();
  std::string known;
  for (const Scheme& scheme : kSchemes) {
    if (scheme.name == parsed->scheme) {
      return scheme.create(*parsed,
                           {scheduler, options, logger, clock, random});
    }
    absl::StrAppend(&known, known.empty() ? "" : ", ", ToAbsl(scheme.name));
  }
  return UriError("scheme", absl::StrCat(internal::Quoted(parsed->scheme),
                                         " is none of ", known));
}

}  // namespace grpccommon
