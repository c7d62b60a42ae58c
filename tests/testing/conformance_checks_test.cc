// SPDX-License-Identifier: Apache-2.0
// That the suite for interceptors finds what is wrong with one: each fault that
// is put into a good one, by the check that is there for it.
#include "grpccommon/testing/conformance_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "google/protobuf/wrappers.pb.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/call/server_call.h"
#include "grpccommon/status/details.h"
#include "grpccommon/testing/status_matchers.h"

namespace grpccommon::testing {
namespace {

using google::protobuf::Message;
using google::protobuf::StringValue;
using grpc::StatusCode;
using ::testing::AllOf;
using ::testing::HasSubstr;

enum class Fault {
  kNone,
  kBadName,
  kNameChanges,
  kRegistersNoStreams,
  kSpoilsGoodCalls,
  kThrows,
  kLeaksGoodCalls,
  kRefusesWithoutMessage,
  kRefusesWithUnknown,
  kForgivesItsOwnRefusals,
  kKeepsAPlacePerRefusal,
  kGivesBackWhatItRefused,
  kGivesBackWhatItRefusedFull,
  kAdmitsOneTooMany,
  kLeaksWhatOthersRefused,
  kLeaksWhatOthersRefusedByMessage,
  kLeaksWhatOthersMadeAnError,
  kLeaksCancelledCalls,
  kForgivesOthersRefusals,
  kForgivesNotFound,
  kForgivesExceptions,
  kLeaksFailedCalls,
  kLeaksCallsThatThrew,
  kKeepsAPlacePerMessageReceived,
  kKeepsAPlacePerMessageSent,
  kKeepsAPlacePerNullMessage,
  kRefusesNullMessagesInTime,
  kRefusesMessagesInTime,
  kLeaksWhatItRefusedByMessage,
  kServesOneThread,
};

constexpr int kPlaces = 20;
// Low calls get in only above this, which is never.
constexpr int kKeptBack = kPlaces;

// Lets some calls run at the same time, and refuses those of low priority. Each
// fault is one that somebody might make.
class Places : public ServerInterceptor {
 public:
  explicit Places(Fault fault) : fault_(fault) {}

  std::string_view name() const override {
    if (Is(Fault::kBadName)) return "Places";
    if (Is(Fault::kNameChanges)) return ++named_ % 2 == 0 ? "even" : "odd";
    return "places";
  }
  Stage stage() const override { return Stage::kProtect; }

  absl::StatusOr<Hooks> Register(const Method& method) override {
    if (Is(Fault::kRegistersNoStreams) && method.kind != CallKind::kUnary) {
      return absl::UnimplementedError("streams");
    }
    return Hooks{true, true, true, true};
  }

  absl::Status OnStart(ServerCall& call) override {
    const MutexLock lock(mutex_);
    if (Is(Fault::kServesOneThread) && std::this_thread::get_id() != maker_) {
      return Overloaded("PLACES", "another thread", {});
    }
    if (call.metadata("x-low") == "1" && free_ <= kKeptBack) {
      if (Is(Fault::kKeepsAPlacePerRefusal)) --free_;
      if (Is(Fault::kRefusesWithoutMessage)) return absl::UnavailableError("");
      if (Is(Fault::kRefusesWithUnknown)) return absl::UnknownError("low");
      return Overloaded("PLACES", "kept back", {});
    }
    if (free_ <= (Is(Fault::kAdmitsOneTooMany) ? -1 : 0)) {
      return Overloaded("PLACES", "full", {});
    }
    --free_;
    call.values().Set(Taken());
    return absl::OkStatus();
  }

  absl::Status OnReceived(ServerCall& /*call*/,
                          const Message* message) override {
    const MutexLock lock(mutex_);
    if (Is(Fault::kKeepsAPlacePerMessageReceived)) --free_;
    if (Is(Fault::kRefusesMessagesInTime) && ++messages_ > 300) {
      return absl::InvalidArgumentError("one too many");
    }
    if (message == nullptr) {
      if (Is(Fault::kKeepsAPlacePerNullMessage)) --free_;
      if (Is(Fault::kRefusesNullMessagesInTime) && ++nulls_ > 100) {
        return absl::InvalidArgumentError("null");
      }
      return absl::OkStatus();
    }
    if (static_cast<const StringValue*>(message)->value() != "bad") {
      return absl::OkStatus();
    }
    return absl::InvalidArgumentError("bad");
  }

