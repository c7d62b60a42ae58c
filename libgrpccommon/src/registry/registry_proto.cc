// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/registry/registry_proto.h"

namespace grpccommon {

registry::v1::Instance ToProto(const Instance& instance) {
  registry::v1::Instance proto;
  proto.set_address(instance.address);
  proto.set_weight(instance.weight);
  proto.set_zone(instance.zone);
  proto.set_version(instance.version);
  for (const auto& [key, value] : instance.metadata) {
    (*proto.mutable_metadata())[key] = value;
  }
  proto.set_unhealthy(!instance.healthy);
  return proto;
}

Instance FromProto(const registry::v1::Instance& proto) {
  return {.address = proto.address(),
          .weight = proto.has_weight() ? proto.weight() : 1.0,
          .zone = proto.zone(),
          .version = proto.version(),
          .metadata = {proto.metadata().begin(), proto.metadata().end()},
          .healthy = !proto.unhealthy()};
}

google::protobuf::Duration ToProto(std::chrono::nanoseconds duration) {
  google::protobuf::Duration proto;
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(duration);
  proto.set_seconds(seconds.count());
  proto.set_nanos(static_cast<std::int32_t>((duration - seconds).count()));
  return proto;
}

std::chrono::nanoseconds FromProto(const google::protobuf::Duration& proto) {
  // Who sent it may have written any number of nanoseconds, which make up to
  // three seconds.
  constexpr auto kLongest = std::chrono::duration_cast<std::chrono::seconds>(
                                std::chrono::nanoseconds::max()) -
                            std::chrono::seconds(3);
  const std::chrono::seconds seconds(proto.seconds());
  if (seconds >= kLongest) return std::chrono::nanoseconds::max();
  if (seconds <= -kLongest) return std::chrono::nanoseconds::min();
  return seconds + std::chrono::nanoseconds(proto.nanos());
}

}  // namespace grpccommon
