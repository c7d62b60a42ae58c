// SPDX-License-Identifier: Apache-2.0
// Counts the calls of operator new by the thread that asks. Include it in one
// source file of a program. Under a sanitizer, which brings operators of its
// own, nothing is counted.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <new>

#include "support/sanitized.h"

namespace grpccommon {

#ifdef GRPCCOMMON_SANITIZED
inline constexpr bool kCountsAllocations = false;
#else
inline constexpr bool kCountsAllocations = true;
#endif

inline thread_local std::uint64_t thread_allocations = 0;

}  // namespace grpccommon

#ifndef GRPCCOMMON_SANITIZED
// noinline, or gcc sees malloc's memory go to delete and takes offence.
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++grpccommon::thread_allocations;
  if (void* const memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
#endif
