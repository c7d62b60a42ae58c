// SPDX-License-Identifier: Apache-2.0
// Any text as an instance's address and as a registry's URI: refused with a
// message that shows it harmlessly, or taken apart so that it can be put
// together again.
#include <cstdint>
#include <string>

#include "fuzz/fuzz.h"
#include "registry/address.h"
#include "registry/parsed_uri.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using grpccommon::fuzz::Require;
  using namespace grpccommon::internal;
  const std::string_view text = grpccommon::fuzz::AsText(data, size);

  if (const auto address = ParseHostPort(text); address.ok()) {
    Require(JoinHostPort(*address) == text);
    Require(address->port != 0);
    const auto kind = CheckHost(address->host);
    Require(kind.ok() && *kind == address->kind);
    for (const char c : address->host) {
      Require((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
              (c >= 'A' && c <= 'Z') || c == '.' || c == '-' ||
              (c == ':' && *kind == HostKind::kIpv6));
    }
  } else {
    Require(!address.status().message().empty());
  }

  std::string quoted = Quoted(text);
  if (quoted.ends_with("…\"")) quoted.resize(quoted.size() - 4);
  for (const char c : quoted) Require(c >= ' ' && c < 0x7f);

  const auto uri = ParseUri(text);
  if (!uri.ok()) return 0;
  Require(uri->authority.value_or("").find('@') == std::string::npos);
  Require(uri->scheme + ":" +
              (uri->authority.has_value() ? "//" + *uri->authority : "") +
              uri->path ==
          text);
  const auto endpoints = EndpointsOf(*uri);
  if (!endpoints.ok()) return 0;
  std::string joined;
  for (const std::string& endpoint : *endpoints) {
    Require(ParseHostPort(endpoint).ok());
    joined += (joined.empty() ? "" : ",") + endpoint;
  }
  Require(joined == *uri->authority);
  return 0;
}
