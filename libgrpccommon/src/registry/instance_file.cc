// SPDX-License-Identifier: Apache-2.0
#include "registry/instance_file.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/json_reader.h"
#include "grpccommon/base/string_view.h"
#include "registry/instances.h"

namespace grpccommon::internal {
namespace {

using Json = nlohmann::json;

template <typename... Parts>
absl::Status Refuse(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

absl::Status ReadText(const Json& object, const char* member,
                      const std::string& where, std::string& text) {
  const auto found = object.find(member);
  if (found == object.end()) return absl::OkStatus();
  if (!found->is_string()) {
    return Refuse(where, ".", member, ": must be a string");
  }
  text = found->get<std::string>();
  return absl::OkStatus();
}

absl::StatusOr<Instance> ReadInstance(const Json& json,
                                      const std::string& where) {
  Instance instance;
  absl::Status valid = CheckMembers(
      json, where,
      {"address", "weight", "zone", "version", "metadata", "healthy"});
  if (!valid.ok()) return valid;
  if (!json.contains("address")) return Refuse(where, ": has no address");
  valid.Update(ReadText(json, "address", where, instance.address));
  valid.Update(ReadText(json, "zone", where, instance.zone));
  valid.Update(ReadText(json, "version", where, instance.version));
  if (!valid.ok()) return valid;

  if (const auto weight = json.find("weight"); weight != json.end()) {
    if (!weight->is_number()) return Refuse(where, ".weight: must be a number");
    instance.weight = weight->get<double>();
  }
  if (const auto healthy = json.find("healthy"); healthy != json.end()) {
    if (!healthy->is_boolean()) {
      return Refuse(where, ".healthy: must be true or false");
    }
    instance.healthy = healthy->get<bool>();
  }
  if (const auto metadata = json.find("metadata"); metadata != json.end()) {
    if (!metadata->is_object()) {
      return Refuse(where, ".metadata: must be an object");
    }
    for (const auto& [key, value] : metadata->items()) {
      if (!value.is_string()) {
        return Refuse(where, ".metadata.", key, ": must be a string");
      }
      instance.metadata[key] = value.get<std::string>();
    }
  }
  if (valid = CheckInstance(instance); !valid.ok()) {
    return Refuse(where, ": ", valid.message());
  }
  return instance;
}

absl::StatusOr<std::vector<Instance>> ReadInstances(const Json& json,
                                                    const std::string& where) {
  if (!json.is_array()) return Refuse(where, ": must be an array");
  std::vector<Instance> instances;
  instances.reserve(json.size());
  for (const Json& element : json) {
    absl::StatusOr<Instance> instance =
        ReadInstance(element, absl::StrCat(where, "[", instances.size(), "]"));
    if (!instance.ok()) return instance.status();
    instances.push_back(*std::move(instance));
  }
  if (absl::Status valid = SortInstances(instances); !valid.ok()) {
    return Refuse(where, ": ", valid.message());
  }
  return instances;
}

}  // namespace

absl::StatusOr<InstanceLists> ParseInstanceFile(std::string_view text) {
  // The file, its services, one's list, an instance, its metadata.
  constexpr std::size_t kDepth = 5;
  const absl::StatusOr<Json> file =
      ParseJson(text, "file", kMaxFileBytes, kDepth, kMaxFileServices);
  if (!file.ok()) return file.status();
  absl::Status valid = CheckMembers(*file, "file", {"services"});
  if (!valid.ok()) return valid;
  const auto services = file->find("services");
  if (services == file->end()) return Refuse("file: has no \"services\"");
  if (!services->is_object()) return Refuse("services: must be an object");

  InstanceLists lists;
  for (const auto& [service, json] : services->items()) {
    if (valid = CheckServiceName(service); !valid.ok()) {
      return Refuse("services: ", valid.message());
    }
    absl::StatusOr<std::vector<Instance>> instances =
        ReadInstances(json, absl::StrCat("services.", service));
    if (!instances.ok()) return instances.status();
    lists[service] = *std::move(instances);
  }
  return lists;
}

}  // namespace grpccommon::internal
