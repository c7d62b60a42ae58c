// SPDX-License-Identifier: Apache-2.0
#include "base/snapshot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <thread>

namespace grpccommon::internal {
namespace {

using ::testing::SizeIs;

constexpr std::size_t kPlaces = Snapshot<int>::kPlaces;

// Threads read at successive places.
template <typename Function>
void RunAtPlace(std::size_t place, Function function) {
  bool ran = false;
  while (!ran) {
    std::thread([&] {
      ran = ThreadSlot() % kPlaces == place;
      if (ran) function();
    }).join();
  }
}

int ReadAtPlace(const Snapshot<int>& snapshot, std::size_t place) {
  int value = 0;
  RunAtPlace(place, [&] { value = *snapshot.Get(); });
  return value;
}

TEST(SnapshotTest, ShowsTheSameValueEverywhereAfterTwoWereSetAtOnce) {
  for (int round = 0; round < 20; ++round) {
    Snapshot<int> snapshot(std::make_shared<const int>(0));
    std::thread first;
    RunAtPlace(kPlaces / 2, [&] {
      snapshot.With([&](int) {
        first =
            std::thread([&] { snapshot.Set(std::make_shared<const int>(1)); });
        // Half of the places have the first value, and here it waits; the
        // second one sets off before it wakes up.
        while (ReadAtPlace(snapshot, 0) != 1) {
        }
      });
      snapshot.Set(std::make_shared<const int>(2));
    });
    first.join();
    std::set<int> values;
    for (std::size_t place = 0; place < kPlaces; ++place) {
      values.insert(ReadAtPlace(snapshot, place));
    }
    EXPECT_THAT(values, SizeIs(1));
  }
}

}  // namespace
}  // namespace grpccommon::internal
