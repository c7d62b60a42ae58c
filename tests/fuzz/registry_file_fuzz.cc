// SPDX-License-Identifier: Apache-2.0
// Any bytes as a registry's file: refused with a message, or instances that
// each pass the check of one.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "grpccommon/registry/registry.h"
#include "registry/instance_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const auto lists = grpccommon::internal::ParseInstanceFile(
      std::string_view(reinterpret_cast<const char*>(data), size));
  if (!lists.ok()) {
    if (lists.status().message().empty()) std::abort();
    return 0;
  }
  for (const auto& [service, instances] : *lists) {
    if (!grpccommon::CheckServiceName(service).ok()) std::abort();
    const grpccommon::Instance* before = nullptr;
    for (const grpccommon::Instance& instance : instances) {
      if (!grpccommon::CheckInstance(instance).ok()) std::abort();
      if (before != nullptr && before->address >= instance.address) {
        std::abort();
      }
      before = &instance;
    }
  }
  return 0;
}
