// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/accesslog/access_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "call/secrets.pb.h"
#include "grpccommon/call/server_call.h"
#include "grpccommon/testing/fake_call.h"
#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/testing/recording_log_sink.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using test::v1::Account;
using testing::FakeCall;
using testing::FakeCallOptions;

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr char kSecret[] = "hunter2";

class Refuser : public ServerInterceptor {
 public:
  std::string_view name() const override { return "rate_limit"; }
  Stage stage() const override { return Stage::kLimit; }
};

Method MethodOf(const char* name, CallKind kind, std::size_t index = 0) {
  return {.path = std::string("/grpccommon.test.v1.AccountService/") + name,
          .service = "grpccommon.test.v1.AccountService",
          .name = name,
          .kind = kind,
          .index = index,
          .descriptor = Account::descriptor()
                            ->file()
                            ->FindServiceByName("AccountService")
                            ->FindMethodByName(name)};
}

class AccessLogTest : public ::testing::Test {
 protected:
  void Create(AccessLogOptions options = {}, Random random = UniformRandom) {
    auto created = AccessLog::Create(std::move(options), logger_, random);
    ASSERT_TRUE(created.ok()) << created.status();
    log_ = *std::move(created);
  }

  Hooks Register(const Method& method) { return *log_->Register(method); }

  std::unique_ptr<FakeCall> Call(const Method& method,
                                 FakeCallOptions options = {}) {
    options.method = method;
    options.clock = &clock_;
    options.logger = logger_;
    return std::make_unique<FakeCall>(std::move(options));
  }

  void Finish(FakeCall& call, grpc::Status status = grpc::Status::OK) {
    log_->OnFinish(*call, status);
  }

  // The only line.
  json Line() {
    EXPECT_THAT(sink_->lines(), SizeIs(1));
    return json::parse(sink_->lines().at(0));
  }

  const Method get_ = MethodOf("Get", CallKind::kUnary);
  testing::FakeClock clock_;
  std::shared_ptr<testing::RecordingLogSink> sink_ =
      std::make_shared<testing::RecordingLogSink>();
  Logger logger_{sink_, "accounts", LogLevel::kInfo, clock_};
  std::unique_ptr<AccessLog> log_;
};

TEST_F(AccessLogTest, WritesALineWithWhatIsKnownOfTheCall) {
  Create();
  Register(get_);
  const auto call =
      Call(get_, {.metadata = {{"x-request-id", "req-1"},
                               {"grpc-previous-rpc-attempts", "2"}},
                  .peer = "ipv4:10.0.0.7:4711"});
  TraceContext trace;
  trace.trace_id.fill(0xab);
  trace.span_id.fill(0x07);
  (*call)->set_trace(trace);
  Principal principal;
  principal.subject = "ann";
  (*call)->set_principal(std::make_shared<const Principal>(principal));
  call->CountReceived(100);
  call->CountSent(40);
  call->CountSent(2);
  clock_.Advance(1234567ns);
  Finish(*call);
  EXPECT_EQ(Line(),
            json({{"ts", "2026-01-01T00:00:00.001234Z"},
                  {"level", "info"},
                  {"msg", "call"},
                  {"service", "accounts"},
                  {"request_id", "req-1"},
                  {"trace_id", "abababababababababababababababab"},
                  {"span_id", "0707070707070707"},
                  {"grpc.method", "/grpccommon.test.v1.AccountService/Get"},
                  {"grpc.kind", "unary"},
                  {"grpc.code", "OK"},
                  {"duration_us", 1234},
                  {"admission_us", 0},
                  {"peer", "ipv4:10.0.0.7:4711"},
                  {"principal", "ann"},
                  {"bytes_received", 100},
                  {"bytes_sent", 42},
                  {"messages_received", 1},
                  {"messages_sent", 2},
                  {"attempt", 3}}));
}

TEST_F(AccessLogTest, LeavesOutWhatACallDoesNotHave) {
  Create();
  Register(get_);
  const auto call = Call(get_);
  Finish(*call);
  for (const char* const field :
       {"trace_id", "span_id", "principal", "refused_by", "error", "exception",
        "cancelled", "slow", "request", "reply"}) {
    EXPECT_FALSE(Line().contains(field)) << field;
  }
  EXPECT_EQ(Line()["attempt"], 1);
}

