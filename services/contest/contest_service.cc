// SPDX-License-Identifier: Apache-2.0
#include "services/contest/contest_service.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "grpccommon/call/server_call.h"
#include "grpccommon/status/details.h"
#include "grpccommon/stream/writer.h"
#include "services/common/caller.h"
#include "services/common/id.h"
#include "services/common/rpc.h"
#include "services/common/token.h"
#include "services/contest/convert.h"

namespace platform::contest {
namespace {

using common::CanonicalId;
using common::Place;
using common::ReadAndAnswer;
using common::TokenKind;
using common::WriteAndAnswer;
using grpccommon::NotFound;
using grpccommon::StreamWriter;
using grpccommon::ToGrpcStatus;

constexpr int kDefaultPageSize = 20;
// A page ends before its size where it grows larger: clients take no message
// of more than 4 MiB by default.
constexpr std::size_t kMaxPageBytes = 2 << 20;

// Whom the call's chain has proven; the contract lets nobody else in.
Caller CallerOf(const grpc::CallbackServerContext& context) {
  const grpccommon::ServerCall* const call =
      grpccommon::ServerCall::Of(context);
  if (call == nullptr) return {};
  const grpccommon::Principal& principal = call->principal();
  const auto name = principal.attributes.find("username");
  return {.id = common::CallerId(principal),
          .name = name != principal.attributes.end() ? name->second
                                                     : principal.subject,
          .admin = principal.HasRole("admin"),
          .service = principal.HasRole("service")};
}

absl::Status NotYours() {
  return grpccommon::PermissionDenied(
      "NOT_THE_AUTHOR", "the contest is for its author and admins to change");
}

bool MaySee(const Caller& caller, const Submission& submission,
            const Contest& contest) {
  return caller.service || caller.id == submission.user_id ||
         Manages(caller, contest);
}

std::size_t PageSize(const platform::common::v1::PaginationRequest& page) {
  return static_cast<std::size_t>(page.page_size() > 0 ? page.page_size()
                                                       : kDefaultPageSize);
}

// Adds the first of `rows`, which were read one more than a page has, and
// returns the last that was added if others follow.
template <typename Row, typename Add>
const Row* FillPage(const std::vector<Row>& rows, std::size_t size, Add add) {
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    bytes += add(rows[i]).ByteSizeLong();
    const bool full = i + 1 == size || bytes > kMaxPageBytes;
    if (full) return i + 1 < rows.size() ? &rows[i] : nullptr;
  }
  return nullptr;
}

// A submission that came before, or the problem of one that may come.
struct Looked {
  std::optional<Submission> known;
  ContestProblem problem;
};
absl::StatusOr<Looked> LookAt(ContestStore& store,
                              const NewSubmission& submission, WallTime now) {
  const absl::StatusOr<Contest> contest = store.Get(submission.contest_id);
  if (!contest.ok()) return contest.status();
  auto known = store.FindSubmitted(submission);
  if (!known.ok()) return known.status();
  if (known->has_value()) return Looked{.known = **std::move(known)};
  const auto registered =
      store.IsRegistered(submission.contest_id, submission.user_id);
  if (!registered.ok()) return registered.status();
  if (auto status = CheckMaySubmit(*contest, *registered, now); !status.ok()) {
    return status;
  }
  const ContestProblem* const problem = contest->FindProblem(submission.label);
  if (problem == nullptr) return NotFound("problem", submission.label);
  return Looked{.problem = *problem};
}

// With the contest it belongs to.
struct Seen {
  Submission submission;
  Contest contest;
};
absl::StatusOr<Seen> FindSubmission(ContestStore& store, const std::string& id,
                                    const Caller& caller) {
  absl::StatusOr<Submission> submission = store.GetSubmission(id);
  if (!submission.ok()) return submission.status();
  absl::StatusOr<Contest> contest = store.Get(submission->contest_id);
  if (!contest.ok()) return contest.status();
  if (!MaySee(caller, *submission, *contest)) {
    return NotFound("submission", id);
  }
  return Seen{*std::move(submission), *std::move(contest)};
}

}  // namespace

