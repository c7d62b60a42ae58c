// SPDX-License-Identifier: Apache-2.0
// A simulation's future. Advances a fake clock from one event to the next, so
// that a minute of a thousand clients takes a moment and sleeps never.
#pragma once

#include <cstdint>
#include <queue>
#include <utility>
#include <vector>

#include "grpccommon/testing/fake_clock.h"

namespace grpccommon {

/// Events in the order of their times; of the same time, in that of `Add`.
template <typename Event>
class EventQueue {
 public:
  /// `clock` is borrowed.
  explicit EventQueue(testing::FakeClock& clock) : clock_(clock) {}

  void Add(Clock::TimePoint at, Event event) {
    entries_.push({at, ++added_, std::move(event)});
  }

  /// Hands every event before `end` to `handle`, when the clock stands at its
  /// time; `handle` may add more.
  template <typename Handle>
  void RunUntil(Clock::TimePoint end, Handle handle) {
    while (!entries_.empty() && entries_.top().at < end) {
      const Entry entry = entries_.top();
      entries_.pop();
      clock_.Advance(entry.at - clock_.Now());
      handle(entry.event);
    }
    clock_.Advance(end - clock_.Now());
  }

 private:
  struct Entry {
    Clock::TimePoint at;
    std::uint64_t number;
    Event event;
    bool operator<(const Entry& other) const {  // the top is the greatest
      return at != other.at ? at > other.at : number > other.number;
    }
  };

  testing::FakeClock& clock_;
  std::uint64_t added_ = 0;
  std::priority_queue<Entry> entries_;
};

}  // namespace grpccommon
