// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

// The little of protobuf's wire format that statuses are written in. Refusals
// are hot on an overloaded server, and building the messages first costs twice
// the allocations. Fields numbered below 16 only.
namespace grpccommon::internal {

inline std::size_t VarintSize(std::uint64_t value) {
  std::size_t size = 1;
  for (; value >= 0x80; value >>= 7) ++size;
  return size;
}

/// Of a field of type string, bytes or message whose value has `size` bytes.
inline std::size_t BytesFieldSize(std::size_t size) {
  return 1 + VarintSize(size) + size;
}

inline void AppendVarint(std::uint64_t value, std::string& out) {
  for (; value >= 0x80; value >>= 7) {
    out.push_back(static_cast<char>(value | 0x80));
  }
  out.push_back(static_cast<char>(value));
}

inline void AppendVarintField(int number, std::uint64_t value,
                              std::string& out) {
  out.push_back(static_cast<char>(number << 3));
  AppendVarint(value, out);
}

inline void AppendBytesHeader(int number, std::size_t size, std::string& out) {
  out.push_back(static_cast<char>((number << 3) | 2));
  AppendVarint(size, out);
}

inline void AppendBytesField(int number, std::string_view bytes,
                             std::string& out) {
  AppendBytesHeader(number, bytes.size(), out);
  out.append(bytes);
}

/// A google.rpc.RetryInfo; a negative delay is none.
inline std::string SerializeRetryInfo(std::chrono::nanoseconds delay) {
  delay = std::max(delay, std::chrono::nanoseconds::zero());
  const auto whole = std::chrono::duration_cast<std::chrono::seconds>(delay);
  std::string duration;
  AppendVarintField(1, static_cast<std::uint64_t>(whole.count()), duration);
  AppendVarintField(2, static_cast<std::uint64_t>((delay - whole).count()),
                    duration);
  std::string info;
  AppendBytesField(1, duration, info);
  return info;
}

}  // namespace grpccommon::internal