absl::StatusOr<std::unique_ptr<ContestService>> ContestService::Create(
    Parts parts, const grpccommon::Clock& clock) {
  auto updatable = grpccommon::UpdatableFields::Create(
      *v1::Contest::descriptor(),
      {"title", "description", "starts_at", "ends_at", "freeze_at", "penalty",
       "problems", "results_revealed"});
  if (!updatable.ok()) return updatable.status();
  return absl::WrapUnique(
      new ContestService(parts, clock, *std::move(updatable)));
}

v1::Contest ContestService::Show(const Contest& contest,
                                 const Caller& caller) const {
  const WallTime now = clock_.WallNow();
  return ToProto(contest, now,
                 Manages(caller, contest) || ProblemsShownAt(contest, now));
}

template <typename Writer>
absl::Status ContestService::TakePlace(
    const Caller& caller, const std::shared_ptr<Writer>& writer) const {
  // A process watches for many.
  if (caller.service) return absl::OkStatus();
  return parts_.quota.Take(caller.id, writer);
}

grpc::ServerUnaryReactor* ContestService::CreateContest(
    grpc::CallbackServerContext* context,
    const v1::CreateContestRequest* request,
    v1::CreateContestResponse* response) {
  absl::StatusOr<Contest> wanted = FromProto(request->contest());
  if (!wanted.ok()) return common::Finish(*context, wanted.status());
  const Caller caller = CallerOf(*context);
  wanted->author_id = caller.id;
  std::vector<ContestProblem> problems = wanted->problems;
  auto* const reactor = context->DefaultReactor();
  parts_.backends.Complete(
      grpccommon::ServerCall::Of(*context), std::move(problems),
      [this, context, reactor, response, caller, contest = *std::move(wanted)](
          absl::StatusOr<std::vector<ContestProblem>> complete) mutable {
        if (!complete.ok()) {
          return reactor->Finish(ToGrpcStatus(complete.status()));
        }
        contest.problems = *std::move(complete);
        WriteAndAnswer(
            parts_.store, *context, reactor,
            [contest](ContestStore& store) { return store.Create(contest); },
            [this, response, caller](const Contest& made) {
              *response->mutable_contest() = Show(made, caller);
            });
      });
  return reactor;
}

grpc::ServerUnaryReactor* ContestService::GetContest(
    grpc::CallbackServerContext* context, const v1::GetContestRequest* request,
    v1::GetContestResponse* response) {
  struct Answer {
    Contest contest;
    bool registered = false;
  };
  const Caller caller = CallerOf(*context);
  return ReadAndAnswer(
      parts_.store, *context,
      [request, caller](ContestStore& store) -> absl::StatusOr<Answer> {
        absl::StatusOr<Contest> contest =
            store.Get(CanonicalId(request->contest_id()));
        if (!contest.ok()) return contest.status();
        const auto registered =
            store.IsRegistered(CanonicalId(request->contest_id()), caller.id);
        if (!registered.ok()) return registered.status();
        return Answer{*std::move(contest), *registered};
      },
      [this, response, caller](const Answer& answer) {
        *response->mutable_contest() = Show(answer.contest, caller);
        response->set_registered(answer.registered);
      });
}

