// SPDX-License-Identifier: Apache-2.0
#include "services/contest/live_contest.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "services/contest/convert.h"

namespace platform::contest {
namespace {

using grpccommon::Clock;
using grpccommon::MutexLock;

// A version of a board's feed, of which a watcher may have a part: more than
// any board has teams.
constexpr std::int64_t kParts = 1 << 24;

// Adds a row unless the rows then have more than `max_bytes`.
template <typename Message>
bool AddRow(const Board::Row& row, bool with_cells, std::size_t max_bytes,
            std::size_t& bytes, Message& message) {
  ToProto(row, with_cells, *message.add_rows());
  // With its tag and length.
  bytes += message.rows(message.rows_size() - 1).ByteSizeLong() + 6;
  if (bytes <= max_bytes) return true;
  message.mutable_rows()->RemoveLast();
  return false;
}

void Tell(std::vector<LiveContest::Done>& waiting, const absl::Status& status) {
  for (const LiveContest::Done& done : waiting) done(status);
}

}  // namespace

LiveContest::LiveContest(std::string id, ContestQueue& store,
                         const Clock& clock)
    : id_(std::move(id)),
      store_(store),
      clock_(clock),
      full_feed_([this](std::int64_t from) {
        const MutexLock lock(mutex_);
        return Since(full_, from);
      }),
      shown_feed_([this](std::int64_t from) {
        const MutexLock lock(mutex_);
        return Since(shown_, from);
      }),
      announcement_feed_(
          [this](std::int64_t number) { return AnnouncementAfter(number); }) {}

void LiveContest::Refresh(Done done) {
  {
    const MutexLock lock(mutex_);
    if (reading_) {
      // It may have looked already.
      again_ = true;
      if (done != nullptr) waiting_for_next_.push_back(std::move(done));
      return;
    }
    reading_ = true;
    if (done != nullptr) waiting_.push_back(std::move(done));
  }
  StartRead();
}

void LiveContest::StartRead() {
  absl::Status added =
      store_.Read([self = shared_from_this()](ContestStore& store) {
        self->Read([&] { return self->Apply(store); });
      });
  if (!added.ok()) Read([&] { return added; });
}

void LiveContest::Read(const std::function<absl::Status()>& apply) {
  const absl::Status status = apply();
  std::vector<Done> waiting;
  bool again;
  {
    const MutexLock lock(mutex_);
    waiting.swap(waiting_);
    waiting_.swap(waiting_for_next_);
    // What cannot be read now is not tried at once, but the next time that
    // somebody looks.
    again = std::exchange(again_, false) && status.ok();
    if (!again) {
      std::move(waiting_.begin(), waiting_.end(), std::back_inserter(waiting));
      waiting_.clear();
    }
    reading_ = again;
  }
  Tell(waiting, status);
  if (again) StartRead();
}

absl::Status LiveContest::Apply(ContestStore& store) {
  const WallTime now = clock_.WallNow();
  std::int64_t after;
  std::int64_t known_announcements;
  Phase known_phase;
  {
    const MutexLock lock(mutex_);
    after = contest_.sequence;
    known_announcements = static_cast<std::int64_t>(announcements_.size());
    known_phase = phase_;
    // What is hidden depends on the phase: then everything is read anew.
    if (PhaseAt(contest_, now) != phase_) after = 0;
  }
  absl::StatusOr<BoardChanges> changes = store.ReadBoard(id_, after);
  if (!changes.ok()) return changes.status();
  std::vector<Announcement> announcements;
  if (changes->announcement_count > known_announcements) {
    auto more = store.Announcements(id_, known_announcements,
                                    ContestStore::kMaxAnnouncements);
    if (!more.ok()) return more.status();
    announcements = *std::move(more);
  }
  std::int64_t version;
  {
    const MutexLock lock(mutex_);
    for (const Announcement& announcement : announcements) {
      announcements_.push_back(
          std::make_shared<const v1::Announcement>(ToProto(announcement)));
    }
    known_announcements = static_cast<std::int64_t>(announcements_.size());
    phase_ = PhaseAt(changes->contest, now);
    const bool changed = changes->whole || phase_ != known_phase ||
                         changes->contest.sequence != contest_.sequence;
    contest_ = changes->contest;
    if (changed) {
      ++version_;
      changed_at_ = phase_ == known_phase ? changes->changed_at : now;
      ApplyTo(full_, *changes, now);
      ApplyTo(shown_, *changes, now);
    }
    version = version_;
  }
  full_feed_.Advance(version * kParts);
  shown_feed_.Advance(version * kParts);
  announcement_feed_.Advance(known_announcements);
  return absl::OkStatus();
}

void LiveContest::ApplyTo(View& view, const BoardChanges& changes,
                          WallTime now) const {
  const Contest& contest = changes.contest;
  view.frozen = !view.for_managers && BoardFrozenAt(contest, now);
  view.with_problems = view.for_managers || ProblemsShownAt(contest, now);
  // Before the freeze both are the same.
  const bool full = view.for_managers || !view.frozen;
  if (changes.whole || !view.board.has_value()) {
    view.board.emplace(Board::Rules{.starts_at = contest.starts_at,
                                    .penalty = contest.penalty,
                                    .problems = contest.problems.size()});
    view.whole_since = version_;
  }
  for (const BoardChanges::Team& team : changes.teams) {
    view.board->SetTeam(team.user_id, team.team_name);
  }
  for (const CellChange& cell : changes.cells) {
    const ContestProblem* const problem = contest.FindProblem(cell.label);
    if (problem == nullptr) continue;
    view.board->SetCell(
        cell.user_id,
        static_cast<std::size_t>(problem - contest.problems.data()),
        full ? cell.full : cell.shown);
  }
  view.board->Rank(version_);
}

v1::LeaderboardUpdate LiveContest::UpdateOf(const View& view) const {
  v1::LeaderboardUpdate update;
  update.set_sequence(contest_.sequence);
  update.set_frozen(view.frozen);
  update.set_phase(static_cast<v1::ContestPhase>(phase_));
  SetTime(changed_at_, *update.mutable_changed_at());
  if (view.with_problems) {
    for (const ContestProblem& problem : contest_.problems) {
      update.add_problem_labels(problem.label);
    }
  }
  return update;
}

// `from` is V * kParts of whoever has version V, and (V - 1) * kParts + i of
// whoever has the first i teams of it, in the order in which they came: the
// ranks may change between two parts, and that order does not. The rest is sent
// as it is now, so that all of it is as of V or later, and what has changed
// after V comes next.
LiveContest::BoardFeed::Update LiveContest::Since(const View& view,
                                                  std::int64_t from) const {
  const Board& board = *view.board;
  std::int64_t has = from < 0 ? -1 : from / kParts;
  std::size_t next = from < 0 ? 0 : static_cast<std::size_t>(from % kParts);
  std::int64_t target = has + 1;
  if (next > 0 && target < view.whole_since) {  // of another board
    has = -1;
    next = 0;
  }
  const bool begins = next == 0;
  auto update = std::make_shared<v1::LeaderboardUpdate>(UpdateOf(view));
  std::size_t bytes = 0;
  if (begins) {
    target = version_;
    update->set_snapshot(has < view.whole_since);
    const std::vector<const Board::Row*> rows = board.rows();
    const bool fits =
        std::all_of(rows.begin(), rows.end(), [&](const Board::Row* row) {
          return (!update->snapshot() && row->changed <= has) ||
                 AddRow(*row, view.with_problems, kMaxMessageBytes, bytes,
                        *update);
        });
    if (fits) {
      return {.message = std::move(update), .version = version_ * kParts};
    }
    update->clear_rows();
    bytes = 0;
  }
  while (next < board.size() && AddRow(board.team(next), view.with_problems,
                                       kPartBytes, bytes, *update)) {
    ++next;
  }
  const bool last = next == board.size();
  update->set_more(!last || target < version_);
  return {.message = std::move(update),
          .version =
              last ? target * kParts
                   : (target - 1) * kParts + static_cast<std::int64_t>(next)};
}

LiveContest::AnnouncementFeed::Update LiveContest::AnnouncementAfter(
    std::int64_t number) const {
  const MutexLock lock(mutex_);
  return {.message = announcements_.at(static_cast<std::size_t>(number)),
          .version = number + 1};
}

const LiveContest::View& LiveContest::ViewOf(const Caller& caller) const {
  return Manages(caller, contest_) ? full_ : shown_;
}

LiveContest::Page LiveContest::Show(const Caller& caller,
                                    const std::optional<Board::Place>& after,
                                    std::size_t limit) const {
  const MutexLock lock(mutex_);
  const View& view = ViewOf(caller);
  Page page{.row_count = view.board->size()};
  v1::Leaderboard& board = page.board;
  board.set_contest_id(id_);
  board.set_sequence(contest_.sequence);
  board.set_frozen(view.frozen);
  board.set_phase(static_cast<v1::ContestPhase>(phase_));
  if (view.with_problems) {
    for (const ContestProblem& problem : contest_.problems) {
      board.add_problem_labels(problem.label);
    }
  }
  std::size_t bytes = 0;
  const Board::Row* last = nullptr;
  for (const Board::Row* const row :
       after.has_value() ? view.board->RowsAfter(*after) : view.board->rows()) {
    if (static_cast<std::size_t>(board.rows_size()) == limit ||
        !AddRow(*row, view.with_problems, kMaxMessageBytes, bytes, board)) {
      page.last = Board::PlaceOf(*last);
      break;
    }
    last = row;
  }
  return page;
}

absl::Status LiveContest::WatchBoard(
    const Caller& caller, const std::shared_ptr<BoardFeed::Writer>& writer) {
  bool manages;
  {
    const MutexLock lock(mutex_);
    manages = Manages(caller, contest_);
  }
  return (manages ? full_feed_ : shown_feed_).Subscribe(writer);
}

absl::Status LiveContest::WatchAnnouncements(
    std::int64_t after,
    const std::shared_ptr<AnnouncementFeed::Writer>& writer) {
  return announcement_feed_.Subscribe(writer, after);
}

void LiveContest::Close(const absl::Status& status) {
  full_feed_.Close(status);
  shown_feed_.Close(status);
  announcement_feed_.Close(status);
}

std::size_t LiveContest::watchers() const {
  return full_feed_.watchers() + shown_feed_.watchers() +
         announcement_feed_.watchers();
}

LiveContests::LiveContests(ContestQueue& store,
                           grpccommon::Scheduler& scheduler,
                           LiveContestsOptions options, const Clock& clock)
    : store_(store), options_(options), clock_(clock) {
  poll_.emplace(scheduler, options_.poll_interval, [this] { Poll(); });
}

void LiveContests::Look(
    const std::string& id,
    std::function<void(absl::StatusOr<std::shared_ptr<LiveContest>>)> done) {
  std::shared_ptr<LiveContest> contest;
  absl::Status closed;
  {
    const MutexLock lock(mutex_);
    closed = closed_;
    if (closed.ok()) {
      Entry& entry = contests_[id];
      if (entry.contest == nullptr) {
        entry.contest = std::make_shared<LiveContest>(id, store_, clock_);
      }
      entry.looked_at = clock_.Now();
      contest = entry.contest;
    }
  }
  if (!closed.ok()) return done(closed);
  contest->Refresh(
      [this, contest, id, done = std::move(done)](const absl::Status& status) {
        if (status.ok()) return done(contest);
        if (absl::IsNotFound(status)) {
          const MutexLock lock(mutex_);
          contests_.erase(id);
        }
        done(status);
      });
}

void LiveContests::Changed(std::string_view id) {
  std::shared_ptr<LiveContest> contest;
  {
    const MutexLock lock(mutex_);
    const auto entry = contests_.find(id);
    if (entry == contests_.end()) return;
    contest = entry->second.contest;
  }
  contest->Refresh();
}

std::vector<std::shared_ptr<LiveContest>> LiveContests::All() const {
  const MutexLock lock(mutex_);
  std::vector<std::shared_ptr<LiveContest>> all;
  for (const auto& [id, entry] : contests_) all.push_back(entry.contest);
  return all;
}

void LiveContests::Poll() {
  for (const std::shared_ptr<LiveContest>& contest : All()) {
    if (contest->watchers() > 0) contest->Refresh();
  }
  std::vector<std::shared_ptr<LiveContest>> dropped;  // go without the lock
  const MutexLock lock(mutex_);
  for (auto entry = contests_.begin(); entry != contests_.end();) {
    const bool idle = entry->second.contest->watchers() == 0 &&
                      clock_.Now() - entry->second.looked_at > options_.keep;
    if (idle) dropped.push_back(std::move(entry->second.contest));
    entry = idle ? contests_.erase(entry) : std::next(entry);
  }
}

void LiveContests::Close(const absl::Status& status) {
  poll_.reset();
  {
    const MutexLock lock(mutex_);
    closed_ = status;
  }
  for (const std::shared_ptr<LiveContest>& contest : All()) {
    contest->Close(status);
  }
}

std::size_t LiveContests::watchers() const {
  std::size_t watchers = 0;
  for (const auto& contest : All()) watchers += contest->watchers();
  return watchers;
}

std::size_t LiveContests::size() const {
  const MutexLock lock(mutex_);
  return contests_.size();
}

}  // namespace platform::contest
