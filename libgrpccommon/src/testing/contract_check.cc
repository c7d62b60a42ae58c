// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/testing/contract_check.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "google/rpc/error_details.pb.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/call/metadata_keys.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/status/details.h"
#include "grpcpp/completion_queue.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/support/byte_buffer.h"

namespace grpccommon::testing {
namespace {

using std::chrono::nanoseconds;

// How a call ended, and what it left behind.
struct Outcome {
  absl::Status status;
  bool pushback = false;
  std::int64_t calls = 0;
  std::int64_t messages = 0;
};

bool RateLimited(const absl::Status& status) {
  return ReasonOf(status) == "RATE_LIMITED";
}

std::vector<std::string> ViolatedFields(const absl::Status& status) {
  google::rpc::BadRequest request;
  std::vector<std::string> fields;
  if (!GetDetail(status, request)) return fields;
  for (const auto& violation : request.field_violations()) {
    fields.push_back(violation.field());
  }
  return fields;
}

std::string Text(grpc::StatusCode code, const std::string& reason,
                 const std::vector<std::string>& fields) {
  std::string text(CodeName(code));
  if (!reason.empty()) absl::StrAppend(&text, " ", reason);
  if (!fields.empty()) {
    absl::StrAppend(&text, " at ", absl::StrJoin(fields, ", "));
  }
  return text;
}

std::string Text(const absl::Status& status) {
  return Text(static_cast<grpc::StatusCode>(status.code()), ReasonOf(status),
              ViolatedFields(status));
}

class Checker {
 public:
  Checker(const std::shared_ptr<grpc::Channel>& channel,
          const ContractCheckOptions& options)
      : stub_(channel), options_(options) {}

  ~Checker() {
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
    }
  }

  std::optional<ContractResult> Check(const ContractCase& one) {
    ContractResult result{.method = one.method.path, .name = one.name};
    switch (one.kind) {
      case ContractCase::Kind::kValid:
        if (options_.admitted == nullptr) return std::nullopt;
        CheckValid(one, result);
        break;
      case ContractCase::Kind::kTooMany:
        if (options_.clock == nullptr) return std::nullopt;
        CheckTooMany(one, result);
        break;
      default:
        CheckRefusal(one, result);
    }
    return result;
  }

 private:
  // Nobody has called before: budgets by principal are fresh.
  static ContractCaller NewCaller(const ContractCase& one) {
    static std::atomic<std::int64_t> last{0};
    return {.subject = absl::StrCat("contract-check-", ++last),
            .roles = one.roles,
            .scopes = one.scopes};
  }

  void CheckValid(const ContractCase& one, ContractResult& result) {
    result.expected = "admitted";
    const Outcome outcome = CallWithinBudget(one, NewCaller(one));
    result.kept = outcome.calls == 1;
    result.got = result.kept ? "admitted" : Text(outcome.status);
  }

  void CheckRefusal(const ContractCase& one, ContractResult& result) {
    result.expected =
        Text(one.code, one.reason,
             one.field.empty() ? std::vector<std::string>()
                               : std::vector<std::string>{one.field});
    const Outcome outcome = CallWithinBudget(one, NewCaller(one));
    result.got = Text(outcome.status);
    result.kept = result.got == result.expected;
    for (const std::string& word : one.mentions) {
      if (ToStd(outcome.status.message()).find(word) ==
          std::string_view::npos) {
        result.kept = false;
        absl::StrAppend(&result.got, ", without a word of ", word);
      }
    }
    CheckNotHandled(one, outcome, result);
  }

  void CheckTooMany(const ContractCase& one, ContractResult& result) {
    const RateLimitRule& limit = *one.method.policy.rate_limit;
    result.expected = absl::StrCat(Text(one.code, one.reason, {}), " after ",
                                   one.burst, " calls");
    // Others may share the budget, and have spent of it.
    options_.clock->Advance(
        std::chrono::duration_cast<nanoseconds>(std::chrono::duration<double>(
            static_cast<double>(limit.burst) / limit.rate)) +
        std::chrono::seconds(1));
    const ContractCaller caller = NewCaller(one);
    for (std::int64_t i = 0; i < one.burst; ++i) {
      const Outcome outcome = Call(one, caller);
      if (!RateLimited(outcome.status)) continue;
      result.got = absl::StrCat(Text(outcome.status), " after ", i, " calls");
      return;
    }
    const Outcome outcome = Call(one, caller);
    result.got =
        absl::StrCat(Text(outcome.status), " after ", one.burst, " calls");
    result.kept = result.got == result.expected;
    const nanoseconds wait =
        RetryDelayOf(outcome.status).value_or(nanoseconds(0));
    if (wait <= nanoseconds(0)) Miss("RetryInfo", result);
    if (!outcome.pushback) Miss(metadata::kRetryPushback, result);
    CheckNotHandled(one, outcome, result);
    if (!result.kept) return;
    // What it says must be true.
    options_.clock->Advance(wait);
    if (RateLimited(Call(one, caller).status)) {
      result.kept = false;
      absl::StrAppend(&result.got, ", and after RetryInfo's delay still");
    }
  }

