// SPDX-License-Identifier: Apache-2.0
#include "services/task/task_store.h"

#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cctype>
#include <fstream>

#include "gmock/gmock.h"
#include "grpccommon/base/uuid.h"
#include "grpccommon/status/details.h"
#include "grpccommon/testing/fake_clock.h"
#include "gtest/gtest.h"
#include "services/common/query.h"
#include "services/common/test_database.h"

namespace platform::task {
namespace {

using grpccommon::ReasonOf;
using grpccommon::testing::FakeClock;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using namespace std::chrono_literals;

const Scope kAda{.owner = "ada"};
const Scope kBob{.owner = "bob"};
const Scope kAdmin{.owner = "root", .all = true};

class TaskStoreTest : public common::DatabaseTest {
 protected:
  std::unique_ptr<TaskStore> Open(TaskStoreOptions options = {}) {
    options.url = url();
    auto store = TaskStore::Open(std::move(options), clock_);
    EXPECT_TRUE(store.ok()) << store.status();
    return store.ok() ? *std::move(store) : nullptr;
  }

  // In a transaction of its own.
  Change Create(NewTask task, const std::string& owner = "ada") {
    EXPECT_TRUE(store_->database().Begin().ok());
    absl::StatusOr<Change> change = store_->Create(owner, std::move(task));
    EXPECT_TRUE(change.ok()) << change.status();
    EXPECT_TRUE(store_->database().Commit().ok());
    return *std::move(change);
  }
  Task Create(const std::string& title, const std::string& owner = "ada") {
    return Create(NewTask{.title = title}, owner).task;
  }

  std::vector<std::string> Titles(const Scope& scope,
                                  const std::string& filter = "") {
    std::vector<std::string> titles;
    const TaskPage page = *store_->List(scope, filter, 0, 1000);
    for (const Task& task : page.tasks) {
      titles.push_back(task.title);
    }
    return titles;
  }

  void SetUp() override {
    DatabaseTest::SetUp();
    if (!IsSkipped()) store_ = Open();
  }