grpc::ServerUnaryReactor* ContestService::ListContests(
    grpc::CallbackServerContext* context,
    const v1::ListContestsRequest* request,
    v1::ListContestsResponse* response) {
  struct Answer {
    std::vector<Contest> contests;
    std::int64_t count = 0;
  };
  const std::string phase = absl::StrCat(request->phase());
  return ReadAndAnswer(
      parts_.store, *context,
      [request, phase](ContestStore& store) -> absl::StatusOr<Answer> {
        const auto place = common::ReadPageToken(request->page().page_token(),
                                                 {phase}, "page.page_token");
        if (!place.ok()) return place.status();
        std::optional<ContestStore::ContestKey> after;
        if (place->has_value()) {
          after = {.starts_at = WallTime(Duration((*place)->number)),
                   .id = (*place)->id};
        }
        std::optional<Phase> wanted;
        if (request->phase() != v1::CONTEST_PHASE_UNSPECIFIED) {
          wanted = static_cast<Phase>(request->phase());
        }
        auto contests =
            store.List(wanted, after, PageSize(request->page()) + 1);
        if (!contests.ok()) return contests.status();
        const auto count = store.Count(wanted);
        if (!count.ok()) return count.status();
        return Answer{*std::move(contests), *count};
      },
      [this, request, response, phase](const Answer& answer) {
        const WallTime now = clock_.WallNow();
        const Contest* const last = FillPage(
            answer.contests, PageSize(request->page()),
            [&](const Contest& contest) -> const v1::Contest& {
              return *response->add_contests() = ToProto(contest, now, false);
            });
        if (last != nullptr) {
          response->mutable_page()->set_next_page_token(common::MakeToken(
              TokenKind::kPage,
              {.number = last->starts_at.time_since_epoch().count(),
               .id = last->id},
              {phase}));
        }
        response->mutable_page()->set_total_count(answer.count);
      });
}

// Inside the transaction that stores the result.
absl::StatusOr<Contest> ContestService::Update(
    ContestStore& store, const v1::UpdateContestRequest& request,
    const Caller& caller, const std::vector<ContestProblem>& problems) const {
  const std::string id = CanonicalId(request.contest().id());
  const absl::StatusOr<Contest> before = store.Get(id);
  if (!before.ok()) return before.status();
  if (!Manages(caller, *before)) return NotYours();
  if (request.contest().version() != before->version) {
    return grpccommon::VersionConflict("contest", id, before->version);
  }
  const WallTime now = clock_.WallNow();
  v1::Contest proto = ToProto(*before, now, true);
  absl::Status applied =
      updatable_.Apply(request.update_mask(), request.contest(), proto);
  if (!applied.ok()) return applied;
  absl::StatusOr<Contest> after = FromProto(proto);
  if (!after.ok()) return after.status();
  for (ContestProblem& problem : after->problems) {
    for (const auto* const known : {&before->problems, &problems}) {
      const auto same = std::find_if(
          known->begin(), known->end(), [&](const ContestProblem& p) {
            return p.problem_id == problem.problem_id;
          });
      if (same == known->end()) continue;
      problem.title = same->title;
      problem.languages = same->languages;
    }
  }
  if (auto status = CheckChange(*before, *after, now); !status.ok()) {
    return status;
  }
  return store.Update(*before, *std::move(after));
}

grpc::ServerUnaryReactor* ContestService::UpdateContest(
    grpc::CallbackServerContext* context,
    const v1::UpdateContestRequest* request,
    v1::UpdateContestResponse* response) {
  const absl::Status mask = updatable_.Check(request->update_mask());
  if (!mask.ok()) return common::Finish(*context, mask);
  const auto& paths = request->update_mask().paths();
  const bool with_problems =
      std::any_of(paths.begin(), paths.end(), [](const std::string& path) {
        return path == "*" || absl::StartsWith(path, "problems");
      });
  std::vector<ContestProblem> problems;
  if (with_problems) {
    for (const v1::ContestProblem& problem : request->contest().problems()) {
      problems.push_back({.problem_id = problem.problem_id()});
    }
  }
  auto* const reactor = context->DefaultReactor();
  parts_.backends.Complete(
      grpccommon::ServerCall::Of(*context), std::move(problems),
      [this, context, reactor, request, response, caller = CallerOf(*context)](
          absl::StatusOr<std::vector<ContestProblem>> complete) {
        if (!complete.ok()) {
          return reactor->Finish(ToGrpcStatus(complete.status()));
        }
        WriteAndAnswer(
            parts_.store, *context, reactor,
            [this, request, caller,
             complete = *std::move(complete)](ContestStore& store) {
              return Update(store, *request, caller, complete);
            },
            [this, response, caller](const Contest& updated) {
              *response->mutable_contest() = Show(updated, caller);
              parts_.live.Changed(updated.id);
            });
      });
  return reactor;
}

