// SPDX-License-Identifier: Apache-2.0
#pragma once

#if defined(__SANITIZE_THREAD__)
#define GRPCCOMMON_UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define GRPCCOMMON_UNDER_TSAN 1
#endif
#endif
#ifdef GRPCCOMMON_UNDER_TSAN
#include <sanitizer/tsan_interface.h>
#endif

namespace grpccommon {

/// Tells ThreadSanitizer, and the reader, in which order gRPC runs things.
///
/// gRPC calls a reactor on changing threads, one reaction after the other. What
/// orders them lies in its libraries, which are packaged without
/// instrumentation, so ThreadSanitizer takes what one reaction leaves to the
/// next for a race. `Pass` goes before the operation that is started, `Take` to
/// the beginning of the reaction to it.
///
/// Orders nothing by itself: it is for where someone else does. Where nobody
/// does, take a Mutex. Thread-safe; costs nothing in other builds.
class Baton {
 public:
  /// What this thread has done comes before ...
  void Pass() {
#ifdef GRPCCOMMON_UNDER_TSAN
    __tsan_release(this);
#endif
  }
  /// ... what this thread does from here on, for every earlier `Pass`.
  void Take() {
#ifdef GRPCCOMMON_UNDER_TSAN
    __tsan_acquire(this);
#endif
  }
};

}  // namespace grpccommon

#undef GRPCCOMMON_UNDER_TSAN