  FakeClock clock_;
  std::unique_ptr<TaskStore> store_;
};
PLATFORM_INSTANTIATE_ON_DATABASES(TaskStoreTest);

void ExpectEqual(const Task& a, const Task& b) {
  EXPECT_EQ(a.id, b.id);
  EXPECT_EQ(a.owner, b.owner);
  EXPECT_EQ(a.title, b.title);
  EXPECT_EQ(a.description, b.description);
  EXPECT_EQ(a.status, b.status);
  EXPECT_EQ(a.priority, b.priority);
  EXPECT_EQ(a.labels, b.labels);
  EXPECT_EQ(a.metadata, b.metadata);
  EXPECT_EQ(a.created_at, b.created_at);
  EXPECT_EQ(a.updated_at, b.updated_at);
  EXPECT_EQ(a.created_sequence, b.created_sequence);
}

TEST_P(TaskStoreTest, KeepsEveryFieldOfATask) {
  const Change change = Create({.title = "Buy milk",
                                .description = "two litres\nof it",
                                .priority = Priority::kHigh,
                                .labels = {"home", "home", "\"quoted\""},
                                .metadata = {{"key", "value"}, {"", ""}}});
  EXPECT_EQ(change.type, ChangeType::kCreated);
  EXPECT_EQ(change.task.status, Status::kTodo);
  EXPECT_EQ(change.task.created_at, clock_.WallNow());
  EXPECT_EQ(change.task.updated_at, clock_.WallNow());
  EXPECT_EQ(change.task.created_sequence, change.sequence);
  EXPECT_TRUE(grpccommon::IsUuid(change.task.id));
  ExpectEqual(*store_->Get(kAda, change.task.id), change.task);
}

TEST_P(TaskStoreTest, KeepsTasksWhenReopened) {
  const Task task = Create("before");
  store_.reset();
  store_ = Open();
  ExpectEqual(*store_->Get(kAda, task.id), task);
  const Task next = Create("after");
  EXPECT_GT(next.created_sequence, task.created_sequence);
}

TEST_P(TaskStoreTest, KeepsTextAsItIs) {
  const std::vector<std::string> texts = {
      "'; DROP TABLE tasks; --",
      "\" OR 1=1 --",
      ":owner",
      "?1 $x @y",
      "Robert'); DELETE FROM task_changes WHERE ('1'='1",
      "zażółć gęślą jaźń \xF0\x9F\x98\x80",
      "{\"a\":1}",
      "\\ % _ \t\r\n",
      "\x01\x7f"};
  for (const std::string& text : texts) {
    const Change change = Create({.title = text,
                                  .description = text,
                                  .labels = {text},
                                  .metadata = {{text, text}}},
                                 text);
    const Scope scope{.owner = text};
    ExpectEqual(*store_->Get(scope, change.task.id), change.task);
    EXPECT_THAT(Titles(scope, text), ElementsAre(text));
    EXPECT_EQ(store_->Get(scope, text).status().code(),
              absl::StatusCode::kNotFound);
    ASSERT_TRUE(store_->database().Begin().ok());
    EXPECT_TRUE(store_
                    ->Update(scope, change.task.id,
                             {.title = text + text, .description = text})
                    .ok());
    ASSERT_TRUE(store_->database().Commit().ok());
    EXPECT_EQ(store_->Get(scope, change.task.id)->title, text + text);
  }
  EXPECT_EQ(*store_->Count(kAdmin, ""),
            static_cast<std::int64_t>(texts.size()));
}

TEST_P(TaskStoreTest, UpdatesOnlyWhatIsGiven) {
  const Task before = Create({.title = "title",
                              .description = "description",
                              .priority = Priority::kLow,
                              .labels = {"label"}})
                          .task;
  clock_.Advance(1s);
  ASSERT_TRUE(store_->database().Begin().ok());
  const auto updated =
      store_->Update(kAda, before.id, {.status = Status::kDone});
  ASSERT_TRUE(updated.ok());
  ASSERT_TRUE(store_->database().Commit().ok());
  ASSERT_TRUE(updated->change.has_value());
  EXPECT_EQ(updated->change->type, ChangeType::kUpdated);
  EXPECT_GT(updated->change->sequence, before.created_sequence);
  Task expected = before;
  expected.status = Status::kDone;
  expected.updated_at = clock_.WallNow();
  ExpectEqual(updated->task, expected);
  ExpectEqual(*store_->Get(kAda, before.id), expected);
}

TEST_P(TaskStoreTest, ChangesNothingWhenNothingIsNew) {
  const Task before = Create("title");
  clock_.Advance(1s);
  for (const TaskUpdate& update :
       {TaskUpdate(), TaskUpdate{.title = "title", .status = Status::kTodo}}) {
    ASSERT_TRUE(store_->database().Begin().ok());
    const auto updated = store_->Update(kAda, before.id, update);
    ASSERT_TRUE(updated.ok());
    EXPECT_FALSE(updated->change.has_value());
    ExpectEqual(updated->task, before);
    ASSERT_TRUE(store_->database().Commit().ok());
  }
  EXPECT_THAT(store_->Changes(kAda, "", 0, 10)->changes, SizeIs(1));
}

TEST_P(TaskStoreTest, ShowsEachOwnerTheirOwnAndAdminsAll) {
  const Task task = Create("ada's", "ada");
  Create("bob's", "bob");
  EXPECT_EQ(store_->Get(kBob, task.id).status().code(),
            absl::StatusCode::kNotFound);
  ASSERT_TRUE(store_->database().Begin().ok());
  EXPECT_EQ(store_->Update(kBob, task.id, {.title = "x"}).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(store_->Delete(kBob, task.id).status().code(),
            absl::StatusCode::kNotFound);
  ASSERT_TRUE(store_->database().Commit().ok());
  EXPECT_THAT(Titles(kAda), ElementsAre("ada's"));
  EXPECT_THAT(Titles(kAdmin), ElementsAre("ada's", "bob's"));
  EXPECT_EQ(*store_->Count(kBob, ""), 1);
  EXPECT_TRUE(store_->Get(kAdmin, task.id).ok());
  EXPECT_THAT(store_->Changes(kBob, "", 0, 10)->changes, SizeIs(1));
}

// As they were written before owners were known as in other services.
TEST_P(TaskStoreTest, BringsTheOwnersOfOldTasksUpToDate) {
  const std::vector<std::pair<std::string, std::string>> owners = {
      {"platform-user\x1fu1", "u1"},
      {"grpccommon-dev\x1f"
       "ada",
       "grpccommon-dev|ada"},
      {"\x1fkey-7", "key-7"}};
  for (const auto& [old, now] : owners) Create(now, old);
  Create("today's", "u1");
  store_.reset();
  {
    auto database = common::Database::Open({.url = url(), .service = "other"});
    ASSERT_TRUE(database.ok()) << database.status();
    ASSERT_TRUE((*database)->Begin().ok());
    ASSERT_TRUE((*database)
                    ->Run([](soci::session& sql) {
                      common::Query(sql,
                                    "DELETE FROM platform_migrations WHERE "
                                    "service = 'task' AND number = 3")
                          .Run();
                      return absl::OkStatus();
                    })
                    .ok());
    ASSERT_TRUE((*database)->Commit().ok());
  }
  store_ = Open();
  for (const auto& [old, now] : owners) {
    EXPECT_THAT(Titles({.owner = old}), ElementsAre());
    EXPECT_THAT(Titles({.owner = now}), ::testing::Contains(now));
    // Watchers resume as well.
    EXPECT_EQ(store_->Changes({.owner = now}, "", 0, 10)->changes[0].task.owner,
              now);
  }
  EXPECT_THAT(Titles({.owner = "u1"}), ElementsAre("u1", "today's"));
}

TEST_P(TaskStoreTest, AnIdIsTheSameInEitherCase) {
  const Task task = Create("old");
  std::string shouted = task.id;
  for (char& c : shouted) c = static_cast<char>(std::toupper(c));
  const auto found = store_->Get(kAda, shouted);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->id, task.id);
  ASSERT_TRUE(store_->database().Begin().ok());
  EXPECT_EQ(store_->Update(kAda, shouted, {.title = "new"})->task.id, task.id);
  EXPECT_TRUE(store_->Delete(kAda, shouted).ok());
  ASSERT_TRUE(store_->database().Commit().ok());
  EXPECT_THAT(Titles(kAda), ElementsAre());
}

TEST_P(TaskStoreTest, DeletesATaskOnce) {
  const Task task = Create("gone");
  ASSERT_TRUE(store_->database().Begin().ok());
  const auto change = store_->Delete(kAda, task.id);
  ASSERT_TRUE(change.ok());
  EXPECT_EQ(change->type, ChangeType::kDeleted);
  ExpectEqual(change->task, task);
  EXPECT_EQ(store_->Delete(kAda, task.id).status().code(),
            absl::StatusCode::kNotFound);
  ASSERT_TRUE(store_->database().Commit().ok());
  EXPECT_EQ(store_->Get(kAda, task.id).status().code(),
            absl::StatusCode::kNotFound);
}

TEST_P(TaskStoreTest, FiltersByTextWithoutWildcards) {
  Create("100% done");
  Create("1000 done");
  Create("under_score");
  Create("underXscore");
  Create(NewTask{.title = "other", .description = "MILK and honey"});
  Create("back\\slash");
  EXPECT_THAT(Titles(kAda, "100%"), ElementsAre("100% done"));
  EXPECT_THAT(Titles(kAda, "R_S"), ElementsAre("under_score"));
  EXPECT_THAT(Titles(kAda, "milk"), ElementsAre("other"));
  EXPECT_THAT(Titles(kAda, "k\\s"), ElementsAre("back\\slash"));
  EXPECT_THAT(Titles(kAda, "%"), ElementsAre("100% done"));
  EXPECT_THAT(Titles(kAda, "nothing"), IsEmpty());
  EXPECT_EQ(*store_->Count(kAda, "done"), 2);
}

TEST_P(TaskStoreTest, MatchesLikeTheDatabase) {
  const std::vector<std::string> texts = {
      "Milk", "mILK", "é", "É", "a%b_c\\d", "ſ", "K", "\xE2\x84\xAA"};
  for (const std::string& text : texts) Create(text);
  for (const std::string& filter : texts) {
    std::vector<std::string> matching;
    for (const std::string& text : texts) {
      if (Matches({.title = text}, filter)) matching.push_back(text);
    }
    EXPECT_EQ(Titles(kAda, filter), matching) << filter;
  }
  EXPECT_TRUE(Matches({.title = "x"}, ""));
}

TEST_P(TaskStoreTest, PagesNeitherSkipNorRepeatWhenTasksComeAndGo) {
  std::vector<std::string> ids;
  for (int i = 0; i < 10; ++i) ids.push_back(Create(std::to_string(i)).id);
  const TaskPage first = *store_->List(kAda, "", 0, 4);
  ASSERT_THAT(first.tasks, SizeIs(4));
  EXPECT_FALSE(first.last);
  ASSERT_TRUE(store_->database().Begin().ok());
  for (const int gone : {0, 3, 5}) {
    ASSERT_TRUE(store_->Delete(kAda, ids[gone]).ok());
  }
  ASSERT_TRUE(store_->database().Commit().ok());
  Create("10");
  std::vector<std::string> titles;
  std::int64_t after = first.tasks.back().created_sequence;
  for (bool last = false; !last;) {
    const TaskPage page = *store_->List(kAda, "", after, 3);
    for (const Task& task : page.tasks) titles.push_back(task.title);
    if (!page.tasks.empty()) after = page.tasks.back().created_sequence;
    last = page.last;
  }
  EXPECT_THAT(titles, ElementsAre("4", "6", "7", "8", "9", "10"));
}

TEST_P(TaskStoreTest, SaysWhichPageIsTheLast) {
  for (int i = 0; i < 3; ++i) Create("x");
  EXPECT_FALSE(store_->List(kAda, "", 0, 2)->last);
  EXPECT_TRUE(store_->List(kAda, "", 0, 3)->last);
  EXPECT_TRUE(store_->List(kAda, "", 0, 4)->last);
}

TEST_P(TaskStoreTest, TellsEveryChangeSinceANumberOnceAndInOrder) {
  const Task task = Create("one");
  ASSERT_TRUE(store_->database().Begin().ok());
  ASSERT_TRUE(store_->Update(kAda, task.id, {.title = "two"}).ok());
  ASSERT_TRUE(store_->Delete(kAda, task.id).ok());
  ASSERT_TRUE(store_->database().Commit().ok());
  Create("other");
  const ChangePage all = *store_->Changes(kAda, "", 0, 100);
  EXPECT_TRUE(all.last);
  ASSERT_THAT(all.changes, SizeIs(4));
  EXPECT_EQ(all.changes[0].type, ChangeType::kCreated);
  ExpectEqual(all.changes[0].task, task);
  EXPECT_EQ(all.changes[1].type, ChangeType::kUpdated);
  EXPECT_EQ(all.changes[1].task.title, "two");
  EXPECT_EQ(all.changes[2].type, ChangeType::kDeleted);
  EXPECT_EQ(all.changes[2].task.created_sequence, task.created_sequence);
  for (std::size_t i = 1; i < 4; ++i) {
    EXPECT_EQ(all.changes[i].sequence, all.changes[i - 1].sequence + 1);
  }
  const ChangePage page =
      *store_->Changes(kAda, "", all.changes[0].sequence, 2);
  ASSERT_THAT(page.changes, SizeIs(2));
  EXPECT_EQ(page.sequence, all.changes[2].sequence);
  EXPECT_FALSE(page.last);
  EXPECT_THAT(store_->Changes(kAda, "TWO", 0, 100)->changes, SizeIs(2));
  // A page of what is not wanted ends, too.
  const ChangePage unwanted = *store_->Changes(kBob, "", 0, 2);
  EXPECT_THAT(unwanted.changes, IsEmpty());
  EXPECT_EQ(unwanted.sequence, all.changes[1].sequence);
  EXPECT_FALSE(unwanted.last);
}

TEST_P(TaskStoreTest, RefusesChangesThatAreNotKeptOrNotYetThere) {
  store_.reset();
  store_ = Open({.kept_changes = 10});
  ASSERT_TRUE(store_->database().Begin().ok());
  for (int i = 0; i < 600; ++i) {
    ASSERT_TRUE(store_->Create("ada", {.title = "x"}).ok());
  }
  ASSERT_TRUE(store_->database().Commit().ok());
  EXPECT_EQ(store_->Changes(kAda, "", 1, 10).status().code(),
            absl::StatusCode::kOutOfRange);
  EXPECT_TRUE(store_->Changes(kAda, "", 595, 10).ok());
  EXPECT_TRUE(store_->Changes(kAda, "", 600, 10).ok());
  EXPECT_EQ(store_->Changes(kAda, "", 601, 10).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(store_->Changes(kAda, "", -1, 10).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(*store_->Count(kAda, ""), 600);
}

TEST_P(TaskStoreTest, AnotherStoreSeesWhatIsCommitted) {
  const auto reader = Open({.read_only = true});
  ASSERT_TRUE(store_->database().Begin().ok());
  const auto change = store_->Create("ada", {.title = "x"});
  EXPECT_THAT(reader->List(kAda, "", 0, 10)->tasks, IsEmpty());
  ASSERT_TRUE(store_->database().Commit().ok());
  const TaskPage page = *reader->List(kAda, "", 0, 10);
  EXPECT_THAT(page.tasks, SizeIs(1));
  EXPECT_EQ(page.sequence, change->sequence);
  EXPECT_EQ(reader->Create("ada", {.title = "x"}).status().code(),
            absl::StatusCode::kUnavailable);
}

TEST_P(TaskStoreTest, UndoesATransactionOfWhichAPartFailed) {
  std::string told;
  store_.reset();
  store_ = Open({.on_error = [&](std::string_view text) { told = text; }});
  ASSERT_TRUE(store_->database().Begin().ok());
  ASSERT_TRUE(store_->Create("ada", {.title = "good"}).ok());
  const absl::Status failure = store_->Create("ada", {.title = ""}).status();
  EXPECT_EQ(failure.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(failure.message(), "the database failed");
  EXPECT_THAT(told, HasSubstr(on_postgresql() ? "check constraint"
                                              : "CHECK constraint"));
  EXPECT_THAT(told, Not(HasSubstr("ada")));  // no text of users
  EXPECT_EQ(store_->database().Commit().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(Titles(kAda), IsEmpty());
  Create("later");
  EXPECT_THAT(Titles(kAda), ElementsAre("later"));
}

// The disk is ours with SQLite only.
class TaskStoreDiskTest : public TaskStoreTest {};
INSTANTIATE_TEST_SUITE_P(OnSqlite, TaskStoreDiskTest,
                         ::testing::Values(std::string_view("sqlite")));

// Runs `body` where no file may grow beyond a size, as on a full disk.
template <typename Body>
int RunInChild(Body body) {
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    _exit(body());
  }
  int result = -1;
  EXPECT_EQ(waitpid(child, &result, 0), child);
  return WIFEXITED(result) ? WEXITSTATUS(result) : -1;
}

TEST_P(TaskStoreDiskTest, ChangesNothingWhenTheDiskIsFull) {
  const Task kept = Create("kept");
  store_.reset();
  EXPECT_EQ(RunInChild([&] {
              const rlimit limit{.rlim_cur = 200'000, .rlim_max = 200'000};
              setrlimit(RLIMIT_FSIZE, &limit);
              const auto store = TaskStore::Open({.url = url()}, clock_);
              if (!store.ok()) return 1;
              int created = 0;
              for (;; ++created) {
                if (!(*store)->database().Begin().ok()) return 2;
                (void)(*store)->Create(
                    "ada",
                    {.title = "x", .description = std::string(9000, 'y')});
                const absl::Status status = (*store)->database().Commit();
                if (status.ok()) {
                  if (created > 1000) return 3;
                  continue;
                }
                if (status.code() != absl::StatusCode::kResourceExhausted &&
                    status.code() != absl::StatusCode::kUnavailable) {
                  return 4;
                }
                break;
              }
              // Reads go on, and show what was acknowledged and no more.
              if (*(*store)->Count(kAda, "") != created + 1) return 5;
              return created > 0 ? 0 : 6;
            }),
            0);
  store_ = Open();
  EXPECT_TRUE(store_->Get(kAda, kept.id).ok());
  // The child drew the same random ids after its fork.
  clock_.Advance(1s);
  Create("there is room again");
}

// A disk that is full rather than a file that may not grow.
class SmallDisk {
 public:
  explicit SmallDisk(std::string path) : path_(std::move(path)) {
    mkdir(path_.c_str(), 0700);
    mounted_ = mount("tmpfs", path_.c_str(), "tmpfs", 0, "size=512k") == 0;
  }
  ~SmallDisk() {
    if (mounted_) umount(path_.c_str());
  }
  bool mounted() const { return mounted_; }

 private:
  const std::string path_;
  bool mounted_;
};

TEST_P(TaskStoreDiskTest, SaysThatTheDiskIsFull) {
  const SmallDisk disk(folder_ / "disk");
  if (!disk.mounted()) GTEST_SKIP() << "needs the right to mount";
  store_ = *TaskStore::Open({.url = folder_ / "disk/tasks.db"}, clock_);
  int created = 0;
  absl::Status status;
  while (status.ok() && created < 1000) {
    ASSERT_TRUE(store_->database().Begin().ok());
    (void)store_->Create("ada",
                         {.title = "x", .description = std::string(9000, 'y')});
    status = store_->database().Commit();
    if (status.ok()) ++created;
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_EQ(ReasonOf(status), "STORE_FULL");
  EXPECT_GT(created, 0);
  EXPECT_EQ(*store_->Count(kAda, ""), created);
  store_.reset();
}

}  // namespace
}  // namespace platform::task