TEST_F(AccessLogTest, OneLineACallAlsoForARefusedOne) {
  Create();
  Register(get_);
  const Refuser refuser;
  const auto call = Call(get_);
  call->SetRefusedBy(&refuser);
  Finish(*call, grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED,
                             "10 calls a second"));
  const json line = Line();
  EXPECT_EQ(line["grpc.code"], "RESOURCE_EXHAUSTED");
  EXPECT_EQ(line["refused_by"], "rate_limit");
  EXPECT_EQ(line["error"], "10 calls a second");
  EXPECT_EQ(line["level"], "info");
}

TEST_F(AccessLogTest, TheTextOfAnExceptionIsThereAndTheLevelIsError) {
  Create();
  Register(get_);
  const auto call = Call(get_);
  call->SetException("stoi: no digits\n");
  // Whatever an interceptor made of it.
  Finish(*call, grpc::Status(grpc::StatusCode::NOT_FOUND, "?"));
  EXPECT_EQ(Line()["exception"], "stoi: no digits\n");
  EXPECT_EQ(Line()["level"], "error");
}

TEST_F(AccessLogTest, ACancelledCallIsMarked) {
  Create();
  Register(get_);
  const auto call = Call(get_);
  call->Cancel();
  Finish(*call, grpc::Status(grpc::StatusCode::CANCELLED, "gone"));
  EXPECT_EQ(Line()["cancelled"], true);
  EXPECT_EQ(Line()["level"], "info");
}

TEST_F(AccessLogTest, ARefusedCallIsNotMarkedAsCancelled) {
  Create();
  Register(get_);
  const Refuser refuser;
  const auto call = Call(get_);
  call->SetRefusedBy(&refuser);
  call->Cancel();
  Finish(*call, grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "m"));
  EXPECT_FALSE(Line().contains("cancelled"));
}

TEST_F(AccessLogTest, AMalformedAttemptCountMeansTheFirstAttempt) {
  Create();
  Register(get_);
  for (const char* const sent : {"", "x", "-1", "1x", "99999", "0x1"}) {
    sink_->Clear();
    const auto call =
        Call(get_, {.metadata = {{"grpc-previous-rpc-attempts", sent}}});
    Finish(*call);
    EXPECT_EQ(Line()["attempt"], 1) << sent;
  }
}

struct LevelCase {
  grpc::StatusCode code;
  const char* level;
};
class LevelTest : public AccessLogTest,
                  public ::testing::WithParamInterface<LevelCase> {};

TEST_P(LevelTest, FollowsFromTheCode) {
  Create();
  Register(get_);
  const auto call = Call(get_);
  Finish(*call, grpc::Status(GetParam().code, "m"));
  EXPECT_EQ(Line()["level"], GetParam().level);
}

INSTANTIATE_TEST_SUITE_P(
    Codes, LevelTest,
    ::testing::Values(LevelCase{grpc::StatusCode::OK, "info"},
                      LevelCase{grpc::StatusCode::CANCELLED, "info"},
                      LevelCase{grpc::StatusCode::INVALID_ARGUMENT, "info"},
                      LevelCase{grpc::StatusCode::NOT_FOUND, "info"},
                      LevelCase{grpc::StatusCode::ABORTED, "info"},
                      LevelCase{grpc::StatusCode::UNAUTHENTICATED, "info"},
                      LevelCase{grpc::StatusCode::UNAVAILABLE, "warning"},
                      LevelCase{grpc::StatusCode::DEADLINE_EXCEEDED, "warning"},
                      LevelCase{grpc::StatusCode::UNIMPLEMENTED, "warning"},
                      LevelCase{grpc::StatusCode::UNKNOWN, "error"},
                      LevelCase{grpc::StatusCode::INTERNAL, "error"},
                      LevelCase{grpc::StatusCode::DATA_LOSS, "error"}));

TEST_F(AccessLogTest, ALevelMayBeChosenForEachOutcome) {
  Create({.ok = {.level = LogLevel::kDebug},
          .client_error = {.level = LogLevel::kWarning}});
  Register(get_);
  Finish(*Call(get_));
  EXPECT_THAT(sink_->lines(), IsEmpty());
  Finish(*Call(get_), grpc::Status(grpc::StatusCode::NOT_FOUND, "m"));
  EXPECT_EQ(Line()["level"], "warning");
}