grpc::ServerUnaryReactor* ContestService::RegisterForContest(
    grpc::CallbackServerContext* context,
    const v1::RegisterForContestRequest* request,
    v1::RegisterForContestResponse* response) {
  const Caller caller = CallerOf(*context);
  return WriteAndAnswer(
      parts_.store, *context,
      [request, caller](ContestStore& store) {
        return store.Register(
            CanonicalId(request->contest_id()), caller.id,
            request->team_name().empty() ? caller.name : request->team_name());
      },
      [this, request, response](const Registration& registration) {
        response->set_team_name(registration.team_name);
        SetTime(registration.registered_at, *response->mutable_registered_at());
        parts_.live.Changed(CanonicalId(request->contest_id()));
      });
}

grpc::ServerUnaryReactor* ContestService::SubmitSolution(
    grpc::CallbackServerContext* context,
    const v1::SubmitSolutionRequest* request,
    v1::SubmitSolutionResponse* response) {
  const auto submission = std::make_shared<const NewSubmission>(
      NewSubmission{.contest_id = CanonicalId(request->contest_id()),
                    .user_id = CallerOf(*context).id,
                    .label = request->problem_label(),
                    .language = request->language(),
                    .source = request->source(),
                    .idempotency_key = request->metadata().idempotency_key()});
  const auto answer = [this, response](const Submission& taken) {
    *response->mutable_submission() = ToProto(taken, false);
    parts_.live.Changed(taken.contest_id);
    parts_.judging.Wake();
  };
  auto* const reactor = context->DefaultReactor();
  const auto take = [this, context, reactor, submission,
                     answer](const absl::Status& language) {
    if (!language.ok()) return reactor->Finish(ToGrpcStatus(language));
    // Looks once more at what may have changed since.
    WriteAndAnswer(
        parts_.store, *context, reactor,
        [submission](ContestStore& store) { return store.Submit(*submission); },
        answer);
  };
  const absl::Status added = parts_.store.Read(
      [this, reactor, submission, answer, take](ContestStore& store) {
        const auto looked = LookAt(store, *submission, clock_.WallNow());
        if (!looked.ok() || looked->known.has_value()) {
          if (looked.ok()) answer(*looked->known);
          return reactor->Finish(ToGrpcStatus(looked.status()));
        }
        parts_.backends.CheckLanguage(looked->problem, submission->language,
                                      take);
      });
  if (!added.ok()) reactor->Finish(ToGrpcStatus(added));
  return reactor;
}

grpc::ServerUnaryReactor* ContestService::GetSubmission(
    grpc::CallbackServerContext* context,
    const v1::GetSubmissionRequest* request,
    v1::GetSubmissionResponse* response) {
  return ReadAndAnswer(
      parts_.store, *context,
      [request, caller = CallerOf(*context)](ContestStore& store) {
        return FindSubmission(store, CanonicalId(request->submission_id()),
                              caller);
      },
      [response](const Seen& seen) {
        *response->mutable_submission() = ToProto(seen.submission, true);
      });
}

