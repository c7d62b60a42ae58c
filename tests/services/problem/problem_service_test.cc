// SPDX-License-Identifier: Apache-2.0
// The problem service behind the whole chain, called over the wire.
#include "services/problem/problem_service.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "google/protobuf/util/message_differencer.h"
#include "google/rpc/error_details.pb.h"
#include "grpccommon/base/base64.h"
#include "grpccommon/base/hex.h"
#include "grpccommon/base/uuid.h"
#include "grpccommon/metrics/metrics_registry.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/status/details.h"
#include "grpccommon/testing/status_matchers.h"
#include "grpccommon/testing/test_server.h"
#include "grpccommon/tracing/memory_exporter.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"
#include "services/common/test_database.h"
#include "support/believer.h"

namespace platform::problem {
namespace {

using grpccommon::FromGrpcStatus;
using grpccommon::ServerOptions;
using grpccommon::testing::HasReason;
using grpccommon::testing::IsOk;
using grpccommon::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

// Somebody, with one role or none.
const char kAda[] = "ada author";
const char kBob[] = "bob author";
const char kEve[] = "eve user";
const char kRoot[] = "root admin";
const char kJudge[] = "judge service";
const char kNobody[] = "";

std::vector<std::string> FieldsOf(const absl::Status& status) {
  google::rpc::BadRequest request;
  EXPECT_TRUE(grpccommon::GetDetail(status, request)) << status;
  std::vector<std::string> fields;
  for (const auto& violation : request.field_violations()) {
    fields.push_back(violation.field());
  }
  return fields;
}

class ProblemServiceTest : public common::DatabaseTest {
 protected:
  using Server = grpccommon::testing::TestServer<v1::ProblemService>;

  void SetUp() override {
    DatabaseTest::SetUp();
    if (!IsSkipped()) Start();
  }
  void TearDown() override { Stop(); }

  void Start(ServerOptions options = {}, ProblemServiceOptions service = {}) {
    Stop();
    store_ = *StoreQueue::Create([this](bool read_only) {
      return ProblemStore::Open({.url = url(), .read_only = read_only});
    });
    service_ = std::make_unique<ProblemService>(*store_, service);
    options.grpc_address = "127.0.0.1:0";
    options.auth.make_authenticator = [](grpccommon::Scheduler&,
                                         const grpccommon::Logger&) {
      return std::make_unique<grpccommon::test::Believer>();
    };
    server_ = *Server::Start(*service_, std::move(options));
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);  // a window of 64 KiB
    arguments.SetMaxReceiveMessageSize(-1);
    stub_ = v1::ProblemService::NewStub(grpc::CreateCustomChannel(
        "127.0.0.1:" + std::to_string(server_->server().grpc_port()),
        grpc::InsecureChannelCredentials(), arguments));
  }
  void Stop() {
    server_.reset();
    service_.reset();
    store_.reset();
  }

  static std::unique_ptr<grpc::ClientContext> As(const std::string& caller) {
    auto context = std::make_unique<grpc::ClientContext>();
    context->set_deadline(std::chrono::system_clock::now() +
                          std::chrono::seconds(30));
    if (!caller.empty()) context->AddMetadata("authorization", caller);
    return context;
  }

  // One unary call.
  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(
      grpc::Status (v1::ProblemService::Stub::*method)(grpc::ClientContext*,
                                                       const Request&,
                                                       Response*),
      const std::string& caller, const Request& request) {
    Response response;
    const grpc::Status status =
        ((*stub_).*method)(As(caller).get(), request, &response);
    if (!status.ok()) return FromGrpcStatus(status);
    return response;
  }

