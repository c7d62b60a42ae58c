// SPDX-License-Identifier: Apache-2.0
#include "tracing/rpc_span.h"

#include <charconv>
#include <string>

namespace grpccommon::internal {

std::string_view RpcSpanName(std::string_view path) {
  if (path.starts_with('/')) path.remove_prefix(1);
  return path;
}

void DescribeRpc(std::string_view name, Span& span) {
  span.SetAttribute("rpc.system", "grpc");
  const std::size_t slash = name.rfind('/');
  if (slash == std::string_view::npos) return;
  span.SetAttribute("rpc.service", std::string(name.substr(0, slash)));
  span.SetAttribute("rpc.method", std::string(name.substr(slash + 1)));
}

void DescribePeer(std::string_view address, std::string_view peer,
                  std::string_view transport, Span& span) {
  span.SetAttribute("network.peer.address", std::string(address));
  if (transport.empty()) return;
  span.SetAttribute("network.transport", std::string(transport));
  if (transport != "tcp") return;
  const std::string_view port = peer.substr(peer.rfind(':') + 1);
  std::int64_t number = 0;
  const auto [end, error] =
      std::from_chars(port.data(), port.data() + port.size(), number);
  if (error == std::errc() && end == port.data() + port.size()) {
    span.SetAttribute("network.peer.port", number);
  }
}

void AddMessageEvent(Span& span, const char* type, std::int64_t number) {
  span.AddEvent("rpc.message",
                {{"rpc.message.type", type}, {"rpc.message.id", number}});
}

}  // namespace grpccommon::internal
