// SPDX-License-Identifier: Apache-2.0
// What a registry tells, or is told: instances as messages and, from etcd, as
// JSON; and for how long.
#include <cstdint>
#include <string>
#include <vector>

#include "fuzz/fuzz.h"
#include "google/protobuf/util/json_util.h"
#include "grpccommon/registry/registry_proto.h"
#include "registry/network_registry.h"

namespace {

using grpccommon::CheckInstance;
using grpccommon::FromProto;
using grpccommon::Instance;
using grpccommon::ToProto;
using grpccommon::fuzz::Require;
namespace v1 = grpccommon::registry::v1;

void Take(const v1::Instance& proto) {
  const Instance instance = FromProto(proto);
  const absl::Status valid = CheckInstance(instance);
  if (!valid.ok()) return Require(!valid.message().empty());
  Require(FromProto(ToProto(instance)) == instance);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const std::string bytes(grpccommon::fuzz::AsText(data, size));

  v1::LookupResponse found;
  if (found.ParseFromString(bytes)) {
    std::vector<Instance> instances;
    for (const v1::Instance& proto : found.instances()) {
      Take(proto);
      instances.push_back(FromProto(proto));
    }
    const std::size_t told = instances.size();
    const std::size_t malformed =
        grpccommon::internal::CleanInstances(instances);
    Require(instances.size() + malformed <= told);
    for (std::size_t i = 0; i < instances.size(); ++i) {
      Require(CheckInstance(instances[i]).ok());
      Require(i == 0 || instances[i - 1].address < instances[i].address);
    }
  }

  v1::Instance from_json;
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  if (google::protobuf::util::JsonStringToMessage(bytes, &from_json, options)
          .ok()) {
    Take(from_json);
  }

  google::protobuf::Duration duration;
  if (duration.ParseFromString(bytes)) {
    const std::chrono::nanoseconds exact = FromProto(duration);
    Require(FromProto(ToProto(exact)) == exact);
  }
  return 0;
}