  absl::StatusOr<v1::Problem> Create(const std::string& slug,
                                     const std::string& caller = kAda,
                                     bool published = true,
                                     const v1::Problem& content = {}) {
    v1::CreateProblemRequest request;
    *request.mutable_problem() = content;
    request.mutable_problem()->set_slug(slug);
    if (content.title().empty()) request.mutable_problem()->set_title(slug);
    request.mutable_problem()->set_published(published);
    const auto response =
        Call(&v1::ProblemService::Stub::CreateProblem, caller, request);
    if (!response.ok()) return response.status();
    return response->problem();
  }
  absl::StatusOr<v1::GetProblemResponse> Get(const std::string& id,
                                             const std::string& caller = kEve) {
    v1::GetProblemRequest request;
    request.set_problem_id(id);
    return Call(&v1::ProblemService::Stub::GetProblem, caller, request);
  }
  absl::StatusOr<v1::Problem> Update(const v1::Problem& problem,
                                     const std::vector<std::string>& paths,
                                     const std::string& caller = kAda) {
    v1::UpdateProblemRequest request;
    *request.mutable_problem() = problem;
    request.mutable_update_mask()->mutable_paths()->Assign(paths.begin(),
                                                           paths.end());
    const auto response =
        Call(&v1::ProblemService::Stub::UpdateProblem, caller, request);
    if (!response.ok()) return response.status();
    return response->problem();
  }
  absl::Status Delete(const std::string& id, const std::string& caller = kAda) {
    v1::DeleteProblemRequest request;
    request.set_problem_id(id);
    return Call(&v1::ProblemService::Stub::DeleteProblem, caller, request)
        .status();
  }
  absl::StatusOr<v1::ListProblemsResponse> List(
      const v1::ListProblemsRequest& request = {},
      const std::string& caller = kEve) {
    return Call(&v1::ProblemService::Stub::ListProblems, caller, request);
  }
  absl::StatusOr<v1::AddTestCasesResponse> AddTests(
      const std::string& id, const std::vector<v1::TestCase>& tests,
      const std::string& caller = kAda) {
    v1::AddTestCasesRequest request;
    request.set_problem_id(id);
    request.mutable_test_cases()->Assign(tests.begin(), tests.end());
    return Call(&v1::ProblemService::Stub::AddTestCases, caller, request);
  }
  static v1::TestCase Test(const std::string& input, bool sample = false,
                           const std::string& output = "out") {
    v1::TestCase test;
    test.set_sample(sample);
    test.set_input(input);
    test.set_expected_output(output);
    return test;
  }
  absl::StatusOr<std::vector<v1::TestCase>> ReadTests(
      const std::string& id, const std::string& caller = kJudge,
      bool hidden = true) {
    v1::ListTestCasesRequest request;
    request.set_problem_id(id);
    request.set_include_hidden(hidden);
    const auto context = As(caller);
    const auto reader = stub_->ListTestCases(context.get(), request);
    std::vector<v1::TestCase> tests;
    for (v1::TestCase test; reader->Read(&test);) tests.push_back(test);
    const grpc::Status status = reader->Finish();
    if (!status.ok()) return FromGrpcStatus(status);
    return tests;
  }
  absl::StatusOr<v1::GetProblemStatsResponse> StatsOf(
      const std::string& id, const std::string& caller = kEve) {
    v1::GetProblemStatsRequest request;
    request.set_problem_id(id);
    return Call(&v1::ProblemService::Stub::GetProblemStats, caller, request);
  }
  absl::StatusOr<std::int64_t> Like(const std::string& id,
                                    const std::string& caller = kEve,
                                    bool remove = false) {
    v1::LikeProblemRequest request;
    request.set_problem_id(id);
    request.set_remove(remove);
    const auto response =
        Call(&v1::ProblemService::Stub::LikeProblem, caller, request);
    if (!response.ok()) return response.status();
    return response->likes();
  }
  absl::Status Bookmark(const std::string& id, const std::string& caller = kEve,
                        bool remove = false) {
    v1::BookmarkProblemRequest request;
    request.set_problem_id(id);
    request.set_remove(remove);
    return Call(&v1::ProblemService::Stub::BookmarkProblem, caller, request)
        .status();
  }
  absl::Status Record(const std::string& id, const std::string& submission,
                      bool accepted, const std::string& caller = kJudge) {
    v1::RecordVerdictRequest request;
    request.set_problem_id(id);
    request.set_submission_id(submission);
    request.set_user_id("eve");
    request.set_accepted(accepted);
    return Call(&v1::ProblemService::Stub::RecordVerdict, caller, request)
        .status();
  }
  static std::vector<std::string> SlugsOf(
      const v1::ListProblemsResponse& response) {
    std::vector<std::string> slugs;
    for (const v1::Problem& problem : response.problems()) {
      slugs.push_back(problem.slug());
    }
    return slugs;
  }

