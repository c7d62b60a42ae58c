// SPDX-License-Identifier: Apache-2.0
#include "services/problem/problem_store.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "grpccommon/base/base64.h"
#include "grpccommon/base/uuid.h"
#include "grpccommon/status/details.h"
#include "services/common/id.h"
#include "services/common/query.h"
#include "services/problem/migrations.h"

namespace platform::problem {
namespace {

using common::CanonicalId;
using common::Database;
using common::LikePattern;
using common::Query;
using grpccommon::Clock;
using grpccommon::NotFound;
using grpccommon::WithReason;
using nlohmann::json;

// All but the statement, which comes last where it is wanted.
constexpr char kColumns[] =
    "id, number, slug, title, difficulty, tags, cpu_time, memory_bytes, "
    "output_bytes, checker_kind, checker_tolerance, languages, published, "
    "author_id, created_at, updated_at, version, tests_version, test_count, "
    "test_bytes";

// A problem as a row has it.
struct Row {
  Problem problem;
  std::string tags;
  std::string languages;
  std::int64_t cpu_time = 0;
  std::int64_t test_bytes = 0;

  void ReadBy(Query& query) {
    Content& content = problem.content;
    query.Into(problem.id, problem.number, problem.slug, content.title,
               content.difficulty, tags, cpu_time, content.limits.memory_bytes,
               content.limits.output_bytes, content.checker.kind,
               content.checker.tolerance, languages, content.published,
               problem.author_id, problem.created_at, problem.updated_at,
               problem.version, problem.tests_version, problem.test_count,
               test_bytes);
  }
  Problem Parsed() const {
    Problem result = problem;
    result.content.tags = json::parse(tags).get<std::vector<std::string>>();
    result.content.languages =
        json::parse(languages).get<std::vector<std::string>>();
    result.content.limits.cpu_time = std::chrono::nanoseconds(cpu_time);
    return result;
  }
};

void BindTo(Query& query, const Content& content) {
  query.Bind("title", content.title)
      .Bind("statement", content.statement)
      .Bind("difficulty", content.difficulty)
      .Bind("tags", json(content.tags).dump())
      .Bind("cpu_time", content.limits.cpu_time.count())
      .Bind("memory_bytes", content.limits.memory_bytes)
      .Bind("output_bytes", content.limits.output_bytes)
      .Bind("checker_kind", content.checker.kind)
      .Bind("checker_tolerance", content.checker.tolerance)
      .Bind("languages", json(content.languages).dump())
      .Bind("published", content.published);
}

std::string Decoded(const std::string& text) {
  std::optional<std::string> bytes = grpccommon::Base64UrlDecode(text);
  if (!bytes.has_value()) {
    throw std::runtime_error("a test case is not readable");
  }
  return *std::move(bytes);
}

std::int64_t SizeOf(const TestCase& test) {
  return static_cast<std::int64_t>(test.input.size() +
                                   test.expected_output.size());
}

// The part of a WHERE clause that chooses by who asks and for what, and what it
// refers to. The text is ours; what callers say is bound.
class Choice {
 public:
  Choice(const Database& database, const Caller& caller, const Filter& filter)
      : caller_(caller), filter_(filter) {
    if (!caller.sees_all())
      clause_ += " AND (published = 1 OR author_id = :me)";
    if (filter.difficulty != Difficulty::kUnspecified) {
      clause_ += " AND difficulty = :difficulty";
    }
    for (std::size_t i = 0; i < filter.tags.size(); ++i) {
      absl::StrAppend(&clause_,
                      " AND EXISTS (SELECT 1 FROM problem_tags"
                      " WHERE problem_id = problems.id AND tag = :tag",
                      i, ")");
    }
    if (!filter.text.empty()) {
      absl::StrAppend(&clause_, " AND (", database.Contains("title", "text"),
                      " OR ", database.Contains("statement", "text"), ")");
    }
    if (filter.bookmarked) {
      clause_ +=
          " AND EXISTS (SELECT 1 FROM problem_bookmarks"
          " WHERE problem_id = problems.id AND user_id = :reader)";
    }
    if (!filter.author_id.empty()) clause_ += " AND author_id = :author";
  }