TEST_F(AccessLogTest, ACallIsSlowFromTheThresholdOn) {
  Create({.slow_threshold = 100ms});
  Register(get_);
  const auto fast = Call(get_);
  clock_.Advance(100ms - 1ns);
  Finish(*fast);
  EXPECT_FALSE(Line().contains("slow"));
  sink_->Clear();
  const auto slow = Call(get_);
  clock_.Advance(100ms);
  Finish(*slow);
  EXPECT_EQ(Line()["slow"], true);
  EXPECT_EQ(Line()["level"], "warning");
}

TEST_F(AccessLogTest, ASlowFailureKeepsItsOwnLevel) {
  Create();
  Register(get_);
  const auto call = Call(get_);
  clock_.Advance(1h);
  Finish(*call, grpc::Status(grpc::StatusCode::NOT_FOUND, "m"));
  EXPECT_EQ(Line()["slow"], true);
  EXPECT_EQ(Line()["level"], "info");
}

TEST_F(AccessLogTest, NoThresholdNothingSlowAndStreamsNeverAre) {
  Create({.slow_threshold = 0s});
  Register(get_);
  const auto call = Call(get_);
  clock_.Advance(1h);
  Finish(*call);
  EXPECT_FALSE(Line().contains("slow"));

  Create();
  sink_->Clear();
  const Method watch = MethodOf("Watch", CallKind::kServerStream);
  Register(watch);
  const auto stream = Call(watch);
  clock_.Advance(1h);
  Finish(*stream);
  EXPECT_FALSE(Line().contains("slow"));
}

TEST_F(AccessLogTest, OfGoodCallsTheChosenShareIsLogged) {
  double chance = 0;
  Create({.ok = {.share = 0.25}}, [&chance] { return chance; });
  Register(get_);
  for (int i = 0; i < 100; ++i) {
    chance = i / 100.0;
    Finish(*Call(get_));
  }
  EXPECT_THAT(sink_->lines(), SizeIs(25));
}

TEST_F(AccessLogTest, ErrorsRefusalsAndSlowCallsAreNotSampledUnlessAsked) {
  Create({.ok = {.share = 0}}, [] { return 0.999; });
  Register(get_);
  Finish(*Call(get_));
  EXPECT_THAT(sink_->lines(), IsEmpty());
  Finish(*Call(get_), grpc::Status(grpc::StatusCode::NOT_FOUND, "m"));
  Finish(*Call(get_), grpc::Status(grpc::StatusCode::UNAVAILABLE, "m"));
  Finish(*Call(get_), grpc::Status(grpc::StatusCode::INTERNAL, "m"));
  const Refuser refuser;
  const auto refused = Call(get_);
  refused->SetRefusedBy(&refuser);
  Finish(*refused, grpc::Status(grpc::StatusCode::UNAVAILABLE, "shed"));
  const auto slow = Call(get_);
  clock_.Advance(1h);
  Finish(*slow);
  EXPECT_THAT(sink_->lines(), SizeIs(5));
}

TEST_F(AccessLogTest, EachOutcomeMayBeSampledByItself) {
  Create({.slow = {.share = 0},
          .refused = {.share = 0},
          .client_error = {.share = 0},
          .unavailable = {.share = 0},
          .server_error = {.share = 0}},
         [] { return 0.0; });
  Register(get_);
  for (const auto code :
       {grpc::StatusCode::NOT_FOUND, grpc::StatusCode::UNAVAILABLE,
        grpc::StatusCode::INTERNAL}) {
    Finish(*Call(get_), grpc::Status(code, "m"));
  }
  const Refuser refuser;
  const auto refused = Call(get_);
  refused->SetRefusedBy(&refuser);
  Finish(*refused, grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "m"));
  const auto slow = Call(get_);
  clock_.Advance(1h);
  Finish(*slow);
  EXPECT_THAT(sink_->lines(), IsEmpty());
  Finish(*Call(get_));
  EXPECT_THAT(sink_->lines(), SizeIs(1));
}

TEST_F(AccessLogTest, AMethodsLevelReplacesTheLoggersAndCanBeTakenBack) {
  const Method watch = MethodOf("Watch", CallKind::kServerStream, 1);
  Create({.ok = {.level = LogLevel::kDebug}});
  Register(get_);
  Register(watch);
  log_->SetLevel(Selector::Path(get_.path), LogLevel::kDebug);
  Finish(*Call(get_));
  Finish(*Call(watch));
  EXPECT_EQ(Line()["grpc.method"], get_.path);
  log_->SetLevel(Selector(), std::nullopt);
  Finish(*Call(get_));
  EXPECT_THAT(sink_->lines(), SizeIs(1));
}

