// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/base/baton.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace grpccommon {
namespace {

// Orders two threads, as gRPC does, where ThreadSanitizer does not see it: it
// knows no fences.
class UnseenFlag {
 public:
  void Set() {
    std::atomic_thread_fence(std::memory_order_release);
    set_.store(true, std::memory_order_relaxed);
  }
  void Wait() const {
    while (!set_.load(std::memory_order_relaxed)) std::this_thread::yield();
    std::atomic_thread_fence(std::memory_order_acquire);
  }

 private:
  std::atomic<bool> set_{false};
};

// These fail in the `tsan` preset if the baton does nothing.
TEST(BatonTest, ShowsThreadSanitizerWhatOneThreadLeavesToAnother) {
  int left = 0;
  Baton baton;
  UnseenFlag passed;
  std::thread other([&] {
    passed.Wait();
    baton.Take();
    EXPECT_EQ(left, 1);
  });
  left = 1;
  baton.Pass();
  passed.Set();
  other.join();
}

TEST(BatonTest, IsPassedByEveryThreadThatHadIt) {
  int left = 0;
  int right = 0;
  Baton baton;
  UnseenFlag passed;
  UnseenFlag passed_too;
  std::thread other([&] {
    left = 1;
    baton.Pass();
    passed.Set();
  });
  std::thread last([&] {
    passed.Wait();
    passed_too.Wait();
    baton.Take();
    EXPECT_EQ(left + right, 2);
  });
  right = 1;
  baton.Pass();
  passed_too.Set();
  last.join();
  other.join();
}

}  // namespace
}  // namespace grpccommon