grpc::ServerUnaryReactor* ContestService::ListSubmissions(
    grpc::CallbackServerContext* context,
    const v1::ListSubmissionsRequest* request,
    v1::ListSubmissionsResponse* response) {
  struct Answer {
    std::vector<Submission> submissions;
    std::int64_t count = 0;
  };
  const Caller caller = CallerOf(*context);
  const ContestStore::SubmissionFilter filter{
      .contest_id = CanonicalId(request->contest_id()),
      .user_id = request->all() ? "" : caller.id,
      .label = request->problem_label()};
  return ReadAndAnswer(
      parts_.store, *context,
      [request, caller, filter](ContestStore& store) -> absl::StatusOr<Answer> {
        const absl::StatusOr<Contest> contest = store.Get(filter.contest_id);
        if (!contest.ok()) return contest.status();
        if (request->all() && !Manages(caller, *contest)) return NotYours();
        const auto place = common::ReadPageToken(
            request->page().page_token(),
            {filter.contest_id, filter.user_id, filter.label},
            "page.page_token");
        if (!place.ok()) return place.status();
        std::optional<std::int64_t> before;
        if (place->has_value()) before = (*place)->number;
        auto submissions = store.ListSubmissions(filter, before,
                                                 PageSize(request->page()) + 1);
        if (!submissions.ok()) return submissions.status();
        const auto count = store.CountSubmissions(filter);
        if (!count.ok()) return count.status();
        return Answer{*std::move(submissions), *count};
      },
      [request, response, filter](const Answer& answer) {
        const Submission* const last = FillPage(
            answer.submissions, PageSize(request->page()),
            [&](const Submission& submission) -> const v1::Submission& {
              return *response->add_submissions() = ToProto(submission, false);
            });
        if (last != nullptr) {
          response->mutable_page()->set_next_page_token(common::MakeToken(
              TokenKind::kPage, {.number = last->number},
              {filter.contest_id, filter.user_id, filter.label}));
        }
        response->mutable_page()->set_total_count(answer.count);
      });
}

grpc::ServerWriteReactor<v1::SubmissionUpdate>* ContestService::WatchSubmission(
    grpc::CallbackServerContext* context,
    const v1::WatchSubmissionRequest* request) {
  const auto writer = StreamWriter<v1::SubmissionUpdate>::Create(*context);
  const std::string id = CanonicalId(request->submission_id());
  const Caller caller = CallerOf(*context);
  absl::Status status = TakePlace(caller, writer);
  // First, so that no verdict is missed.
  if (status.ok()) status = parts_.watches.Add(id, writer);
  if (status.ok()) {
    status = parts_.store.Read([this, writer, id, caller](ContestStore& store) {
      const auto seen = FindSubmission(store, id, caller);
      if (!seen.ok()) return writer->Finish(seen.status());
      parts_.watches.Start(writer, seen->submission);
    });
  }
  if (!status.ok()) writer->Finish(status);
  return writer->reactor();
}

grpc::ServerUnaryReactor* ContestService::GetLeaderboard(
    grpc::CallbackServerContext* context,
    const v1::GetLeaderboardRequest* request,
    v1::GetLeaderboardResponse* response) {
  const auto place = common::ReadPageToken(
      request->page_token(), {CanonicalId(request->contest_id())});
  if (!place.ok()) return common::Finish(*context, place.status());
  std::optional<Board::Place> after;
  if (place->has_value()) {
    after = {.merit = (*place)->number,
             .team_name = (*place)->text,
             .user_id = (*place)->id};
  }
  auto* const reactor = context->DefaultReactor();
  parts_.live.Look(
      CanonicalId(request->contest_id()),
      [reactor, request, response, after, caller = CallerOf(*context)](
          const absl::StatusOr<std::shared_ptr<LiveContest>>& contest) {
        if (contest.ok()) {
          LiveContest::Page page = (*contest)->Show(
              caller, after,
              request->page_size() > 0
                  ? static_cast<std::size_t>(request->page_size())
                  : std::numeric_limits<std::size_t>::max());
          *response->mutable_leaderboard() = std::move(page.board);
          response->set_total_count(static_cast<std::int64_t>(page.row_count));
          if (page.last.has_value()) {
            response->set_next_page_token(
                common::MakeToken(TokenKind::kPage,
                                  {.number = page.last->merit,
                                   .text = page.last->team_name,
                                   .id = page.last->user_id},
                                  {CanonicalId(request->contest_id())}));
          }
        }
        reactor->Finish(ToGrpcStatus(contest.status()));
      });
  return reactor;
}