TEST_F(AccessLogTest, AMethodThatIsOffLogsNotEvenErrors) {
  Create();
  Register(get_);
  log_->SetLevel(Selector::Service(get_.service), LogLevel::kOff);
  Finish(*Call(get_), grpc::Status(grpc::StatusCode::INTERNAL, "m"));
  EXPECT_THAT(sink_->lines(), IsEmpty());
}

TEST_F(AccessLogTest, LevelsMayChangeWhileCallsEnd) {
  Create();
  Register(get_);
  std::thread changing([this] {
    for (int i = 0; i < 1000; ++i) {
      log_->SetLevel(Selector(), i % 2 == 0 ? LogLevel::kOff : LogLevel::kInfo);
    }
    log_->SetLevel(Selector(), LogLevel::kInfo);
  });
  for (int i = 0; i < 1000; ++i) Finish(*Call(get_));
  changing.join();
  sink_->Clear();
  Finish(*Call(get_));
  EXPECT_THAT(sink_->lines(), SizeIs(1));
}

TEST_F(AccessLogTest, TheLoggersLevelChangesAtRunTimeToo) {
  Create();
  Register(get_);
  logger_.set_level(LogLevel::kError);
  Finish(*Call(get_));
  EXPECT_THAT(sink_->lines(), IsEmpty());
}

TEST_F(AccessLogTest, NothingFromOutsideCanForgeALineOrAField) {
  Create();
  Register(get_);
  const std::string forged =
      "x\n{\"msg\":\"call\",\"principal\":\"root\"}\x1b[2J";
  const auto call =
      Call(get_, {.metadata = {{"x-request-id", forged},
                               {"grpc-previous-rpc-attempts", forged}},
                  .peer = forged});
  Principal principal;
  principal.subject = forged + "\xff";
  (*call)->set_principal(std::make_shared<const Principal>(principal));
  call->SetException(forged);
  Finish(*call, grpc::Status(grpc::StatusCode::INTERNAL, forged));
  const std::string line = sink_->lines().at(0);
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  EXPECT_THAT(line, Not(HasSubstr("\x1b")));
  const json parsed = Line();
  // A request id with such characters is not taken over at all.
  EXPECT_THAT(parsed["request_id"].get<std::string>(), SizeIs(36));
  EXPECT_EQ(parsed["peer"], forged);
  EXPECT_EQ(parsed["principal"], forged + "\uFFFD");
  EXPECT_EQ(parsed["error"], forged);
  EXPECT_EQ(parsed["exception"], forged);
  EXPECT_EQ(parsed["attempt"], 1);
}

TEST_F(AccessLogTest, HugeValuesAreCutAtACharacter) {
  Create({.max_field_bytes = 100});
  Method method = get_;
  method.path = "/" + std::string(1 << 20, 'm');
  Register(method);
  const std::string huge = "x" + [] {
    std::string text;
    while (text.size() < (1 << 20)) text += "é";
    return text;
  }();
  const auto call = Call(method, {.peer = huge});
  Principal principal;
  principal.subject = huge;
  (*call)->set_principal(std::make_shared<const Principal>(principal));
  call->SetException(huge);
  Finish(*call, grpc::Status(grpc::StatusCode::INTERNAL, huge));
  EXPECT_LT(sink_->lines().at(0).size(), 1200u);
  for (const char* const field : {"peer", "principal", "error", "exception"}) {
    EXPECT_EQ(Line()[field], huge.substr(0, 99)) << field;
  }
  EXPECT_THAT(Line()["grpc.method"].get<std::string>(), SizeIs(100));
}

TEST_F(AccessLogTest, PayloadsAreOffByDefault) {
  Create();
  EXPECT_FALSE(Register(get_).start);
  const Hooks hooks = Register(MethodOf("Chat", CallKind::kBidiStream, 1));
  EXPECT_FALSE(hooks.start || hooks.received || hooks.sent);
}

Account SecretAccount(const std::string& name) {
  Account account;
  account.set_name(name);
  account.set_password(kSecret);
  account.add_children()->set_token(kSecret);
  const Account inner = account;
  account.mutable_extra()->PackFrom(inner);
  return account;
}

