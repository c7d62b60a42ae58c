// SPDX-License-Identifier: Apache-2.0
// Defines GRPCCOMMON_SANITIZED where AddressSanitizer or ThreadSanitizer brings
// the heap: what it keeps back says nothing about the program. And what tests
// do about either that start programs.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define GRPCCOMMON_SANITIZED 1
#elif defined(__has_feature)  // clang, which defines no such macros
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define GRPCCOMMON_SANITIZED 1
#endif
#endif

namespace grpccommon::test {

/// What of our environment a program needs that is given one of its own, each
/// as "NAME=value": its sanitizer is to pass over what ours does.
inline std::vector<std::string> InheritedEnvironment() {
  std::vector<std::string> variables;
  for (const char* const name : {"ASAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS",
                                 "UBSAN_OPTIONS", "LD_LIBRARY_PATH"}) {
    const char* const value = std::getenv(name);
    if (value != nullptr) variables.push_back(std::string(name) + "=" + value);
  }
  return variables;
}

/// What a program printed, from its sanitizer's first report on, 8 KiB of it at
/// most; empty if there is none. A killed one has no exit code to tell by.
inline std::string SanitizerReport(std::string_view printed) {
  std::size_t first = std::string_view::npos;
  for (const std::string_view mark :
       {"ERROR: AddressSanitizer", "ERROR: LeakSanitizer",
        "WARNING: ThreadSanitizer", ": runtime error: "}) {
    first = std::min(first, printed.find(mark));
  }
  if (first == std::string_view::npos) return "";
  return std::string(printed.substr(first, 8192));
}

}  // namespace grpccommon::test
