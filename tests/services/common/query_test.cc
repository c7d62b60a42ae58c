// SPDX-License-Identifier: Apache-2.0
#include "services/common/query.h"

#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/common/database.h"
#include "services/common/test_database.h"

namespace platform::common {
namespace {

using WallTime = grpccommon::Clock::WallTime;
using ::testing::ElementsAre;

enum class Color : std::int16_t { kRed = 1, kGreen = 2 };

constexpr std::string_view kTables[] = {
    "CREATE TABLE things (id TEXT NOT NULL PRIMARY KEY, number BIGINT, "
    "real DOUBLE PRECISION, flag SMALLINT, color SMALLINT, at BIGINT, "
    "note TEXT);\n"};

class QueryTest : public DatabaseTest {
 protected:
  void SetUp() override {
    DatabaseTest::SetUp();
    if (IsSkipped()) return;
    database_ = *Database::Open(
        {.url = url(), .service = "test", .migrations = kTables});
    ASSERT_TRUE(database_->Begin().ok());
  }
  // In the transaction of the test.
  template <typename Work>
  void Run(Work work) {
    const absl::Status status = database_->Run([&](soci::session& sql) {
      work(sql);
      return absl::OkStatus();
    });
    EXPECT_TRUE(status.ok()) << status;
  }

