// SPDX-License-Identifier: Apache-2.0
#include "services/seed/seeder.h"

#include <chrono>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "google/protobuf/util/time_util.h"

namespace platform::seed {
namespace {

using google::protobuf::util::TimeUtil;

constexpr char kContestTitle[] = "Practice round";
constexpr std::int64_t kDays = 7;

// Of a contest that runs, by title; none: NOT_FOUND.
absl::StatusOr<contest::v1::Contest> FindContest(Clients& clients,
                                                 const Session& who) {
  for (const auto phase : {contest::v1::CONTEST_PHASE_RUNNING,
                           contest::v1::CONTEST_PHASE_FROZEN}) {
    contest::v1::ListContestsRequest request;
    request.set_phase(phase);
    do {
      const auto page = clients.contests().Call(
          &ContestService::Stub::ListContests, request, who.Call());
      if (!page.ok()) return page.status();
      for (const contest::v1::Contest& contest : page->contests()) {
        if (contest.title() == kContestTitle) return contest;
      }
      request.mutable_page()->set_page_token(page->page().next_page_token());
    } while (!request.page().page_token().empty());
  }
  return absl::NotFoundError(kContestTitle);
}

absl::StatusOr<contest::v1::Contest> EnsureContest(
    Clients& clients, const Session& author,
    const std::vector<problem::v1::Problem>& problems) {
  auto found = FindContest(clients, author);
  if (!absl::IsNotFound(found.status())) return found;
  contest::v1::CreateContestRequest request;
  contest::v1::Contest& contest = *request.mutable_contest();
  contest.set_title(kContestTitle);
  contest.set_description("Solve what you like, in any language.");
  const auto now = TimeUtil::GetCurrentTime();
  *contest.mutable_starts_at() = now;
  *contest.mutable_ends_at() = now + TimeUtil::HoursToDuration(24 * kDays);
  for (const problem::v1::Problem& problem : problems) {
    contest::v1::ContestProblem& entry = *contest.add_problems();
    entry.set_label(
        std::string(1, static_cast<char>('A' + contest.problems_size() - 1)));
    entry.set_problem_id(problem.id());
  }
  auto response = clients.contests().Call(&ContestService::Stub::CreateContest,
                                          request, author.Call());
  if (!response.ok()) return response.status();
  return std::move(*response->mutable_contest());
}

}  // namespace

absl::StatusOr<Session> EnsureUser(Clients& clients,
                                   const std::string& username,
                                   const std::string& password,
                                   const std::string& display_name) {
  user::v1::RegisterRequest request;
  request.set_username(username);
  request.set_email(username + "@example.org");
  request.set_password(password);
  request.set_display_name(display_name);
  const auto registered =
      clients.users().Call(&UserService::Stub::Register, request);
  if (!registered.ok() && !absl::IsAlreadyExists(registered.status())) {
    return registered.status();
  }
  return clients.LogIn(username, password);
}

absl::Status MakeAuthor(Clients& clients, const Session& admin,
                        const std::string& user_id) {
  user::v1::AssignRoleRequest request;
  request.set_user_id(user_id);
  request.add_roles(user::v1::ROLE_USER);
  request.add_roles(user::v1::ROLE_AUTHOR);
  return clients.users()
      .Call(&UserService::Stub::AssignRole, request, admin.Call())
      .status();
}

absl::StatusOr<problem::v1::Problem> EnsureProblem(
    Clients& clients, const Session& author, const ProblemContent& content) {
  problem::v1::GetProblemRequest get;
  get.set_problem_id(content.problem.slug());
  const auto found = clients.problems().Call(&ProblemService::Stub::GetProblem,
                                             get, author.Call());
  problem::v1::Problem problem;
  if (found.ok()) {
    problem = found->problem();
  } else if (absl::IsNotFound(found.status())) {
    problem::v1::CreateProblemRequest create;
    *create.mutable_problem() = content.problem;
    create.mutable_problem()->set_published(false);
    const auto created = clients.problems().Call(
        &ProblemService::Stub::CreateProblem, create, author.Call());
    if (!created.ok()) return created.status();
    problem = created->problem();
  } else {
    return found.status();
  }

  if (problem.test_count() == 0) {
    problem::v1::AddTestCasesRequest add;
    add.set_problem_id(problem.id());
    for (const problem::v1::TestCase& test : content.test_cases) {
      *add.add_test_cases() = test;
    }
    const auto added = clients.problems().Call(
        &ProblemService::Stub::AddTestCases, add, author.Call());
    if (!added.ok()) return added.status();
    problem = added->problem();
  }
  if (!problem.published()) {
    problem::v1::UpdateProblemRequest update;
    update.mutable_problem()->set_id(problem.id());
    update.mutable_problem()->set_version(problem.version());
    update.mutable_problem()->set_published(true);
    update.mutable_update_mask()->add_paths("published");
    const auto updated = clients.problems().Call(
        &ProblemService::Stub::UpdateProblem, update, author.Call());
    if (!updated.ok()) return updated.status();
    problem = updated->problem();
  }
  return problem;
}

const std::map<std::string, std::string>& People() {
  static const std::map<std::string, std::string> kPeople = {
      {"alice", "Alice"},
      {"bob", "Bob"},
      {"carol", "Carol"},
      {Author(), "The judge"}};
  return kPeople;
}

absl::StatusOr<SeedSummary> Seed(Clients& clients, const Content& content,
                                 const SeedOptions& options) {
  SeedSummary summary;
  std::vector<Session> sessions;
  for (const auto& [name, shown] : People()) {
    const auto password = options.passwords.find(name);
    if (password == options.passwords.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("there is no password for ", name));
    }
    auto session = EnsureUser(clients, name, password->second, shown);
    if (!session.ok()) return session.status();
    summary.users[name] = session->user_id;
    sessions.push_back(*std::move(session));
  }
  const auto admin = clients.LogIn(options.admin_login, options.admin_password);
  if (!admin.ok()) return admin.status();
  absl::Status status = MakeAuthor(clients, *admin, summary.users[Author()]);
  if (!status.ok()) return status;
  const auto author =
      clients.LogIn(Author(), options.passwords.find(Author())->second);
  if (!author.ok()) return author.status();

  std::vector<problem::v1::Problem> problems;
  for (const ProblemContent& each : content.problems) {
    auto problem = EnsureProblem(clients, *author, each);
    if (!problem.ok()) return problem.status();
    summary.problems[problem->slug()] = problem->id();
    problems.push_back(*std::move(problem));
  }
  auto contest = EnsureContest(clients, *author, problems);
  if (!contest.ok()) return contest.status();
  for (const Session& session : sessions) {
    if (session.username == Author()) continue;
    contest::v1::RegisterForContestRequest request;
    request.set_contest_id(contest->id());
    request.set_team_name(People().at(session.username));
    status.Update(clients.contests()
                      .Call(&ContestService::Stub::RegisterForContest, request,
                            session.Call())
                      .status());
  }
  if (!status.ok()) return status;
  summary.contest = *std::move(contest);
  return summary;
}

}  // namespace platform::seed
