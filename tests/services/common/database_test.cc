// SPDX-License-Identifier: Apache-2.0
#include "services/common/database.h"

#include <signal.h>
#include <soci/soci.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "grpccommon/status/details.h"
#include "gtest/gtest.h"
#include "services/common/query.h"
#include "services/common/test_database.h"

namespace platform::common {
namespace {

using grpccommon::ReasonOf;
using grpccommon::test::PostgresProcess;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr std::string_view kFirst = R"sql(
-- Things; and what they have.
CREATE TABLE things (
  id TEXT NOT NULL PRIMARY KEY,
  size BIGINT NOT NULL CHECK (size < 1000)
);

CREATE TABLE parts (
  id TEXT NOT NULL PRIMARY KEY,
  thing TEXT NOT NULL REFERENCES things (id)
);
)sql";
constexpr std::string_view kSecond =
    "ALTER TABLE things ADD COLUMN name TEXT NOT NULL DEFAULT 'none';\n"
    "INSERT INTO things (id, size) VALUES ('from the script', 1);\n";

class DatabaseOpenTest : public DatabaseTest {
 protected:
  absl::StatusOr<std::unique_ptr<Database>> TryOpen(
      std::vector<std::string_view> migrations, bool read_only = false,
      const std::string& service = "test") {
    migrations_ = std::move(migrations);
    return Database::Open({.url = url(),
                           .service = service,
                           .migrations = migrations_,
                           .read_only = read_only,
                           .on_error = [this](std::string_view error) {
                             errors_.emplace_back(error);
                           }});
  }
  std::unique_ptr<Database> Open(std::vector<std::string_view> migrations,
                                 bool read_only = false) {
    auto database = TryOpen(std::move(migrations), read_only);
    EXPECT_TRUE(database.ok()) << database.status();
    return *std::move(database);
  }

  static absl::Status Insert(Database& database, const std::string& id,
                             int size = 1) {
    return database.Run([&](soci::session& sql) {
      Query(sql, "INSERT INTO things (id, size) VALUES (:id, :size)")
          .Bind("id", id)
          .Bind("size", size)
          .Run();
      return absl::OkStatus();
    });
  }
  static absl::Status Write(Database& database, const std::string& id,
                            int size = 1) {
    if (absl::Status begun = database.Begin(); !begun.ok()) return begun;
    (void)Insert(database, id, size);
    return database.Commit();
  }
  static absl::StatusOr<std::vector<std::string>> Read(Database& database) {
    return database.Run(
        [](soci::session& sql) -> absl::StatusOr<std::vector<std::string>> {
          std::vector<std::string> ids;
          std::string id;
          Query query(sql, "SELECT id FROM things ORDER BY id");
          query.Into(id);
          while (query.Next()) ids.push_back(id);
          return ids;
        });
  }

  std::vector<std::string_view> migrations_;
  std::vector<std::string> errors_;
};
PLATFORM_INSTANTIATE_ON_DATABASES(DatabaseOpenTest);

TEST_P(DatabaseOpenTest, AppliesEachMigrationOnce) {
  ASSERT_TRUE(Write(*Open({kFirst}), "kept").ok());
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(*Read(*Open({kFirst, kSecond})),
                ElementsAre("from the script", "kept"));
  }
  EXPECT_THAT(*Read(*Open({kFirst, kSecond}, /*read_only=*/true)),
              ElementsAre("from the script", "kept"));
}

