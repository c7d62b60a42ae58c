// SPDX-License-Identifier: Apache-2.0
// Any bytes as a name server's answer: refused with a message, or records that
// can be called.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "registry/dns_records.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using grpccommon::internal::HostKind;
  const auto answer = grpccommon::internal::ParseSrvAnswer(
      std::span<const std::uint8_t>(data, size));
  if (!answer.ok()) {
    if (answer.status().message().empty()) std::abort();
    return 0;
  }
  if (answer->records.empty() || answer->ttl.count() < 0) std::abort();
  for (const auto& record : answer->records) {
    if (record.target.empty()) continue;
    const auto kind = grpccommon::internal::CheckHost(record.target);
    if (!kind.ok() || *kind != HostKind::kName || record.port == 0) {
      std::abort();
    }
  }
  return 0;
}