  void OnSent(ServerCall& /*call*/, const Message* /*message*/) override {
    const MutexLock lock(mutex_);
    if (Is(Fault::kKeepsAPlacePerMessageSent)) --free_;
  }

  void OnFinish(ServerCall& call, grpc::Status& status) override {
    const MutexLock lock(mutex_);
    if (!Keeps(call, status)) ++free_;
    if (Forgives(call, status)) status = grpc::Status::OK;
    if (Is(Fault::kThrows)) throw std::runtime_error("no places");
    if (Is(Fault::kSpoilsGoodCalls)) status = {StatusCode::INTERNAL, "spoilt"};
  }

 private:
  struct Taken {};

  bool Is(Fault fault) const { return fault_ == fault; }

  // Whether the call's end gives no place back.
  bool Keeps(ServerCall& call, const grpc::Status& status) const {
    const Taken* const taken = call.values().Get<Taken>();
    const bool own = call.refused_by() == this;
    if (taken == nullptr) {
      return !(Is(Fault::kGivesBackWhatItRefused) ||
               (Is(Fault::kGivesBackWhatItRefusedFull) &&
                call.metadata("x-low").empty()));
    }
    switch (fault_) {
      case Fault::kLeaksGoodCalls:
        return status.ok();
      case Fault::kLeaksWhatOthersRefused:
        return call.refused_by() != nullptr && !own;
      case Fault::kLeaksWhatOthersRefusedByMessage:
        return call.refused_by() != nullptr && !own &&
               call.messages_received() > 1;
      case Fault::kLeaksWhatOthersMadeAnError:
        return !status.ok() && call.refused_by() == nullptr &&
               call.messages_sent() > 0;
      case Fault::kLeaksCancelledCalls:
        return call.cancelled();
      case Fault::kLeaksFailedCalls:
        return status.error_code() == StatusCode::DATA_LOSS;
      case Fault::kLeaksCallsThatThrew:
        return !call.exception().empty();
      case Fault::kLeaksWhatItRefusedByMessage:
        return own;
      default:
        return false;
    }
  }

  bool Forgives(const ServerCall& call, const grpc::Status& status) const {
    switch (fault_) {
      case Fault::kForgivesItsOwnRefusals:
        return call.refused_by() == this;
      case Fault::kForgivesOthersRefusals:
        return call.refused_by() != nullptr && call.refused_by() != this;
      case Fault::kForgivesNotFound:
        return status.error_code() == StatusCode::NOT_FOUND;
      case Fault::kForgivesExceptions:
        return !call.exception().empty();
      default:
        return false;
    }
  }

