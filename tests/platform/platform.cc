// SPDX-License-Identifier: Apache-2.0
#include "platform/platform.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <set>
#include <sstream>
#include <string_view>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/time_util.h"
#include "grpccommon/base/file.h"
#include "grpccommon/testing/status_matchers.h"
#include "gtest/gtest.h"
#include "http/raw_client.h"
#include "support/free_port.h"
#include "support/resident_memory.h"
#include "support/sanitized.h"

namespace platform::test {
namespace {

using google::protobuf::util::TimeUtil;
using grpccommon::test::FreePort;
using grpccommon::testing::IsOk;
using std::chrono::steady_clock;
using namespace std::chrono_literals;

[[noreturn]] void Fail(const std::string& what) {
  std::cerr << "platform: " << what << '\n';
  std::abort();
}

template <typename T>
T Must(absl::StatusOr<T> value, const std::string& what) {
  if (!value.ok()) Fail(what + ": " + value.status().ToString());
  return *std::move(value);
}

// "execution" of "execution-2".
std::string ServiceOf(const std::string& name) {
  return name.substr(0, name.find('-'));
}

}  // namespace

std::int64_t WallNow() {
  return std::chrono::nanoseconds(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

grpccommon::test::PostgresProcess* Postgresql() {
  using grpccommon::test::PostgresProcess;
  const char* const wanted = std::getenv("PLATFORM_DATABASE");
  if (wanted == nullptr || std::string_view(wanted) == "sqlite") return nullptr;
  if (std::string_view(wanted) != "postgresql") {
    Fail(absl::StrCat("PLATFORM_DATABASE is neither sqlite nor postgresql: ",
                      wanted));
  }
  if (!PostgresProcess::Available()) Fail("PostgreSQL is not installed");
  return &PostgresProcess::Shared();
}

Platform::Platform(Settings more)
    : more_(std::move(more)),
      content_(Must(seed::LoadContent(CONTENT), "content")),
      admin_password_(seed::RandomPassword()) {
  const absl::Status created = grpccommon::CreateFile(
      folder() + "/admin_password", admin_password_ + "\n", 0600);
  if (!created.ok()) Fail(created.ToString());
  for (const char* const name :
       {"registry", "user", "problem", "execution", "execution-2", "contest"}) {
    // One that comes back must be found where it was: no port 0.
    processes_[name] = {.grpc_port = FreePort(), .http_port = FreePort()};
  }
  if (auto* const postgresql = Postgresql(); postgresql != nullptr) {
    for (const char* const service : {"user", "problem", "contest"}) {
      database_urls_[service] = postgresql->NewDatabase();
    }
  }
}

Platform::~Platform() {
  clients_.reset();
  for (const auto& [name, process] : processes_) {
    if (process.pid > 0) Kill(name);
    EXPECT_EQ(grpccommon::test::SanitizerReport(Log(name)), "") << name;
  }
}

std::string Platform::TokenOf(const std::string& arguments) const {
  const std::string command =
      absl::StrCat(DEV_TOKEN, " ", folder(), " ", arguments);
  std::FILE* const pipe = popen(command.c_str(), "r");
  std::string token;
  for (int c = std::fgetc(pipe); c != EOF && c != '\n'; c = std::fgetc(pipe)) {
    token.push_back(static_cast<char>(c));
  }
  if (pclose(pipe) != 0 || token.empty()) Fail("no token: " + command);
  return token;
}

Platform::Settings Platform::EnvironmentOf(const std::string& name) const {
  const Process& process = processes_.at(name);
  const std::string service = ServiceOf(name);
  const std::string registry = absl::StrCat(
      "registry://127.0.0.1:", processes_.at("registry").grpc_port);
  const std::string token_file = absl::StrCat(folder(), "/", name, ".token");
  Settings settings = {
      {"PATH", std::getenv("PATH")},
      {"GRPCCOMMON_GRPC_ADDRESS",
       absl::StrCat("127.0.0.1:", process.grpc_port)},
      {"GRPCCOMMON_HTTP_ADDRESS",
       absl::StrCat("127.0.0.1:", process.http_port)},
      {"GRPCCOMMON_DRAIN_DELAY", "0s"},
      {"GRPCCOMMON_AUTH__JWKS_FILE", folder() + "/dev_jwks.json"},
      {"GRPCCOMMON_AUTH__ISSUER", "grpccommon-dev"},
      {"GRPCCOMMON_AUTH__AUDIENCES", "grpccommon-dev"},
      {"GRPCCOMMON_AUTH__ROLES", "instance,service"}};
  if (service == "registry") {
    settings["GRPCCOMMON_APP_GRACE"] = "3s";
  } else {
    settings["GRPCCOMMON_ANNOUNCE__URI"] = registry;
    settings["GRPCCOMMON_ANNOUNCE__TOKEN_FILE"] = token_file;
    settings["GRPCCOMMON_ANNOUNCE__TOKEN_IN_PLAINTEXT"] = "true";
    settings["GRPCCOMMON_CLIENTS__TOKEN_FILE"] = token_file;
    settings["GRPCCOMMON_CLIENTS__TOKEN_IN_PLAINTEXT"] = "true";
  }
  const auto database = database_urls_.find(service);
  if (database != database_urls_.end()) {
    settings["GRPCCOMMON_APP_DATABASE"] = database->second;
  }
  if (service == "user") {
    settings["GRPCCOMMON_APP_ADMIN_USERNAME"] = "admin";
    settings["GRPCCOMMON_APP_ADMIN_EMAIL"] = "admin@example.org";
    settings["GRPCCOMMON_APP_ADMIN_PASSWORD_FILE"] =
        folder() + "/admin_password";
  } else if (service != "registry") {
    settings["GRPCCOMMON_AUTH__ISSUERS"] = absl::StrCat(
        R"([{"issuer": "platform-user", "audiences": ["platform"], )",
        R"("roles": ["user", "author", "admin"], )",
        R"("allow_http_jwks": true, "jwks_url": "http://127.0.0.1:)",
        processes_.at("user").http_port, R"(/.well-known/jwks.json"}])");
  }
  if (service == "execution") {
    settings["GRPCCOMMON_APP_STATE_FOLDER"] =
        absl::StrCat(folder(), "/", name, "/state");
  }
  return settings;
}

bool Platform::StartAll() {
  for (const char* const name :
       {"registry", "user", "problem", "execution", "contest"}) {
    if (!Start(name)) return false;
  }
  return true;
}

bool Platform::Start(const std::string& name, const Settings& more) {
  Process& process = processes_.at(name);
  const std::string token = TokenOf(
      absl::StrCat("--subject ", name, " --role instance --role service"));
  const std::string token_file = absl::StrCat(folder(), "/", name, ".token");
  const absl::Status written =
      grpccommon::CreateFile(token_file, token + "\n", 0600);
  if (!written.ok() && !absl::IsAlreadyExists(written)) {
    Fail(written.ToString());
  }
  Settings settings = EnvironmentOf(name);
  for (const Settings* const over : {&more_, &more}) {
    for (const auto& [variable, value] : *over) settings[variable] = value;
  }
  std::vector<std::string> environment =
      grpccommon::test::InheritedEnvironment();
  for (const auto& [variable, value] : settings) {
    environment.push_back(absl::StrCat(variable, "=", value));
  }
  std::vector<char*> variables;
  for (std::string& variable : environment) {
    variables.push_back(variable.data());
  }
  variables.push_back(nullptr);
  const std::string program = absl::StrCat(PROGRAMS, "/", ServiceOf(name));
  char* const arguments[] = {const_cast<char*>(program.c_str()), nullptr};
  const std::string data = absl::StrCat(folder(), "/", name);
  const std::string log = data + ".log";
  std::filesystem::create_directory(data);
  // The user of the execution service's sandboxes has to pass.
  chmod(folder().c_str(), 0711);
  chmod(data.c_str(), 0711);
  process.pid = fork();
  if (process.pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int file = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(file, STDOUT_FILENO);
    dup2(file, STDERR_FILENO);
    if (chdir(data.c_str()) == 0) {
      execve(program.c_str(), arguments, variables.data());
    }
    _exit(127);
  }
  return WaitReady(name);
}

bool Platform::WaitReady(const std::string& name) {
  Process& process = processes_.at(name);
  const auto give_up = steady_clock::now() + 60s;
  for (;;) {
    grpccommon::testing::RawClient client(process.http_port);
    if (client.connected() &&
        client.Send("GET /healthz/ready HTTP/1.1\r\nhost: x\r\n\r\n") &&
        client.ReadResponse().status == 200) {
      return true;
    }
    int status = 0;
    if (waitpid(process.pid, &status, WNOHANG) == process.pid) {
      process.pid = 0;
      std::cerr << name << " ended: " << Log(name) << '\n';
      return false;
    }
    if (steady_clock::now() > give_up) {
      std::cerr << name << " is not healthy: " << Log(name) << '\n';
      return false;
    }
    std::this_thread::sleep_for(10ms);  // polls a process that starts
  }
}

void Platform::Kill(const std::string& name) {
  Process& process = processes_.at(name);
  if (process.pid <= 0) return;
  kill(process.pid, SIGKILL);
  waitpid(process.pid, nullptr, 0);
  process.pid = 0;
}

int Platform::Stop(const std::string& name) {
  Process& process = processes_.at(name);
  kill(process.pid, SIGTERM);
  int status = 0;
  waitpid(process.pid, &status, 0);
  process.pid = 0;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

seed::Clients& Platform::clients() {
  if (clients_ == nullptr) {
    clients_ = Must(seed::Clients::Connect(
                        absl::StrCat("registry://127.0.0.1:",
                                     processes_.at("registry").grpc_port),
                        TokenOf("--subject test")),
                    "clients");
  }
  return *clients_;
}

absl::StatusOr<seed::Session> Platform::Admin() {
  return clients().LogIn("admin", admin_password_);
}

absl::StatusOr<seed::Session> Platform::Enter(const std::string& name,
                                              bool author) {
  const auto [password, fresh] = passwords_.try_emplace(name);
  if (fresh) password->second = seed::RandomPassword();
  auto session = seed::EnsureUser(clients(), name, password->second, name);
  if (!session.ok() || !author) return session;
  const auto admin = Admin();
  if (!admin.ok()) return admin.status();
  const absl::Status made =
      seed::MakeAuthor(clients(), *admin, session->user_id);
  if (!made.ok()) return made;
  return clients().LogIn(name, password->second);
}

std::string Platform::Log(const std::string& name) const {
  std::ostringstream log;
  log << std::ifstream(absl::StrCat(folder(), "/", name, ".log")).rdbuf();
  return log.str();
}

std::string Platform::Page(const std::string& name,
                           const std::string& path) const {
  grpccommon::testing::RawClient client(processes_.at(name).http_port);
  client.Send(absl::StrCat("GET ", path, " HTTP/1.1\r\nhost: x\r\n\r\n"));
  return client.ReadResponse().body;
}

std::int64_t Platform::ResidentBytes(const std::string& name) const {
  return grpccommon::test::ResidentBytes(pid(name));
}

Contest::Contest(Platform& platform, const std::vector<std::string>& problems,
                 const std::vector<std::string>& people)
    : platform_(platform), problems_(problems), names_(people) {
  judge_ = Must(platform.Enter("judge", /*author=*/true), "the judge");
  contest::v1::CreateContestRequest create;
  contest::v1::Contest& contest = *create.mutable_contest();
  contest.set_title("Test round");
  const auto now = TimeUtil::GetCurrentTime();
  *contest.mutable_starts_at() = now;
  *contest.mutable_ends_at() = now + TimeUtil::HoursToDuration(1);
  for (const std::string& slug : problems) {
    const auto problem =
        Must(seed::EnsureProblem(platform.clients(), judge_,
                                 *platform.content().Find(slug)),
             slug);
    rules_.labels.emplace_back(1,
                               static_cast<char>('A' + rules_.labels.size()));
    contest::v1::ContestProblem& entry = *contest.add_problems();
    entry.set_label(rules_.labels.back());
    entry.set_problem_id(problem.id());
  }
  contest_ = Must(platform.clients().contests().Call(
                      &seed::ContestService::Stub::CreateContest, create,
                      judge_.Call()),
                  "the contest")
                 .contest();
  rules_.starts_at = TimeUtil::TimestampToNanoseconds(contest_.starts_at());
  for (const std::string& name : people) {
    people_[name] = Must(platform.Enter(name), name);
    contest::v1::RegisterForContestRequest request;
    request.set_contest_id(contest_.id());
    request.set_team_name(name);
    Must(platform.clients().contests().Call(
             &seed::ContestService::Stub::RegisterForContest, request,
             people_[name].Call()),
         "registration of " + name);
  }
}

absl::StatusOr<contest::v1::Submission> Contest::HandIn(
    const std::string& who, int problem, const std::string& solution) {
  const seed::Solution* const program =
      platform_.content().Find(problems_.at(problem))->Find(solution);
  if (program == nullptr) return absl::NotFoundError(solution);
  auto submission = Submit(platform_.clients(), people_.at(who), contest_.id(),
                           rules_.labels[problem], *program, 60s);
  if (!submission.ok()) return submission;
  const grpccommon::MutexLock lock(mutex_);
  records_.push_back(
      {.submission_id = submission->id(),
       .solution = program,
       .attempt = {.team = who,
                   .problem = problem,
                   .submitted_at = TimeUtil::TimestampToNanoseconds(
                       submission->submitted_at()),
                   .verdict = *program->verdicts.begin()}});
  return submission;
}

std::size_t Contest::acknowledged() const {
  const grpccommon::MutexLock lock(mutex_);
  return records_.size();
}

contest::v1::Leaderboard Contest::Expected() const {
  std::vector<seed::RecordedAttempt> attempts;
  const grpccommon::MutexLock lock(mutex_);
  for (const Record& record : records_) attempts.push_back(record.attempt);
  return seed::ExpectedBoard(names_, rules_, attempts);
}

void Contest::ExpectAllJudged() {
  std::vector<Record> records;
  {
    const grpccommon::MutexLock lock(mutex_);
    records = records_;
  }
  std::set<std::string> acknowledged;
  for (const Record& record : records) {
    EXPECT_TRUE(acknowledged.insert(record.submission_id).second);
    const auto judged =
        seed::AwaitVerdict(platform_.clients(), people_.at(record.attempt.team),
                           record.submission_id);
    ASSERT_THAT(judged, IsOk());
    EXPECT_EQ(record.solution->verdicts.count(judged->verdict()), 1u)
        << record.solution->name << ": "
        << execution::v1::Verdict_Name(judged->verdict());
  }

  // Each is there once, and nothing else is.
  std::multiset<std::string> listed;
  contest::v1::ListSubmissionsRequest list;
  list.set_contest_id(id());
  list.set_all(true);
  list.mutable_page()->set_page_size(200);
  do {
    const auto page = platform_.clients().contests().Call(
        &seed::ContestService::Stub::ListSubmissions, list, judge_.Call());
    ASSERT_THAT(page, IsOk());
    for (const auto& submission : page->submissions()) {
      listed.insert(submission.id());
    }
    list.mutable_page()->set_page_token(page->page().next_page_token());
  } while (!list.page().page_token().empty());
  EXPECT_EQ(
      std::multiset<std::string>(acknowledged.begin(), acknowledged.end()),
      listed);

  contest::v1::GetLeaderboardRequest get;
  get.set_contest_id(id());
  const auto board = platform_.clients().contests().Call(
      &seed::ContestService::Stub::GetLeaderboard, get, judge_.Call());
  ASSERT_THAT(board, IsOk());
  EXPECT_EQ(seed::Differences(Expected(), board->leaderboard()), "");
}

}  // namespace platform::test
