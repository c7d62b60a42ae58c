// SPDX-License-Identifier: Apache-2.0
// Plays a contest on a running platform: right, wrong, slow and hostile
// programs of several people at once, while an instance of the execution
// service is killed and another one started again. Exits with 0 if every
// answer was right and the final board is the one that the script makes.
//
//   judge_demo <registry URI> <content folder> <run folder>
//              <command that starts a process again>
//
// PLATFORM_TOKEN is what the registry is asked with. `./dev demo` runs it.

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <mutex>
#include <optional>
#include <sstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "examples/judge_demo/script.h"
#include "google/protobuf/util/time_util.h"
#include "grpccommon/base/file.h"
#include "grpccommon/base/uuid.h"
#include "grpccommon/server/server.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/status/details.h"
#include "services/seed/contestant.h"
#include "services/seed/seeder.h"
#include "services/seed/standings.h"

namespace judge_demo {
namespace {

namespace contest = platform::contest::v1;
namespace problem = platform::problem::v1;
namespace user = platform::user::v1;
using google::protobuf::Timestamp;
using google::protobuf::util::TimeUtil;
using platform::seed::BoardWatch;
using platform::seed::Clients;
using platform::seed::Content;
using platform::seed::ContestService;
using platform::seed::Differences;
using platform::seed::ExpectedBoard;
using platform::seed::ProblemService;
using platform::seed::RecordedAttempt;
using platform::seed::Session;
using platform::seed::Solution;
using platform::seed::UserService;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

std::int64_t Nanoseconds(const Timestamp& time) {
  return TimeUtil::TimestampToNanoseconds(time);
}

// TimeUtil's counts seconds.
std::int64_t Now() {
  return std::chrono::nanoseconds(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// The longest line that JSON would write as it is, and that is no comment.
std::string LongestLine(const std::string& text) {
  std::string longest;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.find_first_of("\"\\\t<>&'") == std::string::npos &&
        line.rfind("//", 0) != 0 && line.rfind('#', 0) != 0 &&
        line.size() > longest.size()) {
      longest = line;
    }
  }
  return longest.substr(0, 200);
}

// A solution that was handed in and acknowledged.
struct Entry {
  const Player* player = nullptr;
  const Session* session = nullptr;
  const Solution* solution = nullptr;
  int problem = 0;
  std::string submission_id;
  std::int64_t submitted_at = 0;
};

class Demo {
 public:
  struct Setup {
    std::string registry;
    std::string token;
    std::string run_folder;
    std::string restart;
    Content content;
  };

  explicit Demo(Setup setup) : setup_(std::move(setup)) {}

  absl::Status Run() {
    for (const auto& act :
         {&Demo::Connect, &Demo::EnterPeople, &Demo::SetUpContest,
          &Demo::TryWhatIsForbidden, &Demo::Open, &Demo::Fight, &Demo::Freeze,
          &Demo::End, &Demo::SearchForSecrets}) {
      if (absl::Status status = (this->*act)(); !status.ok()) return status;
    }
    return absl::OkStatus();
  }
  bool all_right() const { return all_right_; }

 private:
  // ---------------------------------------------------------------- printing
  void Title(std::string_view title) {
    const std::lock_guard lock(mutex_);
    std::cout << "\n\033[1m" << title << "\033[0m\n" << std::flush;
  }
  void Check(std::string_view what, bool right, std::string_view answer) {
    const std::lock_guard lock(mutex_);
    std::cout << (right ? "  ok     " : "  WRONG  ") << what << " → " << answer
              << '\n'
              << std::flush;
    all_right_ = all_right_ && right;
  }
  void Refused(std::string_view what, const absl::Status& status,
               absl::StatusCode code, std::string_view reason = "") {
    const std::string why = grpccommon::ReasonOf(status);
    Check(what, status.code() == code && (reason.empty() || why == reason),
          absl::StrCat(absl::StatusCodeToString(status.code()),
                       why.empty() ? "" : absl::StrCat(", ", why)));
  }
  // At most one table in two seconds, and the last one of each act.
  void Show(const contest::Leaderboard& board, bool at_once) {
    const std::lock_guard lock(mutex_);
    std::string table = platform::seed::TableOf(board);
    const auto now = steady_clock::now();
    if (table == shown_ || (!at_once && now < next_table_)) return;
    next_table_ = now + 2s;
    std::cout << "\n  the board, "
              << (board.phase() == contest::CONTEST_PHASE_ENDED
                      ? "after the end"
                      : "live")
              << (board.frozen() ? ", frozen" : "") << ":\n"
              << table << std::flush;
    shown_ = std::move(table);
  }