TEST_F(AccessLogTest, RequestAndReplyAreInTheLineWithSecretsRedacted) {
  Create({.payloads = {.requests = true, .replies = true}});
  const Hooks hooks = Register(get_);
  EXPECT_TRUE(hooks.start && hooks.sent && hooks.finish);
  EXPECT_FALSE(hooks.received);
  const Account request = SecretAccount("in");
  const Account reply = SecretAccount("out");
  const auto call = Call(get_, {.request = &request});
  EXPECT_TRUE(log_->OnStart(**call).ok());
  log_->OnSent(**call, &reply);
  Finish(*call);
  EXPECT_EQ(Line()["request"]["name"], "in");
  EXPECT_EQ(Line()["request"]["password"], "[redacted]");
  EXPECT_EQ(Line()["request"]["extra"]["password"], "[redacted]");
  EXPECT_EQ(Line()["reply"]["name"], "out");
  EXPECT_EQ(Line()["reply"]["children"][0]["token"], "[redacted]");
  EXPECT_THAT(sink_->text(), Not(HasSubstr(kSecret)));
}

TEST_F(AccessLogTest, AReplyThatIsNotSentIsNotLogged) {
  Create({.payloads = {.requests = true, .replies = true}});
  Register(get_);
  const Account message = SecretAccount("x");
  const auto call = Call(get_, {.request = &message});
  EXPECT_TRUE(log_->OnStart(**call).ok());
  log_->OnSent(**call, &message);
  Finish(*call, grpc::Status(grpc::StatusCode::INTERNAL, "m"));
  EXPECT_TRUE(Line().contains("request"));
  EXPECT_FALSE(Line().contains("reply"));
}

TEST_F(AccessLogTest, OnlyWhatWasAskedForIsLogged) {
  Create({.payloads = {.requests = true}});
  EXPECT_FALSE(Register(get_).sent);
  Create({.payloads = {.replies = true}});
  EXPECT_TRUE(Register(get_).sent);
  const Account request = SecretAccount("in");
  const auto call = Call(get_, {.request = &request});
  EXPECT_TRUE(log_->OnStart(**call).ok());
  Finish(*call);
  EXPECT_FALSE(Line().contains("request"));
}

TEST_F(AccessLogTest, PayloadsAreLoggedForTheChosenMethodsOnly) {
  Create({.payloads = {.requests = true,
                       .methods = Selector::Path("/other/Method")}});
  EXPECT_FALSE(Register(get_).start);
}

TEST_F(AccessLogTest, ALongPayloadIsCutAndSaidToBe) {
  Create({.payloads = {.requests = true, .max_bytes = 64}});
  Register(get_);
  Account request;
  request.set_name(std::string(1 << 20, 'x'));
  const auto call = Call(get_, {.request = &request});
  EXPECT_TRUE(log_->OnStart(**call).ok());
  Finish(*call);
  EXPECT_EQ(Line()["request"], "{\"name\":\"" + std::string(64 - 9, 'x'));
  EXPECT_EQ(Line()["truncated"], true);
}

TEST_F(AccessLogTest, TwoPayloadsThatAreCutAreSaidToBeOnce) {
  Create({.payloads = {.requests = true, .replies = true, .max_bytes = 64}});
  Register(get_);
  Account message;
  message.set_name(std::string(100, 'x'));
  const auto call = Call(get_, {.request = &message});
  EXPECT_TRUE(log_->OnStart(**call).ok());
  log_->OnSent(**call, &message);
  Finish(*call);
  const std::string line = sink_->lines().at(0);
  const std::size_t first = line.find("\"truncated\":true");
  EXPECT_NE(first, std::string::npos) << line;
  EXPECT_EQ(line.find("truncated", first + 2), std::string::npos)
      << "a JSON object has a member once: " << line;
}

TEST_F(AccessLogTest, AGenericMethodHasNoPayloads) {
  Create({.payloads = {
              .requests = true, .replies = true, .stream_messages = true}});
  Method generic = MethodOf("Chat", CallKind::kBidiStream);
  generic.descriptor = nullptr;
  const Hooks hooks = Register(generic);
  EXPECT_FALSE(hooks.start || hooks.received || hooks.sent);
  Finish(*Call(generic));
  EXPECT_EQ(Line()["grpc.kind"], "bidi_stream");
}

