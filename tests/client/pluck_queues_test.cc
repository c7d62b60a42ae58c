// SPDX-License-Identifier: Apache-2.0
#include "client/pluck_queues.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <vector>

#include "grpc/grpc.h"
#include "grpccommon/base/mutex.h"

namespace grpccommon::internal {
namespace {

class PluckQueuesTest : public ::testing::Test {
 protected:
  PluckQueuesTest() { grpc_init(); }
  ~PluckQueuesTest() override { grpc_shutdown(); }
};

TEST_F(PluckQueuesTest, AThreadGetsItsQueueAgain) {
  PluckQueues queues;
  const grpc::CompletionQueue* const first = &*PluckQueues::Lease(queues);
  EXPECT_EQ(&*PluckQueues::Lease(queues), first);
}

TEST_F(PluckQueuesTest, ACallWithinACallHasAQueueOfItsOwn) {
  PluckQueues queues;
  for (int i = 0; i < 3; ++i) {
    const PluckQueues::Lease outer(queues);
    const PluckQueues::Lease inner(queues);
    EXPECT_NE(&*outer, &*inner);
  }
}

TEST_F(PluckQueuesTest, NoTwoThreadsHaveTheSameQueueAtATime) {
  PluckQueues queues;
  Mutex mutex;
  std::set<const grpc::CompletionQueue*> leased;
  std::vector<std::thread> threads;
  // More than places.
  for (int i = 0; i < 40; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 200; ++j) {
        const PluckQueues::Lease lease(queues);
        {
          const MutexLock lock(mutex);
          EXPECT_TRUE(leased.insert(&*lease).second);
        }
        std::this_thread::yield();
        const MutexLock lock(mutex);
        leased.erase(&*lease);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace grpccommon::internal
