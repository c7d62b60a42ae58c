// SPDX-License-Identifier: Apache-2.0
// Whatever is secret stands in no log, page or file that the platform writes,
// its databases and what it was given aside, with everything logged that can
// be.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "grpccommon/base/file.h"
#include "grpccommon/base/uuid.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/testing/status_matchers.h"
#include "gtest/gtest.h"
#include "platform/platform.h"

namespace platform::test {
namespace {

namespace fs = std::filesystem;
using grpccommon::testing::IsOk;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

// A word that stands nowhere else.
std::string Marker(const std::string& what) {
  std::string id = grpccommon::UuidV7();
  id.erase(std::remove(id.begin(), id.end(), '-'), id.end());
  return what + id;
}

struct Text {
  std::string name;
  std::string content;
};

// The execution service keeps the programs that it runs, while it does.
bool OfSandboxes(const fs::path& path) {
  return path.string().find("/execution/state/") != std::string::npos;
}

// Everything that the processes have written or show.
std::vector<Text> Written(const Platform& platform) {
  std::vector<Text> texts;
  for (const auto& entry :
       fs::recursive_directory_iterator(platform.folder())) {
    if (!entry.is_regular_file() || OfSandboxes(entry.path())) continue;
    const std::string name = entry.path().filename().string();
    // What they were given, and what is there to keep such things.
    if (name.find(".db") != std::string::npos || name == "admin_password" ||
        name == "dev_key.json" || entry.path().extension() == ".token") {
      continue;
    }
    std::ostringstream content;
    content << std::ifstream(entry.path()).rdbuf();
    texts.push_back({entry.path().string(), content.str()});
  }
  for (const char* const process :
       {"registry", "user", "problem", "execution", "contest"}) {
    for (const char* const page : {"/metrics", "/healthz/ready", "/version"}) {
      texts.push_back(
          {process + std::string(page), platform.Page(process, page)});
    }
  }
  return texts;
}

std::vector<std::string> Leaks(
    const std::vector<Text>& texts,
    const std::vector<std::pair<std::string, std::string>>& secrets) {
  std::vector<std::string> leaks;
  for (const Text& text : texts) {
    for (const auto& [what, secret] : secrets) {
      EXPECT_GE(secret.size(), 10u) << what;  // else chance finds it
      if (text.content.find(secret) != std::string::npos) {
        leaks.push_back(what + " in " + text.name);
      }
    }
  }
  return leaks;
}

TEST(SecretsTest, NoneIsWrittenAnywhere) {
  Platform platform(
      {{"GRPCCOMMON_ACCESS_LOG__PAYLOADS__REQUESTS", "true"},
       {"GRPCCOMMON_ACCESS_LOG__PAYLOADS__REPLIES", "true"},
       {"GRPCCOMMON_ACCESS_LOG__PAYLOADS__STREAM_MESSAGES", "true"},
       {"GRPCCOMMON_LOG_LEVEL", "debug"}});
  ASSERT_TRUE(platform.StartAll());
  std::vector<std::pair<std::string, std::string>> secrets = {
      {"the admin's password", platform.admin_password()}};
  seed::Clients& clients = platform.clients();

  // People, their passwords and tokens, and attempts that fail.
  Contest contest(platform, {"sum-of-two"}, {"ann"});
  const seed::Session& ann = contest.person("ann");
  for (const auto& [name, password] : platform.passwords()) {
    secrets.emplace_back("the password of " + name, password);
  }
  secrets.emplace_back("ann's token", ann.access_token);
  secrets.emplace_back("the judge's token", contest.judge().access_token);
  for (const char* const process : {"user", "contest", "execution"}) {
    secrets.emplace_back(
        std::string(process) + "'s token",
        grpccommon::ReadFile(platform.folder() + "/" + process + ".token")
            ->substr(0, 100));
  }
  user::v1::LoginRequest login;
  login.set_login("ann");
  login.set_password(platform.passwords().at("ann"));
  const auto logged_in =
      clients.users().Call(&seed::UserService::Stub::Login, login);
  ASSERT_THAT(logged_in, IsOk());
  secrets.emplace_back("a refresh token", logged_in->tokens().refresh_token());
  user::v1::RefreshTokenRequest refresh;
  refresh.set_refresh_token(logged_in->tokens().refresh_token());
  const auto refreshed =
      clients.users().Call(&seed::UserService::Stub::RefreshToken, refresh);
  ASSERT_THAT(refreshed, IsOk());
  secrets.emplace_back("a new token", refreshed->tokens().access_token());
  secrets.emplace_back("a new refresh token",
                       refreshed->tokens().refresh_token());
  // The old one again: a theft.
  EXPECT_THAT(
      clients.users().Call(&seed::UserService::Stub::RefreshToken, refresh),
      Not(IsOk()));
  const std::string wrong = Marker("Wrong");
  login.set_password(wrong);
  EXPECT_THAT(clients.users().Call(&seed::UserService::Stub::Login, login),
              Not(IsOk()));
  login.set_password(wrong + std::string(300, 'x'));
  EXPECT_THAT(clients.users().Call(&seed::UserService::Stub::Login, login),
              Not(IsOk()));
  secrets.emplace_back("a wrong password", wrong);
  user::v1::ChangePasswordRequest change;
  change.set_current_password(platform.passwords().at("ann"));
  change.set_new_password(Marker("Fresh-"));
  EXPECT_THAT(clients.users().Call(&seed::UserService::Stub::ChangePassword,
                                   change, ann.Call()),
              IsOk());
  secrets.emplace_back("a new password", change.new_password());
  user::v1::ValidateTokenRequest validate;
  validate.set_access_token(ann.access_token + "x");
  EXPECT_THAT(
      clients.users().Call(
          &seed::UserService::Stub::ValidateToken, validate,
          {.metadata = {{"authorization",
                         "Bearer " +
                             platform.TokenOf("--subject x --role service")}}}),
      Not(IsOk()));
  // A token where none belongs.
  EXPECT_THAT(
      clients.users().Call(
          &seed::UserService::Stub::GetUser, {},
          {.metadata = {{"authorization", "Basic " + Marker("basic")}}}),
      Not(IsOk()));

  // A problem with hidden tests that everybody fails, each in another way.
  problem::v1::CreateProblemRequest create;
  create.mutable_problem()->set_slug("guess");
  create.mutable_problem()->set_title("Guess");
  create.mutable_problem()->set_published(true);
  const auto made =
      clients.problems().Call(&seed::ProblemService::Stub::CreateProblem,
                              create, contest.judge().Call());
  ASSERT_THAT(made, IsOk());
  problem::v1::AddTestCasesRequest tests;
  tests.set_problem_id(made->problem().id());
  tests.add_test_cases()->set_input(Marker("input"));
  tests.mutable_test_cases(0)->set_expected_output(Marker("output"));
  const auto added = clients.problems().Call(
      &seed::ProblemService::Stub::AddTestCases, tests, contest.judge().Call());
  ASSERT_THAT(added, IsOk());
  secrets.emplace_back("a hidden input", tests.test_cases(0).input());
  secrets.emplace_back("a hidden output",
                       tests.test_cases(0).expected_output());
  // Refused for its size, hidden test and all.
  tests.mutable_test_cases(0)->mutable_input()->append(2 << 20, 'x');
  EXPECT_THAT(clients.problems().Call(&seed::ProblemService::Stub::AddTestCases,
                                      tests, contest.judge().Call()),
              Not(IsOk()));
  problem::v1::ListTestCasesRequest list;
  list.set_problem_id(made->problem().id());
  list.set_include_hidden(true);
  const auto stream = clients.problems().Open(
      &seed::ProblemService::Stub::ListTestCases, list, contest.judge().Call());
  problem::v1::TestCase test;
  EXPECT_TRUE(stream->Read(&test));
  EXPECT_FALSE(stream->Read(&test));
  EXPECT_TRUE(stream->Finish().ok());

  const std::string service =
      "Bearer " + platform.TokenOf("--subject grader --role service");
  const auto run = [&](const std::string& language, const std::string& source) {
    execution::v1::ExecuteRequest request;
    request.set_language(language);
    request.set_source(source);
    request.mutable_problem()->set_problem_id(made->problem().id());
    return clients.executions().Call(
        &seed::ExecutionService::Stub::Execute, request,
        {.metadata = {{"authorization", service}}});
  };
  // Its words and its output; what the compiler says of it; what it leaves.
  const std::string source = Marker("source");
  const std::string said = Marker("said");
  secrets.emplace_back("a source", source);
  secrets.emplace_back("what a program printed", said);
  for (const auto& [language, text] :
       std::vector<std::pair<std::string, std::string>>{
           {"python", "# " + source + "\nprint('" + said + "' + input())\n"},
           {"python", "import sys\nprint('" + said +
                          "', input(), file=sys.stderr)\nsys.exit('" + source +
                          "')\n"},
           {"python", "open('kept', 'w').write('" + said + "' + input())\n"},
           {"cpp", "int main() { return " + source + "; }\n"},
           {"cpp", "#error " + source + "\n"},
           {"c", "int main(void) { return 0; } // " + source + "\n"}}) {
    const auto judged = run(language, text);
    ASSERT_THAT(judged, IsOk());
    EXPECT_NE(judged->execution().verdict(), execution::v1::VERDICT_ACCEPTED);
    EXPECT_NE(judged->execution().verdict(), execution::v1::VERDICT_INTERNAL);
  }
  EXPECT_THAT(run("cobol", source), Not(IsOk()));
  EXPECT_THAT(run("python", source + std::string(300'000, 'x')), Not(IsOk()));

  // The same through a contest.
  const auto submission = contest.HandIn("ann", 0, "wrong.py");
  ASSERT_THAT(submission, IsOk());
  secrets.emplace_back("a submitted source", "a - b if a > 1000 else a + b");
  contest.ExpectAllJudged();
  const auto& hidden = platform.content().Find("sum-of-two")->test_cases;
  secrets.emplace_back("a hidden sum", hidden.back().input().substr(0, 20));

  EXPECT_THAT(Leaks(Written(platform), secrets), IsEmpty());
  EXPECT_EQ(platform.Stop("execution"), 0);
  for (const auto& entry :
       fs::recursive_directory_iterator(platform.folder())) {
    EXPECT_FALSE(entry.is_regular_file() && OfSandboxes(entry.path()) &&
                 entry.file_size() > 0)
        << entry.path() << " is left behind";
  }

  // The search finds what is there: the log has lines, with their payloads …
  EXPECT_THAT(platform.Log("user"), ::testing::HasSubstr("[redacted]"));
  EXPECT_THAT(platform.Log("problem"), ::testing::HasSubstr("\"guess\""));
  // … and one secret that is planted.
  std::ofstream(platform.folder() + "/contest.log", std::ios::app)
      << "{\"msg\":\"" << platform.passwords().at("ann") << "\"}\n";
  EXPECT_THAT(Leaks(Written(platform), secrets), SizeIs(1));
}

}  // namespace
}  // namespace platform::test