  std::unique_ptr<StoreQueue> store_;
  std::unique_ptr<ProblemService> service_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<v1::ProblemService::Stub> stub_;
};
PLATFORM_INSTANTIATE_ON_DATABASES(ProblemServiceTest);

TEST_P(ProblemServiceTest, AProblemFromItsBeginningToItsEnd) {
  v1::Problem content;
  content.set_title("Two Sum");
  content.set_statement("# Two\n'; DROP TABLE problems; -- %s %n π");
  content.set_difficulty(v1::DIFFICULTY_EASY);
  content.add_tags("arrays");
  content.mutable_limits()->mutable_cpu_time()->set_nanos(500'000'000);
  content.mutable_checker()->set_kind(v1::Checker::KIND_NUMBERS);
  content.mutable_checker()->set_tolerance(1e-6);
  content.add_languages("c++");
  // Set by the service, whatever the client says.
  content.set_author_id("eve");
  content.set_version(7);
  content.set_test_count(9);
  const auto made = Create("two-sum", kAda, false, content);
  ASSERT_THAT(made, IsOk());
  EXPECT_EQ(made->author_id(), "ada");
  EXPECT_EQ(made->version(), 1);
  EXPECT_EQ(made->test_count(), 0);
  EXPECT_EQ(made->statement(), content.statement());
  EXPECT_EQ(made->limits().cpu_time().nanos(), 500'000'000);
  EXPECT_EQ(made->limits().memory_bytes(), 0);
  EXPECT_EQ(made->checker().tolerance(), 1e-6);

  // A draft until it is published.
  EXPECT_THAT(Get(made->id()), StatusIs(absl::StatusCode::kNotFound));
  v1::Problem change = *made;
  change.set_published(true);
  const auto published = Update(change, {"published"});
  ASSERT_THAT(published, IsOk());
  EXPECT_EQ(published->version(), 2);

  const auto seen = Get("two-sum");
  ASSERT_THAT(seen, IsOk());
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(
      seen->problem(), *published));

