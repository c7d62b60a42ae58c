// SPDX-License-Identifier: Apache-2.0
#include "services/problem/problem_service.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "grpccommon/status/details.h"
#include "services/common/caller.h"
#include "services/common/rpc.h"
#include "services/common/token.h"
#include "services/problem/convert.h"
#include "services/problem/test_case_stream.h"

namespace platform::problem {
namespace {

using common::MakeToken;
using common::Place;
using common::ReadPageToken;
using common::TokenKind;
using grpccommon::UpdatableFields;

constexpr int kDefaultPageSize = 20;

absl::StatusOr<Caller> CallerOf(const grpc::CallbackServerContext& context) {
  const auto principal = common::PrincipalOf(context);
  if (!principal.ok()) return principal.status();
  return Caller{.id = common::CallerId(**principal),
                .admin = (*principal)->HasRole("admin"),
                .service = (*principal)->HasRole("service")};
}

// What a page token is bound to; tags have no line ends.
std::string Context(const Filter& filter) {
  return absl::StrCat(static_cast<int>(filter.difficulty), "\n",
                      filter.bookmarked, "\n",
                      absl::StrJoin(filter.tags, "\n"));
}

}  // namespace

ProblemService::ProblemService(StoreQueue& store, ProblemServiceOptions options)
    : store_(store),
      options_(options),
      updatable_(*UpdatableFields::Create(
          *v1::Problem::descriptor(),
          {"title", "statement", "difficulty", "tags", "limits", "checker",
           "languages", "published"})) {}

ProblemService::~ProblemService() = default;

template <typename Read, typename Answer>
grpc::ServerUnaryReactor* ProblemService::ReadFor(
    grpc::CallbackServerContext& context, Read read, Answer answer) {
  absl::StatusOr<Caller> caller = CallerOf(context);
  if (!caller.ok()) return common::Finish(context, caller.status());
  return common::ReadAndAnswer(
      store_, context,
      [caller = *std::move(caller), read = std::move(read)](
          ProblemStore& store) { return read(store, caller); },
      std::move(answer));
}

template <typename Write, typename Answer>
grpc::ServerUnaryReactor* ProblemService::WriteFor(
    grpc::CallbackServerContext& context, Write write, Answer answer) {
  absl::StatusOr<Caller> caller = CallerOf(context);
  if (!caller.ok()) return common::Finish(context, caller.status());
  return common::WriteAndAnswer(
      store_, context,
      [caller = *std::move(caller), write = std::move(write)](
          ProblemStore& store) { return write(store, caller); },
      std::move(answer));
}

grpc::ServerUnaryReactor* ProblemService::CreateProblem(
    grpc::CallbackServerContext* context,
    const v1::CreateProblemRequest* request,
    v1::CreateProblemResponse* response) {
  return WriteFor(
      *context,
      [request](ProblemStore& store, const Caller& caller) {
        return store.Create(caller, request->problem().slug(),
                            FromProto(request->problem()));
      },
      [response](const Problem& problem) {
        *response->mutable_problem() = ToProto(problem);
      });
}

grpc::ServerUnaryReactor* ProblemService::GetProblem(
    grpc::CallbackServerContext* context, const v1::GetProblemRequest* request,
    v1::GetProblemResponse* response) {
  return ReadFor(
      *context,
      [this, request](ProblemStore& store, const Caller& caller) {
        return store.View(caller, request->problem_id(),
                          options_.max_sample_bytes);
      },
      [response](const ProblemView& view) {
        *response->mutable_problem() = ToProto(view.problem);
        for (const TestCase& sample : view.samples) {
          *response->add_samples() =
              ToProto(sample, view.problem.tests_version);
        }
        response->set_liked(view.liked);
        response->set_bookmarked(view.bookmarked);
      });
}

grpc::ServerUnaryReactor* ProblemService::UpdateProblem(
    grpc::CallbackServerContext* context,
    const v1::UpdateProblemRequest* request,
    v1::UpdateProblemResponse* response) {
  absl::Status valid = updatable_.Check(request->update_mask());
  if (request->problem().id().empty()) {
    valid = grpccommon::InvalidFields({{"problem.id", "is required"}});
  }
  if (!valid.ok()) return common::Finish(*context, valid);
  return WriteFor(
      *context,
      [this, request](ProblemStore& store, const Caller& caller) {
        return store.Update(
            caller, request->problem().id(), request->problem().version(),
            [this, request](Content& content) -> absl::Status {
              v1::Problem changed = ToProto(content);
              absl::Status applied = updatable_.Apply(
                  request->update_mask(), request->problem(), changed);
              if (applied.ok()) content = FromProto(changed);
              return applied;
            });
      },
      [response](const Problem& problem) {
        *response->mutable_problem() = ToProto(problem);
      });
}

grpc::ServerUnaryReactor* ProblemService::DeleteProblem(
    grpc::CallbackServerContext* context,
    const v1::DeleteProblemRequest* request,
    v1::DeleteProblemResponse* /*response*/) {
  return WriteFor(
      *context,
      [request](ProblemStore& store, const Caller& caller) {
        return store.Delete(caller, request->problem_id());
      },
      [] {});
}

grpc::ServerUnaryReactor* ProblemService::ListProblems(
    grpc::CallbackServerContext* context,
    const v1::ListProblemsRequest* request,
    v1::ListProblemsResponse* response) {
  struct Answer {
    ProblemPage page;
    std::int64_t count = 0;
    std::string next_page_token;
  };
  return ReadFor(
      *context,
      [request](ProblemStore& store,
                const Caller& caller) -> absl::StatusOr<Answer> {
        const Filter filter = FromProto(*request);
        const std::string bound = Context(filter);
        const common::TokenContext token_context = {bound, filter.text,
                                                    filter.author_id};
        const absl::StatusOr<std::optional<Place>> after = ReadPageToken(
            request->page().page_token(), token_context, "page.page_token");
        if (!after.ok()) return after.status();
        const int size = request->page().page_size() > 0
                             ? request->page().page_size()
                             : kDefaultPageSize;
        absl::StatusOr<ProblemPage> page =
            store.List(caller, filter, after->value_or(Place()).number,
                       static_cast<std::size_t>(size));
        if (!page.ok()) return page.status();
        const absl::StatusOr<std::int64_t> count = store.Count(caller, filter);
        if (!count.ok()) return count.status();
        Answer answer{.page = *std::move(page), .count = *count};
        if (!answer.page.last) {
          answer.next_page_token = MakeToken(
              TokenKind::kPage, {.number = answer.page.problems.back().number},
              token_context);
        }
        return answer;
      },
      [response](const Answer& answer) {
        for (const Problem& problem : answer.page.problems) {
          *response->add_problems() = ToProto(problem);
        }
        response->mutable_page()->set_next_page_token(answer.next_page_token);
        response->mutable_page()->set_total_count(answer.count);
      });
}

grpc::ServerUnaryReactor* ProblemService::AddTestCases(
    grpc::CallbackServerContext* context,
    const v1::AddTestCasesRequest* request,
    v1::AddTestCasesResponse* response) {
  return WriteFor(
      *context,
      [request](ProblemStore& store, const Caller& caller) {
        std::vector<TestCase> test_cases;
        for (const v1::TestCase& test : request->test_cases()) {
          test_cases.push_back(FromProto(test));
        }
        return store.AddTestCases(caller, request->problem_id(), test_cases);
      },
      [response](const ProblemStore::Added& added) {
        response->mutable_test_case_ids()->Add(added.ids.begin(),
                                               added.ids.end());
        *response->mutable_problem() = ToProto(added.problem);
      });
}

grpc::ServerUnaryReactor* ProblemService::DeleteTestCase(
    grpc::CallbackServerContext* context,
    const v1::DeleteTestCaseRequest* request,
    v1::DeleteTestCaseResponse* response) {
  return WriteFor(
      *context,
      [request](ProblemStore& store, const Caller& caller) {
        return store.DeleteTestCase(caller, request->problem_id(),
                                    request->test_case_id());
      },
      [response](const Problem& problem) {
        *response->mutable_problem() = ToProto(problem);
      });
}

grpc::ServerWriteReactor<v1::TestCase>* ProblemService::ListTestCases(
    grpc::CallbackServerContext* context,
    const v1::ListTestCasesRequest* request) {
  const auto writer = TestCaseWriter::Create(
      *context, {.max_queued = options_.test_cases_at_a_time});
  absl::StatusOr<Caller> caller = CallerOf(*context);
  if (!caller.ok()) {
    writer->Finish(caller.status());
    return writer->reactor();
  }
  std::make_shared<TestCaseStream>(
      writer, store_,
      TestCaseStream::Start{.caller = *std::move(caller),
                            .problem_id = request->problem_id(),
                            .include_hidden = request->include_hidden(),
                            .max_count = options_.test_cases_at_a_time,
                            .max_bytes = options_.test_bytes_at_a_time})
      ->Run();
  return writer->reactor();
}

grpc::ServerUnaryReactor* ProblemService::LikeProblem(
    grpc::CallbackServerContext* context, const v1::LikeProblemRequest* request,
    v1::LikeProblemResponse* response) {
  return WriteFor(
      *context,
      [request](ProblemStore& store, const Caller& caller) {
        return store.SetLike(caller, request->problem_id(), !request->remove());
      },
      [response](std::int64_t likes) { response->set_likes(likes); });
}

grpc::ServerUnaryReactor* ProblemService::BookmarkProblem(
    grpc::CallbackServerContext* context,
    const v1::BookmarkProblemRequest* request,
    v1::BookmarkProblemResponse* /*response*/) {
  return WriteFor(
      *context,
      [request](ProblemStore& store, const Caller& caller) {
        return store.SetBookmark(caller, request->problem_id(),
                                 !request->remove());
      },
      [] {});
}

grpc::ServerUnaryReactor* ProblemService::GetProblemStats(
    grpc::CallbackServerContext* context,
    const v1::GetProblemStatsRequest* request,
    v1::GetProblemStatsResponse* response) {
  return ReadFor(
      *context,
      [request](ProblemStore& store, const Caller& caller) {
        return store.GetStats(caller, request->problem_id());
      },
      [response](const Stats& stats) {
        response->set_likes(stats.likes);
        response->set_bookmarks(stats.bookmarks);
        response->set_submissions(stats.submissions);
        response->set_accepted(stats.accepted);
        response->set_solvers(stats.solvers);
      });
}

grpc::ServerUnaryReactor* ProblemService::RecordVerdict(
    grpc::CallbackServerContext* context,
    const v1::RecordVerdictRequest* request,
    v1::RecordVerdictResponse* /*response*/) {
  return WriteFor(
      *context,
      [request](ProblemStore& store, const Caller& /*caller*/) {
        return store.RecordVerdict({.problem_id = request->problem_id(),
                                    .submission_id = request->submission_id(),
                                    .user_id = request->user_id(),
                                    .accepted = request->accepted()});
      },
      [] {});
}

}  // namespace platform::problem