grpc::ServerWriteReactor<v1::LeaderboardUpdate>*
ContestService::GetLeaderboardStream(grpc::CallbackServerContext* context,
                                     const v1::GetLeaderboardRequest* request) {
  const auto writer = StreamWriter<v1::LeaderboardUpdate>::Create(*context);
  const Caller caller = CallerOf(*context);
  if (absl::Status taken = TakePlace(caller, writer); !taken.ok()) {
    writer->Finish(taken);
    return writer->reactor();
  }
  parts_.live.Look(
      CanonicalId(request->contest_id()),
      [writer,
       caller](const absl::StatusOr<std::shared_ptr<LiveContest>>& contest) {
        const absl::Status status = contest.ok()
                                        ? (*contest)->WatchBoard(caller, writer)
                                        : contest.status();
        if (!status.ok()) writer->Finish(status);
      });
  return writer->reactor();
}

grpc::ServerUnaryReactor* ContestService::CreateAnnouncement(
    grpc::CallbackServerContext* context,
    const v1::CreateAnnouncementRequest* request,
    v1::CreateAnnouncementResponse* response) {
  return WriteAndAnswer(
      parts_.store, *context,
      [request, caller = CallerOf(*context)](
          ContestStore& store) -> absl::StatusOr<Announcement> {
        const auto contest = store.Get(CanonicalId(request->contest_id()));
        if (!contest.ok()) return contest.status();
        if (!Manages(caller, *contest)) return NotYours();
        return store.Announce(CanonicalId(request->contest_id()), caller.id,
                              request->text());
      },
      [this, request, response](const Announcement& announcement) {
        *response->mutable_announcement() = ToProto(announcement);
        parts_.live.Changed(CanonicalId(request->contest_id()));
      });
}

grpc::ServerUnaryReactor* ContestService::ListAnnouncements(
    grpc::CallbackServerContext* context,
    const v1::ListAnnouncementsRequest* request,
    v1::ListAnnouncementsResponse* response) {
  struct Answer {
    std::vector<Announcement> announcements;
    std::int64_t count = 0;
  };
  return ReadAndAnswer(
      parts_.store, *context,
      [request](ContestStore& store) -> absl::StatusOr<Answer> {
        const auto count =
            store.CountAnnouncements(CanonicalId(request->contest_id()));
        if (!count.ok()) return count.status();
        const auto place = common::ReadPageToken(
            request->page().page_token(), {CanonicalId(request->contest_id())},
            "page.page_token");
        if (!place.ok()) return place.status();
        auto announcements = store.Announcements(
            CanonicalId(request->contest_id()), place->value_or(Place()).number,
            PageSize(request->page()) + 1);
        if (!announcements.ok()) return announcements.status();
        return Answer{*std::move(announcements), *count};
      },
      [request, response](const Answer& answer) {
        const Announcement* const last = FillPage(
            answer.announcements, PageSize(request->page()),
            [&](const Announcement& announcement) -> const v1::Announcement& {
              return *response->add_announcements() = ToProto(announcement);
            });
        if (last != nullptr) {
          response->mutable_page()->set_next_page_token(
              common::MakeToken(TokenKind::kPage, {.number = last->number},
                                {CanonicalId(request->contest_id())}));
        }
        response->mutable_page()->set_total_count(answer.count);
      });
}

grpc::ServerWriteReactor<v1::Announcement>* ContestService::WatchAnnouncements(
    grpc::CallbackServerContext* context,
    const v1::WatchAnnouncementsRequest* request) {
  const auto writer = StreamWriter<v1::Announcement>::Create(*context);
  if (absl::Status taken = TakePlace(CallerOf(*context), writer); !taken.ok()) {
    writer->Finish(taken);
    return writer->reactor();
  }
  parts_.live.Look(
      CanonicalId(request->contest_id()),
      [writer, after = request->after()](
          const absl::StatusOr<std::shared_ptr<LiveContest>>& contest) {
        const absl::Status status =
            contest.ok() ? (*contest)->WatchAnnouncements(after, writer)
                         : contest.status();
        if (!status.ok()) writer->Finish(status);
      });
  return writer->reactor();
}

}  // namespace platform::contest