  // -------------------------------------------------------------------- acts
  absl::Status Connect() {
    Title("find the services");
    auto clients = Clients::Connect(setup_.registry, setup_.token);
    if (!clients.ok()) return clients.status();
    clients_ = *std::move(clients);
    const auto ready = [this] {
      const auto stats = clients_->Stats();
      return std::all_of(stats.begin(), stats.end(), [](const auto& service) {
        const bool execution =
            service.service ==
            platform::seed::ExecutionService::service_full_name();
        return service.instances >= (execution ? 2u : 1u);
      });
    };
    const auto give_up = steady_clock::now() + 20s;
    while (!ready() && steady_clock::now() < give_up) {
      std::this_thread::sleep_for(20ms);
    }
    for (const auto& service : clients_->Stats()) {
      Check(service.service, service.instances > 0,
            absl::StrCat(service.instances, " instances"));
    }
    return ready() ? absl::OkStatus()
                   : absl::UnavailableError("not all services are there");
  }

  absl::Status EnterPeople() {
    Title("people register and log in");
    const auto password =
        grpccommon::ReadFile(setup_.run_folder + "/admin_password");
    if (!password.ok()) return password.status();
    const auto admin = clients_->LogIn(
        "admin", std::string(absl::StripSuffix(*password, "\n")));
    if (!admin.ok()) return admin.status();
    const auto enter = [this](const std::string& name,
                              const std::string& shown) {
      const std::string secret = platform::seed::RandomPassword();
      auto session = EnsureUser(*clients_, name, secret, shown);
      if (session.ok()) passwords_[name] = secret;
      Check(shown, session.ok(),
            session.ok() ? "user " + session->user_id
                         : session.status().ToString());
      return session;
    };
    for (const Player& player : Players()) {
      auto session = enter(player.username, player.team);
      if (!session.ok()) return session.status();
      sessions_[player.username] = *std::move(session);
    }
    const auto judge = enter("referee", "The referee");
    if (!judge.ok()) return judge.status();
    const absl::Status author =
        platform::seed::MakeAuthor(*clients_, *admin, judge->user_id);
    Check("the admin makes the referee an author", author.ok(),
          author.ToString());
    auto session = clients_->LogIn("referee", passwords_["referee"]);
    if (!session.ok()) return session.status();
    judge_ = *std::move(session);
    return absl::OkStatus();
  }

  absl::Status SetUpContest() {
    Title("the referee makes problems and a contest");
    contest::CreateContestRequest create;
    for (const std::string& slug : Problems()) {
      const auto* const content = setup_.content.Find(slug);
      if (content == nullptr) return absl::NotFoundError(slug);
      const auto made = EnsureProblem(*clients_, judge_, *content);
      if (!made.ok()) return made.status();
      Check(made->title(), made->published(),
            absl::StrCat(made->test_count(), " tests"));
      contest::ContestProblem& entry =
          *create.mutable_contest()->add_problems();
      rules_.labels.emplace_back(1,
                                 static_cast<char>('A' + rules_.labels.size()));
      entry.set_label(rules_.labels.back());
      entry.set_problem_id(made->id());
    }
    create.mutable_contest()->set_title("Demo round");
    const Timestamp now = TimeUtil::GetCurrentTime();
    *create.mutable_contest()->mutable_starts_at() =
        now + TimeUtil::SecondsToDuration(4);
    *create.mutable_contest()->mutable_ends_at() =
        now + TimeUtil::HoursToDuration(1);
    const auto created = clients_->contests().Call(
        &ContestService::Stub::CreateContest, create, judge_.Call());
    if (!created.ok()) return created.status();
    contest_ = created->contest();
    rules_.starts_at = Nanoseconds(contest_.starts_at());
    for (const Player& player : Players()) {
      contest::RegisterForContestRequest request;
      request.set_contest_id(contest_.id());
      request.set_team_name(player.team);
      const auto registered =
          clients_->contests().Call(&ContestService::Stub::RegisterForContest,
                                    request, sessions_[player.username].Call());
      if (!registered.ok()) return registered.status();
      teams_.push_back(player.team);
    }
    Check("everybody registers for it", true,
          absl::StrCat(teams_.size(), " teams"));
    return absl::OkStatus();
  }