  EXPECT_THAT(Delete(made->id()), IsOk());
  EXPECT_THAT(Delete(made->id()), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Get(made->id(), kRoot), StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(ProblemServiceTest, RolesDecideWhoMayCallWhat) {
  const std::string id = Create("two-sum")->id();
  EXPECT_THAT(Create("another", kNobody),
              StatusIs(absl::StatusCode::kUnauthenticated));
  EXPECT_THAT(Get(id, kNobody), StatusIs(absl::StatusCode::kUnauthenticated));
  EXPECT_THAT(ReadTests(id, kNobody, false),
              StatusIs(absl::StatusCode::kUnauthenticated));
  const auto denied = StatusIs(absl::StatusCode::kPermissionDenied);
  // Users read, like and bookmark.
  EXPECT_THAT(Create("another", kEve), denied);
  EXPECT_THAT(Delete(id, kEve), denied);
  EXPECT_THAT(AddTests(id, {Test("1")}, kEve), denied);
  EXPECT_THAT(ReadTests(id, kEve), denied);
  EXPECT_THAT(Record(id, grpccommon::UuidV7(), true, kEve), denied);
  EXPECT_THAT(Get(id, kEve), IsOk());
  EXPECT_THAT(ReadTests(id, kEve, false), IsOk());
  EXPECT_THAT(Like(id, kEve), IsOk());
  // Authors change what is theirs, also if somebody else is one too.
  EXPECT_THAT(Delete(id, kBob), denied);
  EXPECT_THAT(AddTests(id, {Test("1")}, kBob), denied);
  EXPECT_THAT(ReadTests(id, kBob), denied);
  EXPECT_THAT(Record(id, grpccommon::UuidV7(), true, kAda), denied);
  // Services read all and record verdicts, and change nothing.
  EXPECT_THAT(ReadTests(id, kJudge), IsOk());
  EXPECT_THAT(Record(id, grpccommon::UuidV7(), true, kJudge), IsOk());
  EXPECT_THAT(Delete(id, kJudge), denied);
  // Somebody with the same name is not the author's equal in rights.
  EXPECT_THAT(Delete(id, "ada user"), denied);
  EXPECT_THAT(Delete(id, kRoot), IsOk());
}

TEST_P(ProblemServiceTest, ADraftIsNotThereForOthersWhateverTheyTry) {
  const std::string id = Create("draft", kAda, false)->id();
  ASSERT_THAT(AddTests(id, {Test("1", true)}), IsOk());
  const auto not_found = StatusIs(absl::StatusCode::kNotFound);
  for (const char* const caller : {kEve, kBob}) {
    EXPECT_THAT(Get(id, caller), not_found);
    EXPECT_THAT(Get("draft", caller), not_found);
    EXPECT_THAT(StatsOf(id, caller), not_found);
    EXPECT_THAT(Like(id, caller), not_found);
    EXPECT_THAT(Bookmark(id, caller), not_found);
    EXPECT_THAT(ReadTests(id, caller, false), not_found);
    EXPECT_THAT(ReadTests(id, caller, true), not_found);
    EXPECT_THAT(SlugsOf(*List({}, caller)), IsEmpty());
  }
  // The same answer, word for word, as for what was never there.
  const std::string never = grpccommon::UuidV7();
  std::string text(Get(id).status().message());
  text.replace(text.find(id), id.size(), never);
  EXPECT_EQ(text, Get(never).status().message());
  EXPECT_THAT(Delete(id, kBob), not_found);
  for (const char* const caller : {kAda, kRoot, kJudge}) {
    EXPECT_THAT(Get(id, caller), IsOk());
    EXPECT_THAT(SlugsOf(*List({}, caller)), ElementsAre("draft"));
  }
}

TEST_P(ProblemServiceTest, RefusesAProblemWithoutSlugOrTitle) {
  v1::CreateProblemRequest request;
  request.mutable_problem()->set_statement("x");
  const auto made =
      Call(&v1::ProblemService::Stub::CreateProblem, kAda, request);
  EXPECT_THAT(made, StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(FieldsOf(made.status()),
              ElementsAre("problem.slug", "problem.title"));
  EXPECT_THAT(Create("Not-A-Slug"),
              StatusIs(absl::StatusCode::kInvalidArgument));
  ASSERT_THAT(Create("taken"), IsOk());
  EXPECT_THAT(Create("taken", kBob),
              AllOf(StatusIs(absl::StatusCode::kAlreadyExists),
                    HasReason("SLUG_TAKEN")));
}

TEST_P(ProblemServiceTest, OfOneSlugAtOnceOneIsMade) {
  std::atomic<int> made{0};
  std::atomic<int> taken{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back([&] {
      const auto problem = Create("race");
      if (problem.ok()) {
        ++made;
      } else if (grpccommon::ReasonOf(problem.status()) == "SLUG_TAKEN") {
        ++taken;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(made, 1);
  EXPECT_EQ(taken, 7);
}

TEST_P(ProblemServiceTest, AMaskSaysWhatChanges) {
  v1::Problem content;
  content.set_statement("old");
  content.add_tags("a");
  content.mutable_limits()->set_memory_bytes(1000);
  content.mutable_limits()->set_output_bytes(2000);
  const v1::Problem made = *Create("two-sum", kAda, true, content);
  v1::Problem change;
  change.set_id(made.id());
  change.set_version(1);
  change.set_title("new");
  change.add_tags("b");
  change.mutable_limits()->set_memory_bytes(3000);
  const auto updated = Update(change, {"tags", "limits.memory_bytes"});
  ASSERT_THAT(updated, IsOk());
  EXPECT_EQ(updated->title(), "two-sum");
  EXPECT_EQ(updated->statement(), "old");
  EXPECT_THAT(updated->tags(), ElementsAre("b"));
  EXPECT_EQ(updated->limits().memory_bytes(), 3000);
  EXPECT_EQ(updated->limits().output_bytes(), 2000);
  // Everything that may change at once; what is not given is cleared.
  change.set_version(2);
  const auto all = Update(change, {"*"});
  ASSERT_THAT(all, IsOk());
  EXPECT_EQ(all->title(), "new");
  EXPECT_EQ(all->statement(), "");
  EXPECT_FALSE(all->published());
  EXPECT_EQ(all->slug(), "two-sum");
  EXPECT_EQ(all->author_id(), "ada");
}

TEST_P(ProblemServiceTest, AMaskWithAnotherPathIsRefusedByName) {
  const v1::Problem made = *Create("two-sum");
  v1::Problem change = made;
  change.set_title("new");
  const auto refused =
      Update(change, {"title", "slug", "author_id", "nonsense"});
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(FieldsOf(refused.status()),
              ElementsAre("update_mask.paths[1]", "update_mask.paths[2]",
                          "update_mask.paths[3]"));
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("\"slug\""));
  EXPECT_THAT(FieldsOf(Update(change, {}).status()),
              ElementsAre("update_mask"));
  change.clear_id();
  EXPECT_THAT(FieldsOf(Update(change, {"title"}).status()),
              ElementsAre("problem.id"));
  change = made;
  change.clear_title();
  EXPECT_THAT(FieldsOf(Update(change, {"title"}).status()),
              ElementsAre("problem.title"));
  EXPECT_EQ(Get(made.id())->problem().version(), 1);
}

TEST_P(ProblemServiceTest, AnOldVersionIsRefused) {
  v1::Problem problem = *Create("two-sum");
  problem.set_title("first");
  ASSERT_THAT(Update(problem, {"title"}), IsOk());
  problem.set_title("second");
  EXPECT_THAT(Update(problem, {"title"}),
              AllOf(StatusIs(absl::StatusCode::kAborted),
                    HasReason("VERSION_CONFLICT")));
  EXPECT_EQ(Get(problem.id())->problem().title(), "first");
}

// ---- Lists ----

TEST_P(ProblemServiceTest, ListsInPages) {
  for (int i = 0; i < 25; ++i) {
    ASSERT_THAT(Create("problem-" + std::to_string(10 + i)), IsOk());
  }
  v1::ListProblemsRequest request;
  const auto first = List(request);
  ASSERT_THAT(first, IsOk());
  EXPECT_THAT(first->problems(), SizeIs(20));
  EXPECT_EQ(first->page().total_count(), 25);
  EXPECT_EQ(first->problems(0).statement(), "");
  request.mutable_page()->set_page_token(first->page().next_page_token());
  const auto second = List(request);
  ASSERT_THAT(second, IsOk());
  EXPECT_THAT(SlugsOf(*second),
              ElementsAre("problem-30", "problem-31", "problem-32",
                          "problem-33", "problem-34"));
  EXPECT_EQ(second->page().next_page_token(), "");
}

TEST_P(ProblemServiceTest, APageTokenIsGoodForItsFilterAlone) {
  for (const char* const slug : {"aaa", "bbb", "ccc"}) {
    ASSERT_THAT(Create(slug), IsOk());
  }
  v1::ListProblemsRequest request;
  request.mutable_page()->set_page_size(1);
  const std::string token = List(request)->page().next_page_token();
  ASSERT_NE(token, "");
  request.mutable_page()->set_page_token(token);
  EXPECT_THAT(List(request), IsOk());
  const std::vector<std::function<void(v1::ListProblemsRequest&)>> others = {
      [](auto& r) { r.set_text("x"); },
      [](auto& r) { r.set_difficulty(v1::DIFFICULTY_EASY); },
      [](auto& r) { r.add_tags("x"); },
      [](auto& r) { r.set_bookmarked(true); },
      [](auto& r) { r.set_author_id("x"); },
      [](auto& r) { r.mutable_page()->set_page_token("nonsense"); },
      [&](auto& r) { r.mutable_page()->set_page_token(token + "A"); },
      [](auto& r) { r.mutable_page()->set_page_token("' OR 1=1 --"); }};
  for (const auto& other : others) {
    v1::ListProblemsRequest changed = request;
    other(changed);
    const auto refused = List(changed);
    EXPECT_THAT(refused, StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(FieldsOf(refused.status()), ElementsAre("page.page_token"));
  }
  // Tags in another order are the same filter.
  v1::ListProblemsRequest tagged;
  tagged.mutable_page()->set_page_size(1);
  v1::Problem content;
  content.add_tags("x");
  content.add_tags("y");
  ASSERT_THAT(Create("ddd", kAda, true, content), IsOk());
  ASSERT_THAT(Create("eee", kAda, true, content), IsOk());
  tagged.add_tags("x");
  tagged.add_tags("y");
  tagged.mutable_page()->set_page_token(List(tagged)->page().next_page_token());
  tagged.mutable_tags()->SwapElements(0, 1);
  EXPECT_THAT(SlugsOf(*List(tagged)), ElementsAre("eee"));
}

TEST_P(ProblemServiceTest, FiltersAreNoSql) {
  ASSERT_THAT(Create("aaa"), IsOk());
  for (const char* const text :
       {"'", "\"", "\\", "%", "_", "'; DROP TABLE problems; --", "%s%n", "é",
        ":me", "$1", "?"}) {
    v1::ListProblemsRequest request;
    request.set_text(text);
    EXPECT_THAT(List(request), IsOk()) << text;
    request.set_author_id(text);
    request.add_tags(text);
    const auto none = List(request);
    ASSERT_THAT(none, IsOk()) << text;
    EXPECT_THAT(none->problems(), IsEmpty()) << text;
  }
  EXPECT_THAT(SlugsOf(*List()), ElementsAre("aaa"));
}

// ---- Test cases ----

TEST_P(ProblemServiceTest, StreamsTestCasesOneByOneAndInOrder) {
  const std::string id = Create("two-sum")->id();
  std::vector<v1::TestCase> tests;
  for (int i = 0; i < 50; ++i) {
    tests.push_back(Test(std::to_string(i), i % 10 == 0));
  }
  const auto added = AddTests(id, tests);
  ASSERT_THAT(added, IsOk());
  EXPECT_THAT(added->test_case_ids(), SizeIs(50));
  EXPECT_EQ(added->problem().test_count(), 50);
  const auto read = ReadTests(id);
  ASSERT_THAT(read, IsOk());
  ASSERT_THAT(*read, SizeIs(50));
  for (int i = 0; i < 50; ++i) {
    const v1::TestCase& test = (*read)[static_cast<std::size_t>(i)];
    EXPECT_EQ(test.input(), std::to_string(i));
    EXPECT_EQ(test.expected_output(), "out");
    EXPECT_EQ(test.id(), added->test_case_ids(i));
    EXPECT_EQ(test.position(), i + 1);
    EXPECT_EQ(test.tests_version(), added->problem().tests_version());
  }
  const auto samples = ReadTests(id, kEve, false);
  ASSERT_THAT(samples, IsOk());
  ASSERT_THAT(*samples, SizeIs(5));
  EXPECT_EQ((*samples)[1].position(), 11);
  EXPECT_THAT(Get(id)->samples(), SizeIs(5));
}

TEST_P(ProblemServiceTest, AProblemWithoutTestCasesHasAnEmptyStream) {
  const std::string id = Create("two-sum")->id();
  EXPECT_THAT(*ReadTests(id), IsEmpty());
  EXPECT_THAT(ReadTests(grpccommon::UuidV7()),
              StatusIs(absl::StatusCode::kNotFound));
}

// The client's window and the queue are much smaller than all of it, so that
// most of it is still to be read when the client has its first message.
TEST_P(ProblemServiceTest, AStreamOfTestCasesThatChangeMeanwhileIsAborted) {
  const std::string id = Create("two-sum")->id();
  const std::string large(200'000, 'x');
  for (int i = 0; i < 4; ++i) {
    ASSERT_THAT(AddTests(id, std::vector<v1::TestCase>(10, Test(large))),
                IsOk());
  }
  v1::ListTestCasesRequest request;
  request.set_problem_id(id);
  request.set_include_hidden(true);
  const auto context = As(kJudge);
  const auto reader = stub_->ListTestCases(context.get(), request);
  v1::TestCase test;
  ASSERT_TRUE(reader->Read(&test));
  const std::int64_t version = test.tests_version();
  ASSERT_THAT(AddTests(id, {Test("one more")}), IsOk());
  int read = 1;
  while (reader->Read(&test)) {
    ++read;
    EXPECT_EQ(test.tests_version(), version);
    EXPECT_EQ(test.position(), read);
  }
  // What was read ahead for it is bounded.
  EXPECT_LT(read, 30);
  EXPECT_THAT(
      FromGrpcStatus(reader->Finish()),
      AllOf(StatusIs(absl::StatusCode::kAborted), HasReason("TESTS_CHANGED")));
  EXPECT_THAT(*ReadTests(id), SizeIs(41));
}

TEST_P(ProblemServiceTest, AProblemThatGoesMeanwhileEndsItsStream) {
  const std::string id = Create("two-sum")->id();
  const std::string large(200'000, 'x');
  for (int i = 0; i < 4; ++i) {
    ASSERT_THAT(AddTests(id, std::vector<v1::TestCase>(10, Test(large))),
                IsOk());
  }
  v1::ListTestCasesRequest request;
  request.set_problem_id(id);
  request.set_include_hidden(true);
  const auto context = As(kJudge);
  const auto reader = stub_->ListTestCases(context.get(), request);
  v1::TestCase test;
  ASSERT_TRUE(reader->Read(&test));
  ASSERT_THAT(Delete(id), IsOk());
  while (reader->Read(&test)) {
  }
  EXPECT_THAT(FromGrpcStatus(reader->Finish()),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(ProblemServiceTest, AClientThatGoesLeavesNothingBehind) {
  const std::string id = Create("two-sum")->id();
  ASSERT_THAT(AddTests(id, std::vector<v1::TestCase>(
                               10, Test(std::string(200'000, 'x')))),
              IsOk());
  for (int i = 0; i < 10; ++i) {
    v1::ListTestCasesRequest request;
    request.set_problem_id(id);
    request.set_include_hidden(true);
    const auto context = As(kJudge);
    const auto reader = stub_->ListTestCases(context.get(), request);
    v1::TestCase test;
    ASSERT_TRUE(reader->Read(&test));
    context->TryCancel();
    EXPECT_THAT(FromGrpcStatus(reader->Finish()),
                StatusIs(absl::StatusCode::kCancelled));
  }
  EXPECT_THAT(*ReadTests(id), SizeIs(10));
  // Waits until the last call is over, and fails the test if that never is.
  server_->server().Shutdown(std::chrono::nanoseconds(0),
                             std::chrono::seconds(30));
  EXPECT_EQ(server_->server().running_calls(), 0);
}

TEST_P(ProblemServiceTest, TestCasesAsLargeAsTheyMayBe) {
  const std::string id = Create("two-sum")->id();
  const std::string largest(1 << 20, '\xff');
  ASSERT_THAT(AddTests(id, {Test(largest, true, largest)}), IsOk());
  const auto read = ReadTests(id);
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ((*read)[0].input(), largest);
  EXPECT_EQ((*read)[0].expected_output(), largest);
  // Too much for the samples of a reply.
  EXPECT_THAT(Get(id)->samples(), IsEmpty());
  EXPECT_THAT(AddTests(id, {Test(largest + "x")}),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_P(ProblemServiceTest, ATestCaseThatIsDeletedIsGone) {
  const std::string id = Create("two-sum")->id();
  const auto added = AddTests(id, {Test("1"), Test("2")});
  ASSERT_THAT(added, IsOk());
  v1::DeleteTestCaseRequest request;
  request.set_problem_id(id);
  request.set_test_case_id(added->test_case_ids(0));
  const auto erased =
      Call(&v1::ProblemService::Stub::DeleteTestCase, kAda, request);
  ASSERT_THAT(erased, IsOk());
  EXPECT_EQ(erased->problem().test_count(), 1);
  EXPECT_THAT(Call(&v1::ProblemService::Stub::DeleteTestCase, kAda, request),
              StatusIs(absl::StatusCode::kNotFound));
  const auto left = ReadTests(id);
  ASSERT_THAT(*left, SizeIs(1));
  EXPECT_EQ((*left)[0].input(), "2");
  EXPECT_EQ((*left)[0].position(), 1);
}

// ---- Counters ----

TEST_P(ProblemServiceTest, CountsAreExactWhateverIsSaidAtOnce) {
  const std::string id = Create("two-sum")->id();
  constexpr int kClients = 8;
  constexpr int kEach = 20;
  std::vector<std::string> submissions;
  for (int i = 0; i < kEach; ++i) submissions.push_back(grpccommon::UuidV7());
  std::vector<std::thread> clients;
  for (int c = 0; c < kClients; ++c) {
    clients.emplace_back([&, c] {
      const std::string caller = "user-" + std::to_string(c) + " user";
      for (int i = 0; i < kEach; ++i) {
        EXPECT_THAT(Like(id, caller), IsOk());
        EXPECT_THAT(Bookmark(id, caller, i % 2 == 1), IsOk());
        // The same from all of them.
        EXPECT_THAT(
            Record(id, submissions[static_cast<std::size_t>(i)], i % 2 == 0),
            IsOk());
      }
    });
  }
  for (std::thread& client : clients) client.join();
  const auto stats = StatsOf(id);
  ASSERT_THAT(stats, IsOk());
  EXPECT_EQ(stats->likes(), kClients);
  EXPECT_EQ(stats->bookmarks(), 0);
  EXPECT_EQ(stats->submissions(), kEach);
  EXPECT_EQ(stats->accepted(), kEach / 2);
  EXPECT_EQ(stats->solvers(), 1);
}

TEST_P(ProblemServiceTest, TellsCallersWhatTheyLikedAndBookmarked) {
  const std::string id = Create("two-sum")->id();
  EXPECT_EQ(*Like(id), 1);
  EXPECT_EQ(*Like(id), 1);
  ASSERT_THAT(Bookmark(id), IsOk());
  EXPECT_TRUE(Get(id)->liked());
  EXPECT_TRUE(Get(id)->bookmarked());
  EXPECT_FALSE(Get(id, kBob)->liked());
  v1::ListProblemsRequest request;
  request.set_bookmarked(true);
  EXPECT_THAT(SlugsOf(*List(request)), ElementsAre("two-sum"));
  EXPECT_THAT(SlugsOf(*List(request, kBob)), IsEmpty());
  EXPECT_EQ(*Like(id, kEve, true), 0);
  ASSERT_THAT(Bookmark(id, kEve, true), IsOk());
  EXPECT_FALSE(Get(id)->liked());
  EXPECT_FALSE(Get(id)->bookmarked());
}

// ---- Secrets ----

// Everything is written down that can be: each payload, each message, each
// span.
TEST_P(ProblemServiceTest, HiddenTestCasesAreInNoLogErrorMetricOrTrace) {
  const std::string secret = "hidden-input-4711";
  const std::string answer = "hidden-answer-0815";
  const auto spans = std::make_shared<grpccommon::MemorySpanExporter>();
  ServerOptions options;
  options.access_log->payloads = {
      .requests = true, .replies = true, .stream_messages = true};
  options.log_level = grpccommon::LogLevel::kDebug;
  options.tracing = grpccommon::TracingOptions{
      .sample_ratio = 1, .message_events = true, .exporter = spans};
  Start(std::move(options));

  const std::string id = Create("two-sum")->id();
  const v1::TestCase hidden = Test(secret, false, answer);
  std::string errors;
  const auto note = [&errors](const absl::Status& status) {
    errors += status.ToString();
    google::rpc::BadRequest details;
    if (grpccommon::GetDetail(status, details)) {
      errors += details.ShortDebugString();
    }
  };
  note(AddTests(id, {hidden}).status());
  note(AddTests(id, {hidden}, kEve).status());
  note(AddTests(id, {hidden}, kBob).status());
  note(AddTests(id, {Test(secret + std::string(1 << 20, 'x'), false, answer)})
           .status());
  note(AddTests(id, std::vector<v1::TestCase>(200, hidden)).status());
  note(AddTests(grpccommon::UuidV7(), {hidden}).status());
  ASSERT_THAT(*ReadTests(id), SizeIs(1));
  note(ReadTests(id, kEve).status());
  EXPECT_THAT(errors, HasSubstr("TOO_MANY_TEST_CASES"));

  const std::string metrics = server_->server().metrics().Expose();
  Server* const server = server_.get();
  server->server().Shutdown(std::chrono::nanoseconds(0),
                            std::chrono::seconds(10));
  std::string traces;
  for (const grpccommon::SpanData& span : spans->spans()) {
    traces += span.name + span.status_message;
    for (const auto& attribute : span.attributes) {
      if (const auto* text = std::get_if<std::string>(&attribute.value)) {
        traces += *text;
      }
    }
    for (const auto& event : span.events) {
      traces += event.name;
      for (const auto& attribute : event.attributes) {
        if (const auto* text = std::get_if<std::string>(&attribute.value)) {
          traces += *text;
        }
      }
    }
  }
  const std::string log = server->log().text();
  EXPECT_THAT(log, HasSubstr("AddTestCases"));
  EXPECT_THAT(log, HasSubstr("expectedOutput")) << "no payload was logged";
  EXPECT_THAT(metrics, HasSubstr("AddTestCases"));
  EXPECT_THAT(traces, HasSubstr("AddTestCases"));
  for (const std::string& text : {secret, answer}) {
    // As it is, and as JSON and the database spell bytes.
    for (const std::string& spelling :
         {text, grpccommon::Base64UrlEncode(text).substr(0, 16)}) {
      EXPECT_THAT(log, Not(HasSubstr(spelling)));
      EXPECT_THAT(errors, Not(HasSubstr(spelling)));
      EXPECT_THAT(metrics, Not(HasSubstr(spelling)));
      EXPECT_THAT(traces, Not(HasSubstr(spelling)));
    }
  }
}

}  // namespace
}  // namespace platform::problem