TEST_P(DatabaseOpenTest, AppliesAllMissingMigrationsOrNone) {
  ASSERT_TRUE(Write(*Open({kFirst}), "kept").ok());
  const auto failed = TryOpen({kFirst, kSecond, "CREATE TABLE things (x;\n"});
  EXPECT_EQ(failed.status().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(*Read(*Open({kFirst})), ElementsAre("kept"));
  EXPECT_THAT(*Read(*Open({kFirst, kSecond})),
              ElementsAre("from the script", "kept"));
}

TEST_P(DatabaseOpenTest, RefusesWhatAnotherVersionHasWritten) {
  (void)Open({kFirst, kSecond});
  const absl::Status newer = TryOpen({kFirst}).status();
  EXPECT_EQ(newer.code(), absl::StatusCode::kFailedPrecondition) << newer;
  EXPECT_THAT(std::string(newer.message()), HasSubstr("a newer version"));
  const absl::Status older =
      TryOpen({kFirst, kSecond, kSecond}, /*read_only=*/true).status();
  EXPECT_EQ(older.code(), absl::StatusCode::kFailedPrecondition) << older;
  EXPECT_THAT(std::string(older.message()), HasSubstr("an older version"));
}

TEST_P(DatabaseOpenTest, CountsTheMigrationsOfEachServiceByThemselves) {
  (void)Open({kFirst, kSecond});
  constexpr std::string_view kOther = "CREATE TABLE others (id BIGINT);\n";
  EXPECT_TRUE(TryOpen({kOther}, false, "other").ok());
  EXPECT_TRUE(TryOpen({kOther}, false, "other").ok());
}

TEST_P(DatabaseOpenTest, MayBeOpenedForTheFirstTimeByManyAtOnce) {
  for (int round = 0; round < 3; ++round) {
    Renew();
    std::vector<pid_t> children;
    for (int i = 0; i < 8; ++i) {
      children.push_back(fork());
      if (children.back() != 0) continue;
      const auto database = TryOpen({kFirst, kSecond});
      if (!database.ok()) {
        std::cerr << database.status() << '\n';
        _exit(1);
      }
      _exit(Write(**database, "child " + std::to_string(i)).ok() ? 0 : 2);
    }
    for (const pid_t child : children) {
      int result = -1;
      ASSERT_EQ(waitpid(child, &result, 0), child);
      EXPECT_EQ(result, 0);
    }
    EXPECT_EQ(Read(*Open({kFirst, kSecond}))->size(), 9u);
  }
}

TEST_P(DatabaseOpenTest, UndoesWhatIsNotCommitted) {
  const auto database = Open({kFirst});
  ASSERT_TRUE(database->Begin().ok());
  ASSERT_TRUE(Insert(*database, "a").ok());
  database->Rollback();
  EXPECT_THAT(*Read(*database), IsEmpty());
  EXPECT_TRUE(Write(*database, "b").ok());
  EXPECT_THAT(*Read(*database), ElementsAre("b"));
}

TEST_P(DatabaseOpenTest, OthersSeeWhatIsCommitted) {
  const auto writer = Open({kFirst});
  const auto reader = Open({kFirst}, /*read_only=*/true);
  ASSERT_TRUE(writer->Begin().ok());
  ASSERT_TRUE(Insert(*writer, "a").ok());
  EXPECT_THAT(*Read(*writer), ElementsAre("a"));
  EXPECT_THAT(*Read(*reader), IsEmpty());
  ASSERT_TRUE(writer->Commit().ok());
  EXPECT_THAT(*Read(*reader), ElementsAre("a"));
}

TEST_P(DatabaseOpenTest, ReadsFromOneSnapshot) {
  const auto writer = Open({kFirst});
  const auto reader = Open({kFirst}, /*read_only=*/true);
  EXPECT_TRUE(reader
                  ->Run([&](soci::session&) {
                    EXPECT_THAT(*Read(*reader), IsEmpty());
                    EXPECT_TRUE(Write(*writer, "a").ok());
                    EXPECT_THAT(*Read(*reader), IsEmpty());
                    return absl::OkStatus();
                  })
                  .ok());
  EXPECT_THAT(*Read(*reader), ElementsAre("a"));
}

TEST_P(DatabaseOpenTest, WritesInTransactionsOnly) {
  const auto writer = Open({kFirst});
  EXPECT_EQ(Insert(*writer, "a").code(), absl::StatusCode::kUnavailable);
  const auto reader = Open({kFirst}, /*read_only=*/true);
  EXPECT_EQ(Insert(*reader, "a").code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(reader->Begin().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(*Read(*reader), IsEmpty());
}

TEST_P(DatabaseOpenTest, NamesTheKindOfFailureAndUndoesItsTransaction) {
  const auto database = Open({kFirst});
  ASSERT_TRUE(Write(*database, "a").ok());

  const absl::Status duplicate = Write(*database, "a");
  EXPECT_EQ(duplicate.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(ReasonOf(duplicate), "STORE_DUPLICATE");

  ASSERT_TRUE(database->Begin().ok());
  ASSERT_TRUE(Insert(*database, "b").ok());
  const absl::Status reference = database->Run([](soci::session& sql) {
    Query(sql, "INSERT INTO parts (id, thing) VALUES ('p', :thing)")
        .Bind("thing", "nothing")
        .Run();
    return absl::OkStatus();
  });
  EXPECT_EQ(reference.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonOf(reference), "STORE_REFERENCE");
  // The transaction is over, whatever is tried in it.
  EXPECT_EQ(Insert(*database, "c"), reference);
  EXPECT_EQ(database->Commit(), reference);

  const absl::Status check = Write(*database, "d", 1000);
  EXPECT_EQ(check.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(*Read(*database), ElementsAre("a"));
}

TEST_P(DatabaseOpenTest, TellsTheOperatorNoValues) {
  const auto database = Open({kFirst});
  ASSERT_TRUE(Write(*database, "very secret").ok());
  (void)Write(*database, "very secret");
  (void)Write(*database, "very secret too", 1000);
  (void)database->Run([](soci::session& sql) {
    int size = 0;
    Query(sql, "SELECT size FROM things WHERE size > CAST(:size AS BIGINT)")
        .Bind("size", "very secret")
        .Into(size)
        .Next();
    return absl::OkStatus();
  });
  ASSERT_GE(errors_.size(), 2u);
  EXPECT_THAT(errors_[0], HasSubstr("things"));
  for (const std::string& error : errors_) {
    EXPECT_THAT(error, Not(HasSubstr("secret")));
    EXPECT_THAT(error, Not(HasSubstr("INSERT")));
  }
}

TEST_P(DatabaseOpenTest, AttemptsAPartOfATransaction) {
  const auto database = Open({kFirst});
  ASSERT_TRUE(database->Begin().ok());
  EXPECT_TRUE(database->Attempt([&] { return Insert(*database, "a"); }).ok());
  EXPECT_EQ(database->Attempt([&] {
    (void)Insert(*database, "b");
    return absl::NotFoundError("no");
  }),
            absl::NotFoundError("no"));
  EXPECT_EQ(database
                ->Attempt([&] {
                  (void)Insert(*database, "c");
                  (void)Insert(*database, "a");
                  return absl::OkStatus();
                })
                .code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_TRUE(database->Attempt([&] { return Insert(*database, "d"); }).ok());
  EXPECT_TRUE(database->Commit().ok());
  EXPECT_THAT(*Read(*database), ElementsAre("a", "d"));
}

TEST_P(DatabaseOpenTest, AnAttemptDoesNotForgiveWhatFailedBefore) {
  const auto database = Open({kFirst});
  ASSERT_TRUE(database->Begin().ok());
  EXPECT_FALSE(Insert(*database, "x", 1000).ok());
  EXPECT_FALSE(database->Attempt([&] { return Insert(*database, "a"); }).ok());
  EXPECT_FALSE(database->Commit().ok());
  EXPECT_THAT(*Read(*database), IsEmpty());
}

TEST_P(DatabaseOpenTest, DoesNotTakeARollbackForACommit) {
  const auto database = Open({kFirst});
  ASSERT_TRUE(database->Begin().ok());
  EXPECT_TRUE(database
                  ->Run([](soci::session& sql) {
                    try {
                      sql << "INSERT INTO things (id, size) VALUES ('a', 1)";
                      sql << "nonsense";
                    } catch (const std::exception&) {
                      sql << "ROLLBACK";
                    }
                    return absl::OkStatus();
                  })
                  .ok());
  EXPECT_EQ(database->Commit().code(), absl::StatusCode::kInternal);
  EXPECT_EQ(database->Commit().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(*Read(*database), IsEmpty());
}

TEST_P(DatabaseOpenTest, WritersTakeTurnsAndSeeEachOthersWork) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 25;
  (void)Open({kFirst});
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([this] {
      const auto database = *Database::Open(
          {.url = url(), .service = "test", .migrations = migrations_});
      for (int round = 0; round < kRounds; ++round) {
        ASSERT_TRUE(database->Begin().ok());
        const absl::StatusOr<std::vector<std::string>> ids = Read(*database);
        ASSERT_TRUE(ids.ok());
        // Whoever had not seen all others' would make one twice.
        EXPECT_TRUE(Insert(*database, std::to_string(ids->size())).ok());
        EXPECT_TRUE(database->Commit().ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Read(*Open({kFirst}))->size(), kThreads * kRounds);
}

TEST_P(DatabaseOpenTest, AnExceptionOfTheWorkIsOurMistake) {
  const auto database = Open({kFirst});
  ASSERT_TRUE(database->Begin().ok());
  ASSERT_TRUE(Insert(*database, "a").ok());
  EXPECT_EQ(database
                ->Run([](soci::session&) -> absl::Status {
                  throw std::runtime_error("oh");
                })
                .code(),
            absl::StatusCode::kInternal);
  EXPECT_FALSE(database->Commit().ok());
  EXPECT_THAT(*Read(*database), IsEmpty());
}

TEST_P(DatabaseOpenTest, FindsTextWhateverTheCaseOfAsciiLetters) {
  const auto database = Open({kFirst});
  for (const char* id :
       {"100% Done", "1000 done", "under_score", "É", "é", "back\\slash"}) {
    ASSERT_TRUE(Write(*database, id).ok());
  }
  const auto find = [&](const std::string& text) {
    return *database->Run(
        [&](soci::session& sql) -> absl::StatusOr<std::vector<std::string>> {
          std::vector<std::string> ids;
          std::string id;
          Query query(sql, "SELECT id FROM things WHERE " +
                               database->Contains("id", "pattern"));
          query.Bind("pattern", LikePattern(text)).Into(id);
          while (query.Next()) ids.push_back(id);
          return ids;
        });
  };
  EXPECT_THAT(find("0% dOnE"), ElementsAre("100% Done"));
  EXPECT_THAT(find("R_S"), ElementsAre("under_score"));
  EXPECT_THAT(find("K\\s"), ElementsAre("back\\slash"));
  EXPECT_THAT(find("é"), ElementsAre("é"));
  EXPECT_THAT(find("").size(), 6u);
}

TEST(DatabaseTest, RefusesAUrlThatIsNone) {
  for (const char* url :
       {"", "sqlite:", "mysql://host/db", "http://x",
        ":memory:", "sqlite::memory:", "with\"quote", "with\nline"}) {
    EXPECT_EQ(Database::Open({.url = url, .service = "test"}).status().code(),
              absl::StatusCode::kInvalidArgument)
        << url;
  }
}

TEST(DatabaseTest, TellsWhyItCannotOpenAFile) {
  const TempFolder folder;
  mkdir((folder / "folder").c_str(), 0700);
  std::ofstream(folder / "garbage") << std::string(8192, 'x');
  const std::vector<std::pair<std::string, absl::StatusCode>> cases = {
      {folder / "missing/test.db", absl::StatusCode::kUnavailable},
      {folder / "folder", absl::StatusCode::kUnavailable},
      {folder / "garbage", absl::StatusCode::kDataLoss},
      {"/proc/test.db", absl::StatusCode::kUnavailable}};
  for (const auto& [path, code] : cases) {
    const absl::Status status =
        Database::Open({.url = path, .service = "test"}).status();
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(path));
  }
}

TEST(DatabaseTest, NobodyElseOnTheMachineReadsTheFiles) {
  const TempFolder folder;
  const mode_t mask = umask(0);
  const auto database =
      Database::Open({.url = folder / "test.db", .service = "test"});
  umask(mask);
  ASSERT_TRUE(database.ok()) << database.status();
  for (const char* name : {"test.db", "test.db-wal", "test.db-shm"}) {
    struct stat info;
    ASSERT_EQ(stat((folder / name).c_str(), &info), 0) << name;
    EXPECT_EQ(info.st_mode & 07777, 0600u) << name;
  }
}

TEST(DatabaseTest, RefusesAReadOnlyFile) {
  const TempFolder folder;
  const std::string path = folder / "test.db";
  ASSERT_TRUE(Database::Open({.url = path, .service = "test"}).ok());
  chmod(path.c_str(), 0444);
  // Root may write what it likes, so somebody else opens it.
  const pid_t child = fork();
  if (child == 0) {
    if (geteuid() == 0 && seteuid(65534) != 0) _exit(2);
    const auto database = Database::Open({.url = path, .service = "test"});
    _exit(absl::IsUnavailable(database.status()) ? 0 : 1);
  }
  int result = -1;
  ASSERT_EQ(waitpid(child, &result, 0), child);
  EXPECT_EQ(result, 0);
}

TEST(DatabaseTest, TakesOverAFileThatHasItsVersionInItsHeader) {
  const TempFolder folder;
  const std::vector<std::string_view> migrations = {kFirst, kSecond};
  const DatabaseOptions options{
      .url = folder / "test.db", .service = "test", .migrations = migrations};
  ASSERT_TRUE(Database::Open(options).ok());
  {
    soci::session sql("sqlite3", "dbname=" + options.url);
    sql << "DROP TABLE platform_migrations";
    sql << "PRAGMA user_version = 2";
  }
  EXPECT_TRUE(Database::Open(options).ok());
}

class PostgresTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!PostgresProcess::Available()) GTEST_SKIP() << "not installed";
    database_ = Open();
  }
  std::unique_ptr<Database> Open(bool read_only = false) {
    if (url_.empty()) url_ = PostgresProcess::Shared().NewDatabase();
    auto database = Database::Open({.url = url_,
                                    .service = "test",
                                    .migrations = migrations_,
                                    .read_only = read_only});
    EXPECT_TRUE(database.ok()) << database.status();
    return *std::move(database);
  }
  std::string Name() const { return url_.substr(url_.rfind('/') + 1); }

  absl::Status Insert(const std::string& id) {
    if (absl::Status begun = database_->Begin(); !begun.ok()) return begun;
    (void)database_->Run([&](soci::session& sql) {
      Query(sql, "INSERT INTO things (id, size) VALUES (:id, 1)")
          .Bind("id", id)
          .Run();
      return absl::OkStatus();
    });
    return database_->Commit();
  }
  static absl::StatusOr<int> Count(Database& database) {
    return database.Run([](soci::session& sql) -> absl::StatusOr<int> {
      int count = 0;
      Query(sql, "SELECT count(*) FROM things").Into(count).Next();
      return count;
    });
  }

  const std::vector<std::string_view> migrations_ = {kFirst};
  std::string url_;
  std::unique_ptr<Database> database_;
};

TEST_F(PostgresTest, ConnectsAgainWhenItsConnectionsWereEnded) {
  const auto reader = Open(/*read_only=*/true);
  ASSERT_TRUE(Insert("a").ok());
  PostgresProcess::Shared().Execute(
      "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
      "WHERE datname = '" +
      Name() + "'");
  EXPECT_TRUE(Insert("b").ok());
  EXPECT_EQ(*Count(*reader), 2);
  // As it was set up before.
  EXPECT_FALSE(reader->Begin().ok());
}

TEST_F(PostgresTest, IsUnavailableWhileTheServerIsAwayAndThenWorksAgain) {
  ASSERT_TRUE(Insert("a").ok());
  PostgresProcess::Shared().Kill();
  for (int i = 0; i < 2; ++i) {
    const absl::Status status = Insert("b");
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(ReasonOf(status), "STORE_UNAVAILABLE");
    EXPECT_EQ(Count(*database_).status().code(),
              absl::StatusCode::kUnavailable);
  }
  PostgresProcess::Shared().Start();
  EXPECT_TRUE(Insert("c").ok());
  EXPECT_EQ(*Count(*database_), 2);
}

TEST_F(PostgresTest, ChangesNothingWhenAConnectionIsLostInATransaction) {
  ASSERT_TRUE(database_->Begin().ok());
  const absl::Status failed = database_->Run([](soci::session& sql) {
    sql << "INSERT INTO things (id, size) VALUES ('a', 1)";
    sql << "SELECT pg_terminate_backend(pg_backend_pid())";
    return absl::OkStatus();
  });
  EXPECT_EQ(failed.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(database_->Commit().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(*Count(*database_), 0);
}

// Ends its own connection while the transaction commits.
constexpr char kEndsAtCommit[] =
    "CREATE FUNCTION end_it() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); "
    "PERFORM pg_sleep(30); RETURN NULL; END $$; "
    "CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON things "
    "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION end_it()";

TEST_F(PostgresTest, AsksWhetherACommitThatWasCutOffHappened) {
  PostgresProcess::Shared().Execute(kEndsAtCommit, Name());
  EXPECT_EQ(Insert("a").code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(*Count(*database_), 0);
  PostgresProcess::Shared().Execute("DROP TRIGGER at_commit ON things", Name());

  // With a standby that is not there a commit is made and then waits for ever,
  // until its connection is ended. When that begins is the server's affair.
  PostgresProcess& server = PostgresProcess::Shared();
  server.Execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
  server.Execute("SELECT pg_reload_conf()");
  std::atomic<bool> ended = false;
  std::thread ends_it([&] {
    server.Execute(
        "DO $$ DECLARE waiting int; BEGIN LOOP "
        "SELECT pid INTO waiting FROM pg_stat_activity "
        "WHERE wait_event = 'SyncRep'; EXIT WHEN FOUND; "
        "PERFORM pg_stat_clear_snapshot(); END LOOP; "
        "PERFORM pg_terminate_backend(waiting); END $$");
    server.Execute("ALTER SYSTEM RESET synchronous_standby_names");
    server.Execute("SELECT pg_reload_conf()");
    ended = true;
  });
  int inserted = 0;
  while (!ended) {
    EXPECT_TRUE(Insert("b" + std::to_string(inserted)).ok());
    ++inserted;
  }
  ends_it.join();
  EXPECT_EQ(*Count(*database_), inserted);
}

TEST_F(PostgresTest, SaysThatItDoesNotKnowWhetherACommitHappened) {
  PostgresProcess::Shared().Execute(kEndsAtCommit, Name());
  PostgresProcess::Shared().Execute("ALTER DATABASE " + Name() +
                                    " ALLOW_CONNECTIONS false");
  const absl::Status status = Insert("a");
  EXPECT_EQ(status.code(), absl::StatusCode::kUnknown);
  EXPECT_EQ(ReasonOf(status), "STORE_OUTCOME_UNKNOWN");
}

TEST_F(PostgresTest, WaitsForALockOnlySoLong) {
  const auto other = Open();
  ASSERT_TRUE(other->Begin().ok());
  EXPECT_EQ(Insert("a").code(), absl::StatusCode::kUnavailable);
  other->Rollback();
  EXPECT_TRUE(Insert("a").ok());
}

TEST_F(PostgresTest, RunsOutOfPatienceWithADeadlock) {
  const absl::Status status = [&] {
    EXPECT_TRUE(database_->Begin().ok());
    (void)database_->Run([](soci::session& sql) {
      sql << "DO $$ BEGIN RAISE deadlock_detected; END $$";
      return absl::OkStatus();
    });
    return database_->Commit();
  }();
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(ReasonOf(status), "STORE_CONFLICT");
}

TEST_F(PostgresTest, MapsWhatTheServerSaysToWhatTheCallerCanDo) {
  const std::vector<std::pair<const char*, absl::StatusCode>> cases = {
      {"53100", absl::StatusCode::kResourceExhausted},
      {"53300", absl::StatusCode::kUnavailable},
      {"55P03", absl::StatusCode::kUnavailable},
      {"57014", absl::StatusCode::kUnavailable},
      {"40001", absl::StatusCode::kAborted},
      {"XX001", absl::StatusCode::kDataLoss},
      {"XX000", absl::StatusCode::kInternal},
      {"42P01", absl::StatusCode::kInternal}};
  for (const auto& [state, code] : cases) {
    const std::string statement =
        "DO $$ BEGIN RAISE SQLSTATE '" + std::string(state) + "'; END $$";
    const absl::Status status = database_->Run([&](soci::session& sql) {
      sql << statement;
      return absl::OkStatus();
    });
    EXPECT_EQ(status.code(), code) << state;
    EXPECT_TRUE(Count(*database_).ok());
  }
}

TEST_F(PostgresTest, NamesADatabaseWithoutItsPassword) {
  const absl::Status status =
      Database::Open({.url = "postgresql://ada:s3cret@127.0.0.1:1/db"
                             "?password=s3cret",
                      .service = "test"})
          .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("postgresql://127.0.0.1:1/db"));
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("s3cret")));
}

}  // namespace
}  // namespace platform::common