  absl::Status TryWhatIsForbidden() {
    Title("what nobody may do");
    const Session& ada = sessions_["ada"];
    const auto* const content = setup_.content.Find(Problems()[0]);

    problem::CreateProblemRequest create;
    *create.mutable_problem() = content->problem;
    create.mutable_problem()->set_slug("my-own");
    Refused("somebody without a token makes a problem",
            clients_->problems()
                .Call(&ProblemService::Stub::CreateProblem, create)
                .status(),
            absl::StatusCode::kUnauthenticated);
    Refused("Ada makes a problem",
            clients_->problems()
                .Call(&ProblemService::Stub::CreateProblem, create, ada.Call())
                .status(),
            absl::StatusCode::kPermissionDenied);

    problem::ListTestCasesRequest tests;
    tests.set_problem_id(contest_.problems(0).problem_id());
    tests.set_include_hidden(true);
    const auto stream = clients_->problems().Open(
        &ProblemService::Stub::ListTestCases, tests, ada.Call());
    problem::TestCase test;
    const bool seen = stream->Read(&test);
    Refused(
        "Ada reads the hidden tests",
        seen ? absl::OkStatus() : grpccommon::FromGrpcStatus(stream->Finish()),
        absl::StatusCode::kPermissionDenied);

    user::RegisterRequest weak;
    weak.set_username("eve");
    weak.set_email("eve@example.org");
    weak.set_password("password12");
    Refused("Eve chooses a weak password",
            clients_->users().Call(&UserService::Stub::Register, weak).status(),
            absl::StatusCode::kInvalidArgument);
    Refused("somebody guesses Ada's password",
            clients_->LogIn("ada", "correct horse").status(),
            absl::StatusCode::kUnauthenticated, "WRONG_CREDENTIALS");
    Refused(
        "Ada submits before the start",
        Submit(*clients_, ada, contest_.id(), "A", *content->Find("right.cpp"))
            .status(),
        absl::StatusCode::kFailedPrecondition, "CONTEST_NOT_STARTED");

    watch_.emplace(
        *clients_, sessions_["bob"], contest_.id(),
        [this](const auto& board, const auto&) { Show(board, false); });
    const bool begun = watch_->WaitUntil(
        [](const auto& board) {
          return board.phase() == contest::CONTEST_PHASE_RUNNING;
        },
        20s);
    Check("the contest begins, and the board says so", begun,
          begun ? "running" : "it does not");
    return begun ? absl::OkStatus()
                 : absl::DeadlineExceededError("the contest does not begin");
  }

  absl::Status Open() {
    Title("the opening: three languages and an attacker");
    absl::StatusOr<std::vector<Entry>> entries = Play(kOpening);
    if (!entries.ok()) return entries.status();
    Judge(*entries);
    ExpectBoard("the live board", Expected());

    contest::GetSubmissionRequest get;
    get.set_submission_id(entries->front().submission_id);
    Refused(
        "Cyd reads somebody else's submission",
        clients_->contests()
            .Call(&ContestService::Stub::GetSubmission, get,
                  sessions_[entries->front().player->username == "cyd" ? "dee"
                                                                       : "cyd"]
                      .Call())
            .status(),
        absl::StatusCode::kNotFound);
    return SubmitTwice();
  }

  // One key, one submission: of something that does not count.
  absl::Status SubmitTwice() {
    contest::SubmitSolutionRequest request;
    request.set_contest_id(contest_.id());
    request.set_problem_label("C");
    request.set_language("c");
    request.set_source(
        setup_.content.Find("primes-below")->Find("broken.c")->source);
    request.mutable_metadata()->set_idempotency_key(grpccommon::UuidV7());
    std::vector<std::string> ids;
    for (int i = 0; i < 2; ++i) {
      const auto response =
          clients_->contests().Call(&ContestService::Stub::SubmitSolution,
                                    request, sessions_["bob"].Call());
      if (!response.ok()) return response.status();
      ids.push_back(response->submission().id());
    }
    Check("Bob submits twice with one idempotency key", ids[0] == ids[1],
          ids[0] == ids[1] ? "one submission" : "two submissions");
    request.set_source("int main(void) {}");
    Refused("… and once more with another program",
            clients_->contests()
                .Call(&ContestService::Stub::SubmitSolution, request,
                      sessions_["bob"].Call())
                .status(),
            absl::StatusCode::kAlreadyExists);
    return AwaitVerdict(*clients_, sessions_["bob"], ids[0]).status();
  }