  const std::string& clause() const { return clause_; }
  void BindTo(Query& query) const {
    if (!caller_.sees_all()) query.Bind("me", caller_.id);
    if (filter_.difficulty != Difficulty::kUnspecified) {
      query.Bind("difficulty", filter_.difficulty);
    }
    for (std::size_t i = 0; i < filter_.tags.size(); ++i) {
      query.Bind(absl::StrCat("tag", i), filter_.tags[i]);
    }
    if (!filter_.text.empty()) query.Bind("text", LikePattern(filter_.text));
    if (filter_.bookmarked) query.Bind("reader", caller_.id);
    if (!filter_.author_id.empty()) query.Bind("author", filter_.author_id);
  }

 private:
  const Caller& caller_;
  const Filter& filter_;
  std::string clause_;
};

void InsertTags(soci::session& sql, const Problem& problem) {
  for (const std::string& tag : problem.content.tags) {
    Query(sql,
          "INSERT INTO problem_tags (problem_id, tag) VALUES (:problem, :tag)")
        .Bind("problem", problem.id)
        .Bind("tag", tag)
        .Run();
  }
}

// Whether a row of somebody's is there.
bool Has(soci::session& sql, const std::string& table,
         const std::string& problem_id, const std::string& user_id) {
  int found = 0;
  Query query(sql, absl::StrCat("SELECT 1 FROM ", table,
                                " WHERE problem_id = :problem"
                                " AND user_id = :reader"));
  query.Bind("problem", problem_id).Bind("reader", user_id).Into(found);
  return query.Next();
}

// Adds or removes a row of somebody's. The number of rows is what the counters
// go by, so that they are right however often it is said.
std::int64_t Set(soci::session& sql, const std::string& table,
                 const std::string& problem_id, const std::string& user_id,
                 bool on) {
  Query query(sql, on ? absl::StrCat("INSERT INTO ", table,
                                     " (problem_id, user_id) VALUES (:problem, "
                                     ":reader) ON CONFLICT DO NOTHING")
                      : absl::StrCat("DELETE FROM ", table,
                                     " WHERE problem_id = :problem"
                                     " AND user_id = :reader"));
  query.Bind("problem", problem_id).Bind("reader", user_id);
  const std::int64_t rows = query.Run();
  return on ? rows : -rows;
}

void AddTo(soci::session& sql, const std::string& counter,
           const std::string& problem_id, std::int64_t by) {
  if (by == 0) return;
  Query(sql, absl::StrCat("UPDATE problems SET ", counter, " = ", counter,
                          " + :by WHERE id = :id"))
      .Bind("by", by)
      .Bind("id", problem_id)
      .Run();
}

}  // namespace

ProblemStore::ProblemStore(std::unique_ptr<Database> database,
                           const ProblemStoreOptions& options,
                           const Clock& clock)
    : database_(std::move(database)),
      max_test_cases_(options.max_test_cases),
      max_test_bytes_(options.max_test_bytes),
      clock_(clock) {}

ProblemStore::~ProblemStore() = default;

absl::StatusOr<std::unique_ptr<ProblemStore>> ProblemStore::Open(
    ProblemStoreOptions options, const Clock& clock) {
  auto database = Database::Open({.url = options.url,
                                  .service = "problem",
                                  .migrations = kMigrations,
                                  .read_only = options.read_only,
                                  .on_error = std::move(options.on_error)});
  if (!database.ok()) return database.status();
  return absl::WrapUnique(
      new ProblemStore(*std::move(database), options, clock));
}

absl::StatusOr<ProblemStore::Stored> ProblemStore::FindToSee(
    soci::session& sql, const Caller& caller, std::string_view id) {
  // An id is no slug (CheckNew).
  const bool by_id = grpccommon::IsUuid(id);
  Row row;
  Query query(
      sql, absl::StrCat("SELECT ", kColumns, ", statement FROM problems WHERE ",
                        by_id ? "id" : "slug", " = :key"));
  query.Bind("key", by_id ? CanonicalId(id) : std::string(id));
  row.ReadBy(query);
  query.Into(row.problem.content.statement);
  if (!query.Next() || !MaySee(caller, row.problem)) {
    return NotFound("problem", id);
  }
  return Stored{.problem = row.Parsed(), .test_bytes = row.test_bytes};
}

absl::StatusOr<ProblemStore::Stored> ProblemStore::FindToChange(
    soci::session& sql, const Caller& caller, std::string_view id) {
  absl::StatusOr<Stored> stored = FindToSee(sql, caller, id);
  if (!stored.ok()) return stored;
  const absl::Status allowed = CheckMayChange(caller, stored->problem);
  if (!allowed.ok()) return allowed;
  return stored;
}

absl::StatusOr<Problem> ProblemStore::Create(const Caller& caller,
                                             std::string slug,
                                             Content content) {
  const Clock::WallTime now = clock_.WallNow();
  Problem problem{.id = grpccommon::UuidV7(clock_),
                  .slug = std::move(slug),
                  .content = std::move(content),
                  .author_id = caller.id,
                  .created_at = now,
                  .updated_at = now,
                  .version = 1,
                  .tests_version = 1};
  const absl::Status valid = CheckNew(problem);
  if (!valid.ok()) return valid;
  return database_->Run([&](soci::session& sql) -> absl::StatusOr<Problem> {
    // Nobody else writes meanwhile, so that what is free stays free.
    int found = 0;
    Query taken(sql, "SELECT 1 FROM problems WHERE slug = :slug");
    if (taken.Bind("slug", problem.slug).Into(found).Next()) {
      return WithReason(absl::AlreadyExistsError(absl::StrCat(
                            "the slug \"", problem.slug, "\" is taken")),
                        "SLUG_TAKEN", kErrorDomain);
    }
    Query(sql, "UPDATE problem_sequence SET latest = latest + 1").Run();
    Query(sql, "SELECT latest FROM problem_sequence")
        .Into(problem.number)
        .Next();
    Query insert(
        sql,
        "INSERT INTO problems (id, number, slug, title, statement, difficulty, "
        "tags, cpu_time, memory_bytes, output_bytes, checker_kind, "
        "checker_tolerance, languages, published, author_id, created_at, "
        "updated_at, version, tests_version) VALUES (:id, :number, :slug, "
        ":title, :statement, :difficulty, :tags, :cpu_time, :memory_bytes, "
        ":output_bytes, :checker_kind, :checker_tolerance, :languages, "
        ":published, :author_id, :created_at, :updated_at, :version, "
        ":tests_version)");
    BindTo(insert, problem.content);
    insert.Bind("id", problem.id)
        .Bind("number", problem.number)
        .Bind("slug", problem.slug)
        .Bind("author_id", problem.author_id)
        .Bind("created_at", problem.created_at)
        .Bind("updated_at", problem.updated_at)
        .Bind("version", problem.version)
        .Bind("tests_version", problem.tests_version)
        .Run();
    InsertTags(sql, problem);
    return problem;
  });
}

absl::StatusOr<Problem> ProblemStore::Update(
    const Caller& caller, std::string_view id, std::int64_t version,
    const std::function<absl::Status(Content&)>& change) {
  return database_->Run([&](soci::session& sql) -> absl::StatusOr<Problem> {
    absl::StatusOr<Stored> stored = FindToChange(sql, caller, id);
    if (!stored.ok()) return stored.status();
    Problem problem = std::move(stored->problem);
    if (problem.version != version) {
      return grpccommon::VersionConflict("problem", problem.id,
                                         problem.version);
    }
    const Content before = problem.content;
    absl::Status valid = change(problem.content);
    if (valid.ok()) valid = CheckContent(problem.content);
    if (valid.ok()) valid = CheckLimits(problem, before.limits);
    if (!valid.ok()) return valid;
    if (problem.content == before) return problem;
    ++problem.version;
    problem.updated_at = clock_.WallNow();
    Query update(
        sql,
        "UPDATE problems SET title = :title, statement = :statement, "
        "difficulty = :difficulty, tags = :tags, cpu_time = :cpu_time, "
        "memory_bytes = :memory_bytes, output_bytes = :output_bytes, "
        "checker_kind = :checker_kind, checker_tolerance = :checker_tolerance, "
        "languages = :languages, published = :published, "
        "updated_at = :updated_at, version = :version WHERE id = :id");
    BindTo(update, problem.content);
    update.Bind("updated_at", problem.updated_at)
        .Bind("version", problem.version)
        .Bind("id", problem.id)
        .Run();
    if (problem.content.tags != before.tags) {
      Query(sql, "DELETE FROM problem_tags WHERE problem_id = :id")
          .Bind("id", problem.id)
          .Run();
      InsertTags(sql, problem);
    }
    return problem;
  });
}

absl::Status ProblemStore::Delete(const Caller& caller, std::string_view id) {
  return database_->Run([&](soci::session& sql) -> absl::Status {
    const absl::StatusOr<Stored> stored = FindToChange(sql, caller, id);
    if (!stored.ok()) return stored.status();
    // And, by its references, all that belongs to it.
    Query(sql, "DELETE FROM problems WHERE id = :id")
        .Bind("id", stored->problem.id)
        .Run();
    return absl::OkStatus();
  });
}

// Writes down that the test cases are others now.
void ProblemStore::NoteTestCases(soci::session& sql, Stored& stored,
                                 std::int64_t count, std::int64_t bytes) {
  Problem& problem = stored.problem;
  problem.test_count += count;
  stored.test_bytes += bytes;
  ++problem.tests_version;
  problem.updated_at = clock_.WallNow();
  Query(sql,
        "UPDATE problems SET test_count = :count, test_bytes = :bytes, "
        "tests_version = :version, updated_at = :now WHERE id = :id")
      .Bind("count", problem.test_count)
      .Bind("bytes", stored.test_bytes)
      .Bind("version", problem.tests_version)
      .Bind("now", problem.updated_at)
      .Bind("id", problem.id)
      .Run();
}

absl::StatusOr<ProblemStore::Added> ProblemStore::AddTestCases(
    const Caller& caller, std::string_view id,
    const std::vector<TestCase>& test_cases) {
  return database_->Run([&](soci::session& sql) -> absl::StatusOr<Added> {
    absl::StatusOr<Stored> stored = FindToChange(sql, caller, id);
    if (!stored.ok()) return stored.status();
    const auto count = static_cast<std::int64_t>(test_cases.size());
    std::int64_t bytes = 0;
    for (const TestCase& test : test_cases) bytes += SizeOf(test);
    if (stored->problem.test_count + count > max_test_cases_) {
      return WithReason(absl::FailedPreconditionError(absl::StrCat(
                            "a problem has at most ", max_test_cases_,
                            " test cases; this one "
                            "has ",
                            stored->problem.test_count)),
                        "TOO_MANY_TEST_CASES", kErrorDomain);
    }
    if (stored->test_bytes + bytes > max_test_bytes_) {
      return WithReason(
          absl::FailedPreconditionError(absl::StrCat(
              "the test cases of a problem have at most ", max_test_bytes_,
              " bytes together; those of this one have ", stored->test_bytes)),
          "TEST_CASES_TOO_LARGE", kErrorDomain);
    }
    const absl::Status in_time = CheckAdded(stored->problem, count);
    if (!in_time.ok()) return in_time;
    Added added;
    std::int64_t position = stored->problem.test_count;
    for (const TestCase& test : test_cases) {
      added.ids.push_back(grpccommon::UuidV7(clock_));
      Query(sql,
            "INSERT INTO problem_test_cases (id, problem_id, position, sample, "
            "bytes, input, expected_output) VALUES (:id, :problem, :position, "
            ":sample, :bytes, :input, :expected_output)")
          .Bind("id", added.ids.back())
          .Bind("problem", stored->problem.id)
          .Bind("position", ++position)
          .Bind("sample", test.sample)
          .Bind("bytes", SizeOf(test))
          .Bind("input", grpccommon::Base64UrlEncode(test.input))
          .Bind("expected_output",
                grpccommon::Base64UrlEncode(test.expected_output))
          .Run();
    }
    NoteTestCases(sql, *stored, count, bytes);
    added.problem = std::move(stored->problem);
    return added;
  });
}

absl::StatusOr<Problem> ProblemStore::DeleteTestCase(
    const Caller& caller, std::string_view id, std::string_view test_case_id) {
  return database_->Run([&](soci::session& sql) -> absl::StatusOr<Problem> {
    absl::StatusOr<Stored> stored = FindToChange(sql, caller, id);
    if (!stored.ok()) return stored.status();
    std::int64_t position = 0;
    std::int64_t bytes = 0;
    {
      Query query(sql,
                  "SELECT position, bytes FROM problem_test_cases"
                  " WHERE id = :id AND problem_id = :problem");
      query.Bind("id", CanonicalId(test_case_id))
          .Bind("problem", stored->problem.id)
          .Into(position, bytes);
      if (!query.Next()) return NotFound("test case", test_case_id);
    }
    Query(sql, "DELETE FROM problem_test_cases WHERE id = :id")
        .Bind("id", CanonicalId(test_case_id))
        .Run();
    Query(sql,
          "UPDATE problem_test_cases SET position = position - 1"
          " WHERE problem_id = :problem AND position > :position")
        .Bind("problem", stored->problem.id)
        .Bind("position", position)
        .Run();
    NoteTestCases(sql, *stored, -1, -bytes);
    return std::move(stored->problem);
  });
}

absl::StatusOr<std::int64_t> ProblemStore::SetLike(const Caller& caller,
                                                   std::string_view id,
                                                   bool on) {
  return database_->Run(
      [&](soci::session& sql) -> absl::StatusOr<std::int64_t> {
        const absl::StatusOr<Stored> stored = FindToSee(sql, caller, id);
        if (!stored.ok()) return stored.status();
        const std::string& key = stored->problem.id;
        AddTo(sql, "likes", key, Set(sql, "problem_likes", key, caller.id, on));
        std::int64_t likes = 0;
        Query query(sql, "SELECT likes FROM problems WHERE id = :id");
        query.Bind("id", key).Into(likes).Next();
        return likes;
      });
}

absl::Status ProblemStore::SetBookmark(const Caller& caller,
                                       std::string_view id, bool on) {
  return database_->Run([&](soci::session& sql) -> absl::Status {
    const absl::StatusOr<Stored> stored = FindToSee(sql, caller, id);
    if (!stored.ok()) return stored.status();
    const std::string& key = stored->problem.id;
    AddTo(sql, "bookmarks", key,
          Set(sql, "problem_bookmarks", key, caller.id, on));
    return absl::OkStatus();
  });
}

absl::Status ProblemStore::RecordVerdict(const Verdict& verdict) {
  return database_->Run([&](soci::session& sql) -> absl::Status {
    const absl::StatusOr<Stored> stored =
        FindToSee(sql, {.service = true}, verdict.problem_id);
    if (!stored.ok()) return stored.status();
    const std::string& key = stored->problem.id;
    const std::int64_t fresh =
        Query(sql,
              "INSERT INTO problem_verdicts (submission_id, problem_id)"
              " VALUES (:submission, :problem) ON CONFLICT DO NOTHING")
            .Bind("submission", CanonicalId(verdict.submission_id))
            .Bind("problem", key)
            .Run();
    if (fresh == 0) return absl::OkStatus();
    AddTo(sql, "submissions", key, 1);
    if (!verdict.accepted) return absl::OkStatus();
    AddTo(sql, "accepted", key, 1);
    AddTo(sql, "solvers", key,
          Set(sql, "problem_solvers", key, verdict.user_id, true));
    return absl::OkStatus();
  });
}

absl::StatusOr<ProblemView> ProblemStore::View(const Caller& caller,
                                               std::string_view id_or_slug,
                                               std::int64_t max_sample_bytes) {
  return database_->Run([&](soci::session& sql) -> absl::StatusOr<ProblemView> {
    absl::StatusOr<Stored> stored = FindToSee(sql, caller, id_or_slug);
    if (!stored.ok()) return stored.status();
    ProblemView view{.problem = std::move(stored->problem)};
    const std::string& key = view.problem.id;
    view.samples = ReadTestCases(sql, view.problem, true, 0,
                                 static_cast<std::size_t>(max_test_cases_),
                                 max_sample_bytes)
                       .test_cases;
    // A page has at least one, however large.
    if (!view.samples.empty() &&
        SizeOf(view.samples.front()) > max_sample_bytes) {
      view.samples.clear();
    }
    view.liked = Has(sql, "problem_likes", key, caller.id);
    view.bookmarked = Has(sql, "problem_bookmarks", key, caller.id);
    return view;
  });
}

absl::StatusOr<ProblemPage> ProblemStore::List(const Caller& caller,
                                               const Filter& filter,
                                               std::int64_t after,
                                               std::size_t limit) {
  return database_->Run([&](soci::session& sql) -> absl::StatusOr<ProblemPage> {
    const Choice choice(*database_, caller, filter);
    Row row;
    Query query(sql,
                absl::StrCat("SELECT ", kColumns,
                             " FROM problems WHERE number > :after",
                             choice.clause(), " ORDER BY number LIMIT :rows"));
    query.Bind("after", after)
        .Bind("rows", limit + 1);  // one more tells whether there are more
    choice.BindTo(query);
    row.ReadBy(query);
    ProblemPage page;
    while (query.Next()) {
      page.last = page.problems.size() < limit;
      if (!page.last) break;
      page.problems.push_back(row.Parsed());
    }
    return page;
  });
}

absl::StatusOr<std::int64_t> ProblemStore::Count(const Caller& caller,
                                                 const Filter& filter) {
  return database_->Run(
      [&](soci::session& sql) -> absl::StatusOr<std::int64_t> {
        const Choice choice(*database_, caller, filter);
        std::int64_t count = 0;
        Query query(sql,
                    absl::StrCat("SELECT count(*) FROM problems WHERE 1 = 1",
                                 choice.clause()));
        choice.BindTo(query);
        query.Into(count).Next();
        return count;
      });
}

absl::StatusOr<Stats> ProblemStore::GetStats(const Caller& caller,
                                             std::string_view id) {
  return database_->Run([&](soci::session& sql) -> absl::StatusOr<Stats> {
    const absl::StatusOr<Stored> stored = FindToSee(sql, caller, id);
    if (!stored.ok()) return stored.status();
    Stats stats;
    Query query(sql,
                "SELECT likes, bookmarks, submissions, accepted, solvers"
                " FROM problems WHERE id = :id");
    query.Bind("id", stored->problem.id)
        .Into(stats.likes, stats.bookmarks, stats.submissions, stats.accepted,
              stats.solvers)
        .Next();
    return stats;
  });
}

TestCasePage ProblemStore::ReadTestCases(
    soci::session& sql, const Problem& problem, bool samples_only,
    std::int64_t position, std::size_t max_count, std::int64_t max_bytes) {
  const std::string from = absl::StrCat(
      " FROM problem_test_cases"
      " WHERE problem_id = :problem AND position > :position",
      samples_only ? " AND sample = 1" : "", " ORDER BY position LIMIT :rows");
  TestCasePage page{.tests_version = problem.tests_version};
  // Sizes first, for a client of PostgreSQL has all rows in memory at once.
  std::size_t count = 0;
  std::int64_t bytes = 0;
  {
    std::int64_t total = 0;
    Query sizes(sql, absl::StrCat("SELECT bytes", from));
    sizes.Bind("problem", problem.id)
        .Bind("position", position)
        .Bind("rows", max_count + 1)
        .Into(bytes);
    while (page.last && sizes.Next()) {
      total += bytes;
      page.last = count < max_count && (count == 0 || total <= max_bytes);
      if (page.last) ++count;
    }
  }
  if (count == 0) return page;
  TestCase test;
  std::string input;
  std::string expected_output;
  Query query(
      sql, absl::StrCat("SELECT id, sample, input, expected_output, position",
                        from));
  query.Bind("problem", problem.id)
      .Bind("position", position)
      .Bind("rows", count)
      .Into(test.id, test.sample, input, expected_output, test.position);
  while (query.Next()) {
    test.input = Decoded(input);
    test.expected_output = Decoded(expected_output);
    page.test_cases.push_back(test);
  }
  return page;
}

absl::StatusOr<TestCasePage> ProblemStore::TestCases(
    const Caller& caller, std::string_view id, bool include_hidden,
    std::int64_t position, std::size_t max_count, std::int64_t max_bytes) {
  return database_->Run(
      [&](soci::session& sql) -> absl::StatusOr<TestCasePage> {
        const absl::StatusOr<Stored> stored = FindToSee(sql, caller, id);
        if (!stored.ok()) return stored.status();
        if (include_hidden && !MaySeeHidden(caller, stored->problem)) {
          return WithReason(
              absl::PermissionDeniedError(
                  "hidden test cases are for the problem's author and those "
                  "with role admin or service"),
              "NOT_THE_AUTHOR", kErrorDomain);
        }
        return ReadTestCases(sql, stored->problem, !include_hidden, position,
                             max_count, max_bytes);
      });
}

}  // namespace platform::problem
