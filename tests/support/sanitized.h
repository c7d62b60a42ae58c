// SPDX-License-Identifier: Apache-2.0
// Defines GRPCCOMMON_SANITIZED where AddressSanitizer or ThreadSanitizer brings
// the heap: what it keeps back says nothing about the program. With the latter,
// GRPCCOMMON_TSAN as well.
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#define GRPCCOMMON_SANITIZED 1
#elif defined(__SANITIZE_THREAD__)
#define GRPCCOMMON_SANITIZED 1
#define GRPCCOMMON_TSAN 1
#elif defined(__has_feature)  // clang, which defines no such macros
#if __has_feature(address_sanitizer)
#define GRPCCOMMON_SANITIZED 1
#elif __has_feature(thread_sanitizer)
#define GRPCCOMMON_SANITIZED 1
#define GRPCCOMMON_TSAN 1
#endif
#endif