  static void Miss(std::string_view what, ContractResult& result) {
    result.kept = false;
    absl::StrAppend(&result.got, ", without ", ToAbsl(what));
  }

  // The messages of a client stream are checked while its handler reads them.
  static void CheckNotHandled(const ContractCase& one, const Outcome& outcome,
                              ContractResult& result) {
    const bool by_message = one.method.client_streams() &&
                            (one.kind == ContractCase::Kind::kField ||
                             one.kind == ContractCase::Kind::kTooLarge);
    if ((by_message ? outcome.messages : outcome.calls) == 0) return;
    result.kept = false;
    result.got += ", by the handler";
  }

  // Again where a budget that several callers share is spent.
  Outcome CallWithinBudget(const ContractCase& one,
                           const ContractCaller& caller) {
    Outcome outcome = Call(one, caller);
    for (int i = 0;
         i < 3 && options_.clock != nullptr && RateLimited(outcome.status);
         ++i) {
      options_.clock->Advance(
          RetryDelayOf(outcome.status).value_or(std::chrono::seconds(1)));
      outcome = Call(one, caller);
    }
    return outcome;
  }

  // Every kind of call is the same on the wire: one message out, what comes
  // back, and a status.
  Outcome Call(const ContractCase& one, const ContractCaller& caller) {
    Outcome outcome;
    if (options_.admitted != nullptr) {
      outcome.calls = -options_.admitted->calls();
      outcome.messages = -options_.admitted->messages();
    }
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::duration_cast<std::chrono::microseconds>(
                             options_.timeout));
    if (!one.anonymous) options_.authenticate(caller, context);
    const std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call =
        stub_.PrepareCall(&context, one.method.path, &queue_);
    bool answered = false;
    call->StartCall(this);
    if (Wait()) {
      const grpc::Slice slice(one.request);
      call->WriteLast(grpc::ByteBuffer(&slice, 1), grpc::WriteOptions(), this);
      Wait();
      grpc::ByteBuffer answer;
      call->Read(&answer, this);
      answered = Wait();
      // It may go on for ever.
      if (answered && one.method.server_streams()) context.TryCancel();
    }
    grpc::Status status;
    call->Finish(&status, this);
    Wait();
    outcome.status = answered ? absl::OkStatus() : FromGrpcStatus(status);
    const auto& trailers = context.GetServerTrailingMetadata();
    outcome.pushback = trailers.find(grpc::string_ref(
                           metadata::kRetryPushback.data(),
                           metadata::kRetryPushback.size())) != trailers.end();
    if (options_.admitted != nullptr) {
      outcome.calls += options_.admitted->calls();
      outcome.messages += options_.admitted->messages();
    }
    return outcome;
  }

  // One thing at a time is under way.
  bool Wait() {
    void* tag = nullptr;
    bool ok = false;
    return queue_.Next(&tag, &ok) && ok;
  }

  grpc::GenericStub stub_;
  grpc::CompletionQueue queue_;
  const ContractCheckOptions& options_;
};

}  // namespace

absl::StatusOr<Hooks> AdmittedCalls::Register(const Method& method) {
  return Hooks{
      .start = true, .finish = false, .received = method.client_streams()};
}

absl::Status AdmittedCalls::OnStart(ServerCall& /*call*/) {
  ++calls_;
  return absl::OkStatus();
}

absl::Status AdmittedCalls::OnReceived(
    ServerCall& /*call*/, const google::protobuf::Message* /*message*/) {
  ++messages_;
  return absl::OkStatus();
}

std::vector<ContractResult> CheckContract(
    const std::shared_ptr<grpc::Channel>& channel,
    const std::vector<ContractCase>& cases,
    const ContractCheckOptions& options) {
  Checker checker(channel, options);
  std::vector<ContractResult> results;
  for (const ContractCase& one : cases) {
    std::optional<ContractResult> result = checker.Check(one);
    if (result.has_value()) results.push_back(*std::move(result));
  }
  return results;
}

std::string ContractTable(const std::vector<ContractResult>& results) {
  using Row = std::array<std::string, 5>;
  std::vector<Row> rows = {{"", "method", "case", "expected", "got"}};
  for (const ContractResult& result : results) {
    rows.push_back({result.kept ? "kept" : "BROKEN", result.method, result.name,
                    result.expected, result.got});
  }
  std::array<std::size_t, 5> widths{};
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  std::string table;
  for (const Row& row : rows) {
    for (std::size_t i = 0; i + 1 < row.size(); ++i) {
      absl::StrAppend(&table, row[i],
                      std::string(widths[i] - row[i].size() + 2, ' '));
    }
    absl::StrAppend(&table, row.back(), "\n");
  }
  return table;
}

}  // namespace grpccommon::testing