  std::unique_ptr<Database> database_;
};
PLATFORM_INSTANTIATE_ON_DATABASES(QueryTest);

constexpr char kInsert[] =
    "INSERT INTO things (id, number, real, flag, color, at, note) "
    "VALUES (:id, :number, :real, :flag, :color, :at, :note)";
constexpr char kSelect[] =
    "SELECT id, number, real, flag, color, at, note FROM things "
    "WHERE id = :id";

TEST_P(QueryTest, BringsBackWhatWasBound) {
  const WallTime now(std::chrono::nanoseconds(1'766'000'000'123'456'789));
  Run([&](soci::session& sql) {
    EXPECT_EQ(Query(sql, kInsert)
                  .Bind("id", std::string_view("one"))
                  .Bind("number", std::numeric_limits<std::int64_t>::min())
                  .Bind("real", 0.1)
                  .Bind("flag", true)
                  .Bind("color", Color::kGreen)
                  .Bind("at", now)
                  .Bind("note", std::optional<std::string>("'; DROP TABLE --"))
                  .Run(),
              1);
    std::string id;
    std::int64_t number = 0;
    double real = 0;
    bool flag = false;
    Color color = Color::kRed;
    WallTime at;
    std::string note;
    Query query(sql, kSelect);
    query.Bind("id", "one").Into(id, number, real, flag, color, at, note);
    ASSERT_TRUE(query.Next());
    EXPECT_EQ(id, "one");
    EXPECT_EQ(number, std::numeric_limits<std::int64_t>::min());
    EXPECT_EQ(real, 0.1);
    EXPECT_TRUE(flag);
    EXPECT_EQ(color, Color::kGreen);
    EXPECT_EQ(at, now);
    EXPECT_EQ(note, "'; DROP TABLE --");
    EXPECT_FALSE(query.Next());
  });
}

TEST_P(QueryTest, KnowsNull) {
  Run([&](soci::session& sql) {
    Query(sql, kInsert)
        .Bind("id", "one")
        .Bind("number", std::optional<std::int64_t>())
        .Bind("real", std::optional<double>())
        .Bind("flag", std::optional<bool>())
        .Bind("color", std::optional<Color>())
        .Bind("at", std::optional<WallTime>())
        .Bind("note", std::optional<std::string>())
        .Run();
    Query(sql, kInsert)
        .Bind("id", "two")
        .Bind("number", std::optional<std::int64_t>(7))
        .Bind("real", std::optional<double>(1.5))
        .Bind("flag", std::optional<bool>(false))
        .Bind("color", std::optional<Color>(Color::kRed))
        .Bind("at", std::optional<WallTime>(WallTime()))
        .Bind("note", std::optional<std::string>(""))
        .Run();
    std::string id;
    std::optional<std::int64_t> number = 1;
    std::optional<double> real = 1;
    std::optional<bool> flag = true;
    std::optional<Color> color = Color::kGreen;
    std::optional<WallTime> at = WallTime();
    std::optional<std::string> note = "x";
    Query query(sql,
                "SELECT id, number, real, flag, color, at, note FROM things "
                "ORDER BY id");
    query.Into(id, number, real, flag, color, at, note);
    ASSERT_TRUE(query.Next());
    EXPECT_EQ(number, std::nullopt);
    EXPECT_EQ(real, std::nullopt);
    EXPECT_EQ(flag, std::nullopt);
    EXPECT_EQ(color, std::nullopt);
    EXPECT_EQ(at, std::nullopt);
    EXPECT_EQ(note, std::nullopt);
    ASSERT_TRUE(query.Next());
    EXPECT_EQ(number, 7);
    EXPECT_EQ(real, 1.5);
    EXPECT_EQ(flag, false);
    EXPECT_EQ(color, Color::kRed);
    EXPECT_EQ(at, WallTime());
    EXPECT_EQ(note, "");
  });
}

TEST_P(QueryTest, NullWhereNoneIsExpectedIsAnError) {
  Run([&](soci::session& sql) {
    Query(sql, "INSERT INTO things (id) VALUES ('one')").Run();
  });
  const absl::Status status = database_->Run([&](soci::session& sql) {
    std::int64_t number = 0;
    Query(sql, "SELECT number FROM things").Into(number).Next();
    return absl::OkStatus();
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
}

// Else "ada\0" would find what is Ada's.
TEST_P(QueryTest, ATextWithANulIsAnError) {
  const absl::Status status =
      database_->Run([&](soci::session& sql) -> absl::Status {
        Query(sql, "INSERT INTO things (id) VALUES (:id)")
            .Bind("id", std::string_view("ada\0eve", 7))
            .Run();
        return absl::OkStatus();
      });
  EXPECT_TRUE(absl::IsInternal(status)) << status;
}

TEST_P(QueryTest, ReturnsRowsOfWhatItChangedAndCountsThem) {
  Run([&](soci::session& sql) {
    std::string id;
    std::int64_t number = 0;
    for (const char* name : {"a", "b", "c"}) {
      Query insert(sql,
                   "INSERT INTO things (id, number) VALUES (:id, :number) "
                   "ON CONFLICT (id) DO NOTHING RETURNING id, number");
      insert.Bind("id", name).Bind("number", 1).Into(id, number);
      ASSERT_TRUE(insert.Next());
      EXPECT_EQ(id, name);
      EXPECT_FALSE(insert.Next());
    }
    Query again(sql,
                "INSERT INTO things (id, number) VALUES ('a', 1) "
                "ON CONFLICT (id) DO NOTHING RETURNING id");
    again.Into(id);
    EXPECT_FALSE(again.Next());
    EXPECT_EQ(Query(sql,
                    "UPDATE things SET number = number + :more "
                    "WHERE number = :number AND id <> :not")
                  .Bind("more", 1)
                  .Bind("number", 1)
                  .Bind("not", "b")
                  .Run(),
              2);
    std::vector<std::string> ids;
    Query query(sql, "SELECT id FROM things WHERE number = 2 ORDER BY id");
    query.Into(id);
    while (query.Next()) ids.push_back(id);
    EXPECT_THAT(ids, ElementsAre("a", "c"));
    EXPECT_EQ(Query(sql, "DELETE FROM things WHERE id = 'none'").Run(), 0);
  });
  EXPECT_TRUE(database_->Commit().ok());
}

TEST_P(QueryTest, KeepsWhatItBoundAndAddressesOfMany) {
  Run([&](soci::session& sql) {
    std::string text = "SELECT 1 FROM things WHERE id IN ('none'";
    for (int i = 0; i < 100; ++i) text += ", :v" + std::to_string(i);
    text += ")";
    Query(sql, "INSERT INTO things (id) VALUES ('value 57')").Run();
    Query query(sql, text);
    for (int i = 0; i < 100; ++i) {
      query.Bind("v" + std::to_string(i), "value " + std::to_string(i));
    }
    int one = 0;
    EXPECT_TRUE(query.Into(one).Next());
  });
}

}  // namespace
}  // namespace platform::common