TEST_F(AccessLogTest, EachMessageOfAStreamHasALineOfItsOwnIfAsked) {
  Create({.payloads = {.stream_messages = true}});
  const Method chat = MethodOf("Chat", CallKind::kBidiStream);
  const Hooks hooks = Register(chat);
  EXPECT_TRUE(hooks.received && hooks.sent);
  const auto call = Call(chat, {.metadata = {{"x-request-id", "req-1"}}});
  const Account message = SecretAccount("ann");
  call->CountReceived(1);
  EXPECT_TRUE(log_->OnReceived(**call, &message).ok());
  log_->OnSent(**call, &message);
  call->CountSent(1);
  log_->OnSent(**call, &message);
  log_->OnSent(**call, nullptr);
  ASSERT_THAT(sink_->lines(), SizeIs(3));
  const json received = json::parse(sink_->lines()[0]);
  EXPECT_EQ(received["msg"], "message");
  EXPECT_EQ(received["request_id"], "req-1");
  EXPECT_EQ(received["grpc.method"], chat.path);
  EXPECT_EQ(received["direction"], "received");
  EXPECT_EQ(received["number"], 1);
  EXPECT_EQ(received["message"]["password"], "[redacted]");
  const json sent = json::parse(sink_->lines()[2]);
  EXPECT_EQ(sent["direction"], "sent");
  EXPECT_EQ(sent["number"], 2);
  EXPECT_THAT(sink_->text(), Not(HasSubstr(kSecret)));
  sink_->Clear();
  log_->SetLevel(Selector(), LogLevel::kError);
  log_->OnSent(**call, &message);
  EXPECT_THAT(sink_->lines(), IsEmpty());
}

TEST_F(AccessLogTest, TheSingleSideOfAStreamIsInTheCallsLine) {
  Create({.payloads = {.requests = true, .replies = true}});
  const Method watch = MethodOf("Watch", CallKind::kServerStream, 0);
  const Method load = MethodOf("Load", CallKind::kClientStream, 1);
  EXPECT_FALSE(Register(watch).sent);
  EXPECT_TRUE(Register(load).sent);
  EXPECT_FALSE(Register(load).received);
  const Account message = SecretAccount("ann");
  const auto watching = Call(watch, {.request = &message});
  EXPECT_TRUE(log_->OnStart(**watching).ok());
  Finish(*watching);
  EXPECT_EQ(Line()["request"]["name"], "ann");
  sink_->Clear();
  const auto loading = Call(load);
  EXPECT_TRUE(log_->OnStart(**loading).ok());
  log_->OnSent(**loading, &message);
  Finish(*loading);
  EXPECT_EQ(Line()["reply"]["name"], "ann");
}

TEST_F(AccessLogTest, ALoggerWithoutASinkLogsNothing) {
  log_ = *AccessLog::Create({}, Logger());
  Register(get_);
  Finish(*Call(get_));
  EXPECT_THAT(sink_->lines(), IsEmpty());
}

TEST(AccessLogOptionsTest, RefusesWhatIsOutOfRangeByName) {
  const auto message = [](AccessLogOptions options) {
    const auto log = AccessLog::Create(std::move(options), Logger());
    EXPECT_EQ(log.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(log.status().message());
  };
  EXPECT_THAT(message({.ok = {.share = -0.1}}), HasSubstr("ok.share"));
  EXPECT_THAT(message({.slow = {.share = 1.1}}), HasSubstr("slow.share"));
  EXPECT_THAT(message({.refused = {.share = std::nan("")}}),
              HasSubstr("refused.share"));
  EXPECT_THAT(message({.client_error = {.share = 2}}),
              HasSubstr("client_error.share"));
  EXPECT_THAT(message({.unavailable = {.share = 2}}),
              HasSubstr("unavailable.share"));
  EXPECT_THAT(message({.server_error = {.share = 2}}),
              HasSubstr("server_error.share"));
  EXPECT_THAT(message({.slow_threshold = -1ns}), HasSubstr("slow_threshold"));
  EXPECT_THAT(message({.slow_threshold = 61min}), HasSubstr("slow_threshold"));
  EXPECT_THAT(message({.max_field_bytes = 63}), HasSubstr("max_field_bytes"));
  EXPECT_THAT(message({.max_field_bytes = 65537}),
              HasSubstr("max_field_bytes"));
  EXPECT_THAT(message({.payloads = {.max_bytes = 15}}),
              HasSubstr("payloads.max_bytes"));
  EXPECT_THAT(message({.payloads = {.max_bytes = (1 << 20) + 1}}),
              HasSubstr("payloads.max_bytes"));
}

}  // namespace
}  // namespace grpccommon