  const Fault fault_;
  const std::thread::id maker_ = std::this_thread::get_id();
  mutable int named_ = 0;
  Mutex mutex_;
  int free_ ABSL_GUARDED_BY(mutex_) = kPlaces;
  int nulls_ ABSL_GUARDED_BY(mutex_) = 0;
  int messages_ ABSL_GUARDED_BY(mutex_) = 0;
};

FakeCallOptions Calls(CallKind kind) {
  static const auto* const good = new StringValue();
  FakeCallOptions options = {.request = good};
  options.method.kind = kind;
  return options;
}

ConformanceCase CaseOf(Fault fault, CallKind kind = CallKind::kUnary) {
  return {.name = "places",
          .make = [fault] { return std::make_shared<Places>(fault); },
          .admitted = [kind] { return Calls(kind); },
          .refused =
              [kind] {
                FakeCallOptions options = Calls(kind);
                options.metadata = {{"x-low", "1"}};
                return options;
              },
          .at_once = kPlaces};
}

// Whose refusals are of a message, and not at the start.
ConformanceCase CaseOfMessages(Fault fault) {
  static const StringValue* const bad = [] {
    auto* const value = new StringValue();
    value->set_value("bad");
    return value;
  }();
  ConformanceCase one = CaseOf(fault, CallKind::kClientStream);
  one.refused = [] {
    FakeCallOptions options = Calls(CallKind::kClientStream);
    options.request = bad;
    return options;
  };
  return one;
}

using Check = absl::Status (*)(const ConformanceCase& subject);

struct NamedCheck {
  std::string name;
  Check check;
};

const std::vector<NamedCheck>& AllChecks() {
  static const auto* const all =
      new std::vector<NamedCheck>{{"name", CheckName},
                                  {"registration", CheckRegistration},
                                  {"admission", CheckAdmission},
                                  {"gives back", CheckGivesBack},
                                  {"refusal", CheckRefusal},
                                  {"many refusals", CheckManyRefusals},
                                  {"at once", CheckAtOnce},
                                  {"calls others ended", CheckCallsOthersEnded},
                                  {"errors", CheckErrors},
                                  {"messages", CheckMessages},
                                  {"both ways at once", CheckBothWaysAtOnce},
                                  {"threads", CheckThreads}};
  return *all;
}

TEST(ConformanceChecksTest, AGoodInterceptorPasses) {
  for (const NamedCheck& each : AllChecks()) {
    SCOPED_TRACE(each.name);
    for (const CallKind kind :
         {CallKind::kUnary, CallKind::kClientStream, CallKind::kServerStream,
          CallKind::kBidiStream}) {
      EXPECT_THAT(each.check(CaseOf(Fault::kNone, kind)), IsOk());
    }
    EXPECT_THAT(each.check(CaseOfMessages(Fault::kNone)), IsOk());
  }
}

TEST(ConformanceChecksTest, ACaseNeedsNothingButAdmittedCalls) {
  ConformanceCase one = CaseOf(Fault::kNone);
  one.refused = nullptr;
  one.at_once = 0;
  one.admitted = [] { return FakeCallOptions(); };
  for (const NamedCheck& each : AllChecks()) {
    EXPECT_THAT(each.check(one), IsOk()) << each.name;
  }
}

struct FaultCase {
  std::string name;
  ConformanceCase subject;
  Check check;
  std::string says;
};

class FaultyInterceptorTest : public ::testing::TestWithParam<FaultCase> {};

TEST_P(FaultyInterceptorTest, IsFound) {
  EXPECT_THAT(GetParam().check(GetParam().subject),
              AllOf(StatusIs(absl::StatusCode::kFailedPrecondition),
                    MessageIs(HasSubstr(GetParam().says))));
}

std::string FaultName(const ::testing::TestParamInfo<FaultCase>& info) {
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(
    Basics, FaultyInterceptorTest,
    ::testing::Values(
        FaultCase{"bad_name", CaseOf(Fault::kBadName), CheckName, "snake_case"},
        FaultCase{"name_changes", CaseOf(Fault::kNameChanges), CheckName,
                  "changes"},
        FaultCase{"registers_no_streams", CaseOf(Fault::kRegistersNoStreams),
                  CheckRegistration, "of kind client_stream"},
        FaultCase{"makes_nothing",
                  {.name = "none", .make = [] { return nullptr; }},
                  CheckName,
                  "makes nothing"},
        FaultCase{"spoils_good_calls", CaseOf(Fault::kSpoilsGoodCalls),
                  CheckAdmission, "makes an error of"},
        FaultCase{"throws", CaseOf(Fault::kThrows), CheckAdmission,
                  "throws: no places"},
        FaultCase{"leaks_good_calls", CaseOf(Fault::kLeaksGoodCalls),
                  CheckGivesBack, "after 20 that ended well"},
        FaultCase{"serves_one_thread", CaseOf(Fault::kServesOneThread),
                  CheckThreads, "several threads"}),
    FaultName);

INSTANTIATE_TEST_SUITE_P(
    ItsOwnRefusals, FaultyInterceptorTest,
    ::testing::Values(
        FaultCase{"without_message", CaseOf(Fault::kRefusesWithoutMessage),
                  CheckRefusal, "no message"},
        FaultCase{"unknown", CaseOf(Fault::kRefusesWithUnknown), CheckRefusal,
                  "UNKNOWN"},
        FaultCase{"forgiven", CaseOf(Fault::kForgivesItsOwnRefusals),
                  CheckRefusal, "refused itself"},
        FaultCase{"keep_a_place", CaseOf(Fault::kKeepsAPlacePerRefusal),
                  CheckManyRefusals, "refuses an admitted call"},
        FaultCase{"give_back_what_they_never_took",
                  CaseOf(Fault::kGivesBackWhatItRefused), CheckManyRefusals,
                  "admits a refused call"},
        FaultCase{"give_back_at_the_limit",
                  CaseOf(Fault::kGivesBackWhatItRefusedFull), CheckAtOnce,
                  "more than 20"},
        FaultCase{"come_too_late", CaseOf(Fault::kAdmitsOneTooMany),
                  CheckAtOnce, "more than 20"},
        FaultCase{"by_message_leak",
                  CaseOfMessages(Fault::kLeaksWhatItRefusedByMessage),
                  CheckManyRefusals, "refuses an admitted call"}),
    FaultName);

INSTANTIATE_TEST_SUITE_P(
    CallsOthersEnded, FaultyInterceptorTest,
    ::testing::Values(
        FaultCase{"refused_leak", CaseOf(Fault::kLeaksWhatOthersRefused),
                  CheckCallsOthersEnded, "another interceptor refused"},
        FaultCase{"refused_by_message_leak",
                  CaseOf(Fault::kLeaksWhatOthersRefusedByMessage,
                         CallKind::kClientStream),
                  CheckCallsOthersEnded, "refused with a message"},
        FaultCase{"made_an_error_leak",
                  CaseOf(Fault::kLeaksWhatOthersMadeAnError),
                  CheckCallsOthersEnded, "made an error of"},
        FaultCase{"cancelled_leak", CaseOf(Fault::kLeaksCancelledCalls),
                  CheckCallsOthersEnded, "the client cancelled"},
        FaultCase{"refused_forgiven", CaseOf(Fault::kForgivesOthersRefusals),
                  CheckCallsOthersEnded, "makes an OK of"}),
    FaultName);

INSTANTIATE_TEST_SUITE_P(
    Errors, FaultyInterceptorTest,
    ::testing::Values(FaultCase{"forgiven", CaseOf(Fault::kForgivesNotFound),
                                CheckErrors, "ended with NOT_FOUND"},
                      FaultCase{"exceptions_forgiven",
                                CaseOf(Fault::kForgivesExceptions), CheckErrors,
                                "makes an OK of a call that threw"},
                      FaultCase{"leak", CaseOf(Fault::kLeaksFailedCalls),
                                CheckErrors, "ended with DATA_LOSS"},
                      FaultCase{"exceptions_leak",
                                CaseOf(Fault::kLeaksCallsThatThrew),
                                CheckErrors, "threw"}),
    FaultName);

// All of unary calls, which know nothing of streams.
INSTANTIATE_TEST_SUITE_P(
    Messages, FaultyInterceptorTest,
    ::testing::Values(
        FaultCase{"received_leak",
                  CaseOf(Fault::kKeepsAPlacePerMessageReceived), CheckMessages,
                  "client_stream, messages StringValue"},
        FaultCase{"sent_leak", CaseOf(Fault::kKeepsAPlacePerMessageSent),
                  CheckMessages, "unary, messages its own"},
        FaultCase{"null_leak", CaseOf(Fault::kKeepsAPlacePerNullMessage),
                  CheckMessages, "client_stream, messages raw"},
        FaultCase{"null_refused_in_time",
                  CaseOf(Fault::kRefusesNullMessagesInTime), CheckMessages,
                  "client_stream, messages raw"},
        FaultCase{"refused_in_time",
                  CaseOf(Fault::kRefusesMessagesInTime, CallKind::kBidiStream),
                  CheckBothWaysAtOnce, "both ways at once"},
        FaultCase{"others_refusals_leak",
                  CaseOf(Fault::kLeaksWhatOthersRefusedByMessage),
                  CheckMessages, "client_stream, messages StringValue"}),
    FaultName);

}  // namespace
}  // namespace grpccommon::testing