  absl::Status Fight() {
    Title("under fire: an instance of the execution service is killed");
    const auto entries = Play(kUnderFire);
    if (!entries.ok()) return entries.status();
    pid_t victim = 0;
    std::ifstream(setup_.run_folder + "/execution-2.pid") >> victim;
    if (victim <= 1) return absl::NotFoundError("execution-2.pid");
    int waiting = 0;
    const contest::Leaderboard board = watch_->Get();
    for (const auto& row : board.rows()) {
      for (const auto& cell : row.cells()) waiting += cell.pending();
    }
    kill(victim, SIGKILL);
    Check(absl::StrCat("kill -9 ", victim, ", with submissions under way"),
          waiting > 0, absl::StrCat(waiting, " wait for their verdicts"));
    Judge(*entries);
    ExpectBoard("the live board", Expected());
    return Restart("execution-2");
  }

  absl::Status Freeze() {
    Title("the board is frozen, and the other instance is started again");
    contest::Contest change;
    *change.mutable_freeze_at() =
        TimeUtil::NanosecondsToTimestamp(Now() + 1'000'000'000);
    absl::Status status = Update(change, "freeze_at");
    if (!status.ok()) return status;
    const bool frozen = watch_->WaitUntil(
        [](const auto& board) { return board.frozen(); }, 20s);
    Check("the watchers are told", frozen, frozen ? "frozen" : "they are not");
    rules_.frozen_at = Nanoseconds(change.freeze_at());

    absl::Status restarted;
    std::thread restart([&] { restarted = Restart("execution"); });
    const auto entries = Play(kLastMinutes);
    restart.join();
    if (!entries.ok()) return entries.status();
    if (!restarted.ok()) return restarted;
    Judge(*entries);
    ExpectBoard("the frozen board", Expected());
    platform::seed::Rules open = rules_;
    open.frozen_at.reset();
    contest::GetLeaderboardRequest get;
    get.set_contest_id(contest_.id());
    const auto inside = clients_->contests().Call(
        &ContestService::Stub::GetLeaderboard, get, judge_.Call());
    if (!inside.ok()) return inside.status();
    const std::string different = Differences(
        ExpectedBoard(teams_, open, attempts_), inside->leaderboard());
    Check("the referee sees behind the freeze", different.empty(),
          different.empty() ? "every result" : different);
    return absl::OkStatus();
  }

  absl::Status End() {
    Title("the end");
    contest::Contest change;
    *change.mutable_ends_at() =
        TimeUtil::NanosecondsToTimestamp(Now() + 1'000'000'000);
    absl::Status status = Update(change, "ends_at");
    if (!status.ok()) return status;
    const bool ended = watch_->WaitUntil(
        [](const auto& board) {
          return board.phase() == contest::CONTEST_PHASE_ENDED;
        },
        20s);
    Check("the contest ends, and the board stays frozen",
          ended && watch_->Get().frozen(), ended ? "ended" : "it does not");
    Refused("Mallory submits after the end",
            Submit(*clients_, sessions_["mallory"], contest_.id(), "C",
                   *setup_.content.Find("primes-below")->Find("right.py"))
                .status(),
            absl::StatusCode::kFailedPrecondition, "CONTEST_ENDED");
    change.set_results_revealed(true);
    status = Update(change, "results_revealed");
    if (!status.ok()) return status;
    rules_.frozen_at.reset();
    ExpectBoard("the final board", Expected());
    return absl::OkStatus();
  }

  // In all that the processes wrote but their databases and what they were
  // given.
  absl::Status SearchForSecrets() {
    Title("what was written");
    namespace fs = std::filesystem;
    std::vector<std::string> secrets;
    for (const auto& [name, password] : passwords_) secrets.push_back(password);
    for (const auto& [name, session] : sessions_) {
      secrets.push_back(session.access_token);
    }
    for (const auto& content : setup_.content.problems) {
      for (const problem::TestCase& test : content.test_cases) {
        if (!test.sample()) secrets.push_back(LongestLine(test.input()));
      }
      for (const Solution& solution : content.solutions) {
        secrets.push_back(LongestLine(solution.source));
      }
    }
    std::vector<fs::path> files;
    for (const auto& entry :
         fs::recursive_directory_iterator(setup_.run_folder)) {
      const std::string name = entry.path().filename().string();
      if (!entry.is_regular_file() || name.find(".db") != std::string::npos) {
        continue;
      }
      const bool given = name == "admin_password" ||
                         entry.path().extension() == ".token" ||
                         entry.path().extension() == ".key" ||
                         entry.path().extension() == ".json";
      if (!given) {
        files.push_back(entry.path());
      } else if (const auto text = grpccommon::ReadFile(entry.path().string());
                 text.ok()) {
        secrets.emplace_back(absl::StripSuffix(*text, "\n"));
      }
    }
    std::string found;
    bool names_found = false;  // what may be there, and is
    for (const fs::path& path : files) {
      const auto text = grpccommon::ReadFile(path.string(), 1 << 30);
      if (!text.ok()) return text.status();
      for (const std::string& secret : secrets) {
        if (secret.size() >= 12 && text->find(secret) != std::string::npos) {
          absl::StrAppend(&found, path.filename().string(), " ");
          break;
        }
      }
      names_found = names_found ||
                    text->find(sessions_["ada"].user_id) != std::string::npos;
    }
    Check(absl::StrCat("search ", files.size(), " files for ", secrets.size(),
                       " passwords, tokens, hidden tests and sources"),
          found.empty() && names_found,
          found.empty() ? "none is there" : "found in " + found);
    return absl::OkStatus();
  }

  // -------------------------------------------------------------------- tools
  // Hands in an act's solutions, each player in a thread of their own.
  absl::StatusOr<std::vector<Entry>> Play(const Act& act) {
    std::vector<Entry> entries;
    absl::Status failed;
    std::vector<std::thread> threads;
    for (const Player& player : Players()) {
      threads.emplace_back([&] {
        for (const Move& move : act) {
          if (move.player != player.username) continue;
          auto entry = HandIn(player, move);
          const std::lock_guard lock(mutex_);
          failed.Update(entry.status());
          if (!entry.ok()) return;
          attempts_.push_back({.team = player.team,
                               .problem = entry->problem,
                               .submitted_at = entry->submitted_at,
                               .verdict = *entry->solution->verdicts.begin()});
          entries.push_back(*std::move(entry));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    if (!failed.ok()) return failed;
    Check("solutions are handed in", entries.size() == act.size(),
          absl::StrCat(entries.size(), " acknowledged"));
    return entries;
  }

  absl::StatusOr<Entry> HandIn(const Player& player, const Move& move) {
    Entry entry{.player = &player,
                .session = &sessions_.at(player.username),
                .problem = move.problem - 'A'};
    const std::string name(move.solution);
    constexpr std::string_view kHostile = "hostile/";
    entry.solution =
        name.starts_with(kHostile)
            ? setup_.content.FindHostile(name.substr(kHostile.size()))
            : setup_.content.Find(Problems()[entry.problem])->Find(name);
    if (entry.solution == nullptr) return absl::NotFoundError(name);
    const std::int64_t sent = Now();
    const auto submission =
        Submit(*clients_, *entry.session, contest_.id(),
               std::string(1, move.problem), *entry.solution);
    if (!submission.ok()) return submission.status();
    const std::int64_t acknowledged = Now();
    entry.submission_id = submission->id();
    entry.submitted_at = Nanoseconds(submission->submitted_at());
    // Its own clock would be no record of ours.
    constexpr std::int64_t kRounding = 1'000'000;
    if (entry.submitted_at < sent - kRounding ||
        entry.submitted_at > acknowledged) {
      return absl::DataLossError(absl::StrCat(
          "submission ", entry.submission_id, " has the wrong time: ",
          entry.submitted_at - sent, " ns after it was sent, ",
          acknowledged - entry.submitted_at, " before it was acknowledged"));
    }
    return entry;
  }

  // Waits for every verdict, and compares each to what the program says of
  // itself.
  void Judge(const std::vector<Entry>& entries) {
    for (const Entry& entry : entries) {
      const auto judged =
          AwaitVerdict(*clients_, *entry.session, entry.submission_id);
      const bool right =
          judged.ok() && entry.solution->verdicts.count(judged->verdict()) != 0;
      Check(absl::StrCat(entry.player->team, " ", rules_.labels[entry.problem],
                         " ", entry.solution->name),
            right,
            judged.ok()
                ? absl::StrCat(
                      platform::execution::v1::Verdict_Name(judged->verdict())
                          .substr(std::string("VERDICT_").size()),
                      ", ", judged->passed_count(), " of ",
                      judged->test_count(), " tests")
                : judged.status().ToString());
    }
  }

  contest::Leaderboard Expected() {
    const std::lock_guard lock(mutex_);
    return ExpectedBoard(teams_, rules_, attempts_);
  }

  // What the watcher has must become this.
  void ExpectBoard(const std::string& what,
                   const contest::Leaderboard& expected) {
    const bool right = watch_->WaitUntil(
        [&](const contest::Leaderboard& board) {
          return board.frozen() == expected.frozen() &&
                 Differences(expected, board).empty();
        },
        10s);
    const contest::Leaderboard board = watch_->Get();
    Show(board, true);
    Check(absl::StrCat(what, " is the one that the script makes"), right,
          right ? "the same" : "\n" + Differences(expected, board));
  }

  // Changes the contest's field; `change` has its new value.
  absl::Status Update(const contest::Contest& change,
                      const std::string& field) {
    contest::GetContestRequest get;
    get.set_contest_id(contest_.id());
    const auto current = clients_->contests().Call(
        &ContestService::Stub::GetContest, get, judge_.Call());
    if (!current.ok()) return current.status();
    contest::UpdateContestRequest request;
    *request.mutable_contest() = change;
    request.mutable_contest()->set_id(contest_.id());
    request.mutable_contest()->set_version(current->contest().version());
    request.mutable_update_mask()->add_paths(field);
    return clients_->contests()
        .Call(&ContestService::Stub::UpdateContest, request, judge_.Call())
        .status();
  }

  absl::Status Restart(const std::string& process) {
    const std::string command =
        absl::StrCat(setup_.restart, " ", process, " >/dev/null");
    const auto begin = steady_clock::now();
    const int code = std::system(command.c_str());
    Check(absl::StrCat("start ", process, " again"), code == 0,
          absl::StrCat(std::chrono::duration_cast<std::chrono::milliseconds>(
                           steady_clock::now() - begin)
                           .count(),
                       " ms"));
    return code == 0 ? absl::OkStatus()
                     : absl::UnavailableError(process + " does not start");
  }

  const Setup setup_;
  std::unique_ptr<Clients> clients_;
  std::map<std::string, Session> sessions_;  // by user name
  std::map<std::string, std::string> passwords_;
  Session judge_;
  contest::Contest contest_;
  platform::seed::Rules rules_;
  std::vector<std::string> teams_;

  std::mutex mutex_;  // of all that follows
  std::vector<RecordedAttempt> attempts_;
  std::string shown_;
  steady_clock::time_point next_table_;
  bool all_right_ = true;

  std::optional<BoardWatch> watch_;  // goes first
};

}  // namespace
}  // namespace judge_demo

int main(int argc, char** argv) {
  const char* const token = std::getenv("PLATFORM_TOKEN");
  if (argc != 5 || token == nullptr) {
    std::cerr << "usage: PLATFORM_TOKEN=… judge_demo <registry URI> <content "
                 "folder> <run folder> <restart command>\n";
    return 64;
  }
  auto content = platform::seed::LoadContent(argv[2]);
  if (!content.ok()) return grpccommon::ExitWith(content.status());
  const auto begin = std::chrono::steady_clock::now();
  judge_demo::Demo demo({.registry = argv[1],
                         .token = token,
                         .run_folder = argv[3],
                         .restart = argv[4],
                         .content = *std::move(content)});
  const absl::Status status = demo.Run();
  if (!status.ok()) return grpccommon::ExitWith(status);
  std::cout << (demo.all_right() ? "\nevery answer was right, after "
                                 : "\nsome answer was WRONG, after ")
            << std::chrono::duration_cast<std::chrono::seconds>(
                   std::chrono::steady_clock::now() - begin)
                   .count()
            << " s\n";
  return demo.all_right() ? 0 : 1;
}
