// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "grpccommon/base/clock.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/base/scheduler.h"
#include "grpccommon/stream/state_feed.h"
#include "platform/contest/v1/contest_service.pb.h"
#include "services/contest/board.h"
#include "services/contest/contest_store.h"

namespace platform::contest {

/// One contest that somebody looks at: its board and its announcements in
/// memory, as of a change in the database, and who watches them.
///
/// Changes are not handed in but read from the database, those since the last
/// that is known: so it does not matter which process made them, and what is
/// shown is what is stored.
///
/// Thread-safe.
class LiveContest : public std::enable_shared_from_this<LiveContest> {
 public:
  using BoardFeed = grpccommon::StateFeed<v1::LeaderboardUpdate>;
  using AnnouncementFeed = grpccommon::StateFeed<v1::Announcement>;
  using Done = std::function<void(const absl::Status&)>;

  /// `store` and `clock` are borrowed; the store may end first, if nothing is
  /// refreshed after that.
  LiveContest(std::string id, ContestQueue& store,
              const grpccommon::Clock& clock);

  /// Reads what has changed and tells it to the watchers. `done` (may be null)
  /// gets OK once all that was committed before this call is known, or the
  /// error of the store, kNotFound if there is no such contest; on a thread of
  /// the store's.
  void Refresh(Done done = nullptr);

  struct Page {
    v1::Leaderboard board;
    /// Of its last row, if others follow.
    std::optional<Board::Place> last;
    std::size_t row_count = 0;
  };
  /// The board as `caller` may see it, as of the last refresh: the rows after
  /// `after`, at most `limit` and as many as fit into kMaxMessageBytes.
  Page Show(const Caller& caller,
            const std::optional<Board::Place>& after = std::nullopt,
            std::size_t limit = std::numeric_limits<std::size_t>::max()) const;
  /// The stream gets the board as `caller` may see it, or the announcements
  /// after number `after`. After a refresh. Errors: those of StateFeed.
  absl::Status WatchBoard(const Caller& caller,
                          const std::shared_ptr<BoardFeed::Writer>& writer);
  absl::Status WatchAnnouncements(
      std::int64_t after,
      const std::shared_ptr<AnnouncementFeed::Writer>& writer);

  /// Ends all watches.
  void Close(const absl::Status& status);
  std::size_t watchers() const;

  /// What clients take by default, less what a message has besides its rows.
  static constexpr std::size_t kMaxMessageBytes = (4 << 20) - (16 << 10);
  /// Of the parts of what is larger.
  static constexpr std::size_t kPartBytes = 1 << 20;

 private:
  // What one kind of caller sees.
  struct View {
    explicit View(bool managers) : for_managers(managers) {}

    const bool for_managers;
    std::optional<Board> board;
    // The version that all rows of were changed.
    std::int64_t whole_since = 0;
    bool frozen = false;
    bool with_problems = false;
  };

  void StartRead();
  void Read(const std::function<absl::Status()>& apply);
  absl::Status Apply(ContestStore& store);
  void ApplyTo(View& view, const BoardChanges& changes, WallTime now) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  BoardFeed::Update Since(const View& view, std::int64_t from) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  v1::LeaderboardUpdate UpdateOf(const View& view) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  AnnouncementFeed::Update AnnouncementAfter(std::int64_t number) const;
  const View& ViewOf(const Caller& caller) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string id_;
  ContestQueue& store_;
  const grpccommon::Clock& clock_;

  mutable grpccommon::Mutex mutex_;
  Contest contest_ ABSL_GUARDED_BY(mutex_);
  Phase phase_ ABSL_GUARDED_BY(mutex_) = Phase::kUpcoming;
  WallTime changed_at_ ABSL_GUARDED_BY(mutex_);  // the database or the phase
  // Grows with every change of the database or the phase. The feeds' versions
  // are kParts of these, see Since.
  std::int64_t version_ ABSL_GUARDED_BY(mutex_) = 0;
  View full_ ABSL_GUARDED_BY(mutex_){true};
  View shown_ ABSL_GUARDED_BY(mutex_){false};
  std::vector<std::shared_ptr<const v1::Announcement>> announcements_
      ABSL_GUARDED_BY(mutex_);

  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  // Those whom the read that runs, or the one after it, answers.
  std::vector<Done> waiting_ ABSL_GUARDED_BY(mutex_);
  bool again_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<Done> waiting_for_next_ ABSL_GUARDED_BY(mutex_);

  // They ask for what they send, under a lock of theirs: never called under
  // ours.
  BoardFeed full_feed_;
  BoardFeed shown_feed_;
  AnnouncementFeed announcement_feed_;
};

struct LiveContestsOptions {
  /// How often changes by other processes, and of the phase, are looked for;
  /// in [10 ms, 1 min].
  Duration poll_interval = std::chrono::milliseconds(500);
  /// How long a contest that nobody watches is kept.
  Duration keep = std::chrono::minutes(1);
};

/// The contests that somebody looks at. Thread-safe.
///
/// At the end: `Close`, then the store, then this.
class LiveContests {
 public:
  /// All are borrowed; scheduler and clock must outlive this.
  LiveContests(ContestQueue& store, grpccommon::Scheduler& scheduler,
               LiveContestsOptions options = {},
               const grpccommon::Clock& clock = grpccommon::SteadyClock());

  /// `done` gets the contest, refreshed, or the error of LiveContest::Refresh.
  void Look(
      const std::string& id,
      std::function<void(absl::StatusOr<std::shared_ptr<LiveContest>>)> done);
  /// Something of the contest was committed.
  void Changed(std::string_view id);

  /// Ends all watches, also those to come, with `status`, and looks no more for
  /// changes by others.
  void Close(const absl::Status& status);
  /// Watches that run.
  std::size_t watchers() const;
  /// Contests that are in memory.
  std::size_t size() const;

 private:
  struct Entry {
    std::shared_ptr<LiveContest> contest;
    grpccommon::Clock::TimePoint looked_at;
  };

  void Poll();
  std::vector<std::shared_ptr<LiveContest>> All() const;

  ContestQueue& store_;
  const LiveContestsOptions options_;
  const grpccommon::Clock& clock_;
  mutable grpccommon::Mutex mutex_;
  std::map<std::string, Entry, std::less<>> contests_ ABSL_GUARDED_BY(mutex_);
  absl::Status closed_ ABSL_GUARDED_BY(mutex_);
  std::optional<grpccommon::PeriodicTask> poll_;  // first to go
};

}  // namespace platform::contest
