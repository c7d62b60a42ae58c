// SPDX-License-Identifier: Apache-2.0
#include "client/client_chain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <stdexcept>
#include <string>
#include <utility>

#include "google/rpc/error_details.pb.h"
#include "grpccommon/testing/fake_client_call.h"
#include "grpccommon/testing/recording_log_sink.h"
#include "grpccommon/testing/status_matchers.h"

namespace grpccommon::internal {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using testing::FakeClientCall;
using testing::HasReason;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsOk;
using testing::MessageIs;
using ::testing::Not;
using testing::RecordingLogSink;
using testing::StatusIs;

// Writes down what it is called for, and does what a test wants there.
class Recorder : public ClientInterceptor {
 public:
  using Log = std::vector<std::string>;
  Recorder(Log& log, std::string name, Stage stage = Stage::kUser)
      : log_(log), name_(std::move(name)), stage_(stage) {}

  std::string_view name() const override { return name_; }
  Stage stage() const override { return stage_; }

  absl::StatusOr<ClientHooks> Register(const Method& method) override {
    return on_register ? on_register(method) : hooks;
  }
  absl::Status OnStart(ClientCall& call) override {
    log_.push_back(name_ + " start");
    return on_start ? on_start(call) : absl::OkStatus();
  }
  absl::Status OnAttemptStart(ClientCall& /*call*/,
                              ClientAttempt& attempt) override {
    log_.push_back(name_ + " attempt");
    return on_attempt ? on_attempt(attempt) : absl::OkStatus();
  }
  void OnAttemptEnd(ClientCall& /*call*/, ClientAttempt& /*attempt*/,
                    const grpc::Status& status) override {
    log_.push_back(name_ + " attempt ended " +
                   std::to_string(status.error_code()));
    if (throws) throw std::runtime_error("attempt");
  }
  void OnMessageSent(ClientCall& /*call*/) override {
    log_.push_back(name_ + " sent");
    if (throws) throw std::runtime_error("sent");
  }
  void OnMessageReceived(ClientCall& /*call*/) override {
    log_.push_back(name_ + " received");
    if (throws) throw std::runtime_error("received");
  }
  void OnFinish(ClientCall& /*call*/, grpc::Status& status) override {
    log_.push_back(name_ + " finish " + std::to_string(status.error_code()));
    if (on_finish) on_finish(status);
    if (throws) throw std::runtime_error("finish");
  }

  ClientHooks hooks{.attempts = true, .messages = true};
  std::function<absl::StatusOr<ClientHooks>(const Method&)> on_register;
  std::function<absl::Status(ClientCall&)> on_start;
  std::function<absl::Status(ClientAttempt&)> on_attempt;
  std::function<void(grpc::Status&)> on_finish;
  bool throws = false;

 private:
  Log& log_;
  const std::string name_;
  const Stage stage_;
};

class ClientChainTest : public ::testing::Test {
 protected:
  std::shared_ptr<Recorder> Add(std::string name, Stage stage = Stage::kUser) {
    auto added = std::make_shared<Recorder>(log_, std::move(name), stage);
    chain_.Add(added);
    return added;
  }
  std::unique_ptr<const MethodChain> Compile() {
    auto compiled = chain_.Compile(call_->method());
    EXPECT_THAT(compiled, IsOk());
    return *std::move(compiled);
  }

  Recorder::Log log_;
  const std::shared_ptr<RecordingLogSink> sink_ =
      std::make_shared<RecordingLogSink>();
  FakeClientCall call_{{.logger = Logger(sink_, "test")}};
  ClientChain chain_;
  std::size_t started_ = 99;
};

TEST_F(ClientChainTest, RunsByStageThenInTheOrderOfAddingAndFinishesInReverse) {
  Add("user");
  Add("identify", Stage::kIdentify);
  Add("first", Stage::kObserve);
  Add("second", Stage::kObserve);
  const auto chain = Compile();
  EXPECT_THAT(chain->Start(*call_, started_), IsOk());
  EXPECT_EQ(started_, 4u);
  grpc::Status status;
  chain->Finish(*call_, status, started_);
  EXPECT_THAT(log_,
              ElementsAre("first start", "second start", "identify start",
                          "user start", "user finish 0", "identify finish 0",
                          "second finish 0", "first finish 0"));
}

TEST_F(ClientChainTest, StopsAtTheFirstThatRefusesAndFinishesThoseThatBegan) {
  Add("a");
  const auto refuses = Add("b");
  Add("c");
  refuses->on_start = [](ClientCall& call) {
    EXPECT_TRUE(call.Answer(google::rpc::RetryInfo()));
    return absl::PermissionDeniedError("no");
  };
  const auto chain = Compile();
  EXPECT_THAT(chain->Start(*call_, started_),
              StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_EQ(call_->refused_by(), refuses.get());
  EXPECT_FALSE(call_->answered()) << "a refusal is no answer";
  grpc::Status status(grpc::StatusCode::PERMISSION_DENIED, "no");
  chain->Finish(*call_, status, started_);
  EXPECT_THAT(log_,
              ElementsAre("a start", "b start", "b finish 7", "a finish 7"));
}

TEST_F(ClientChainTest, StopsAtTheFirstThatAnswers) {
  const auto answers = Add("a");
  Add("b");
  answers->on_start = [](ClientCall& call) {
    EXPECT_TRUE(call.Answer(google::rpc::RetryInfo()));
    return absl::OkStatus();
  };
  const auto chain = Compile();
  EXPECT_THAT(chain->Start(*call_, started_), IsOk());
  EXPECT_TRUE(call_->answered());
  EXPECT_EQ(call_->refused_by(), nullptr);
  EXPECT_EQ(started_, 1u);
  EXPECT_THAT(log_, ElementsAre("a start"));
}

TEST_F(ClientChainTest, AnExceptionAtTheStartRefusesWithInternalAndIsLogged) {
  const auto throws = Add("thrower");
  throws->on_start = [](ClientCall&) -> absl::Status {
    throw std::runtime_error("secret detail");
  };
  const auto chain = Compile();
  EXPECT_THAT(chain->Start(*call_, started_),
              AllOf(StatusIs(absl::StatusCode::kInternal),
                    HasReason("INTERCEPTOR_FAILED"),
                    MessageIs(Not(HasSubstr("secret")))));
  EXPECT_EQ(call_->refused_by(), throws.get());
  EXPECT_EQ(sink_->LinesWhere("exception", "secret detail").size(), 1u);

  throws->on_start = [](ClientCall&) -> absl::Status { throw 7; };
  EXPECT_THAT(chain->Start(*call_, started_),
              StatusIs(absl::StatusCode::kInternal));
}

TEST_F(ClientChainTest, ExceptionsOfOtherHooksAreLoggedAndChangeNothing) {
  Add("outer");
  Add("thrower")->throws = true;
  const auto chain = Compile();
  EXPECT_THAT(chain->Start(*call_, started_), IsOk());
  ClientAttempt& attempt = call_.StartAttempt();
  std::size_t attempt_started = 0;
  EXPECT_THAT(chain->AttemptStart(*call_, attempt, attempt_started), IsOk());
  chain->MessageSent(*call_);
  chain->MessageReceived(*call_);
  grpc::Status status;
  chain->AttemptEnd(*call_, attempt, status, attempt_started);
  chain->Finish(*call_, status, started_);
  EXPECT_TRUE(status.ok());
  for (const std::string_view text :
       {"attempt", "sent", "received", "finish"}) {
    EXPECT_EQ(sink_->LinesWhere("exception", text).size(), 1u) << text;
  }
  EXPECT_EQ(log_.back(), "outer finish 0") << "the next still had its turn";
}

TEST_F(ClientChainTest, AFinishHookMayMakeAnErrorOfSuccessButNotTheReverse) {
  Add("outer");
  const auto inner = Add("inner");
  inner->on_finish = [](grpc::Status& status) {
    status = grpc::Status(grpc::StatusCode::DATA_LOSS, "bad checksum");
  };
  const auto chain = Compile();
  EXPECT_THAT(chain->Start(*call_, started_), IsOk());
  grpc::Status status;
  chain->Finish(*call_, status, started_);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DATA_LOSS);
  EXPECT_EQ(log_.back(), "outer finish 15");

  inner->on_finish = [](grpc::Status& s) { s = grpc::Status::OK; };
  status = grpc::Status(grpc::StatusCode::ABORTED, "kept");
  chain->Finish(*call_, status, started_);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ABORTED);
  EXPECT_EQ(status.error_message(), "kept");
}

TEST_F(ClientChainTest, AnAttemptIsRefusedAndEndedAsACallIs) {
  Add("a");
  const auto refuses = Add("b");
  Add("c");
  refuses->on_attempt = [](ClientAttempt& attempt) {
    return attempt.number() == 2 ? absl::UnavailableError("token is gone")
                                 : absl::OkStatus();
  };
  const auto chain = Compile();
  ASSERT_TRUE(chain->wants_attempts());
  std::size_t started = 0;
  ClientAttempt& first = call_.StartAttempt();
  EXPECT_THAT(chain->AttemptStart(*call_, first, started), IsOk());
  chain->AttemptEnd(*call_, first,
                    grpc::Status(grpc::StatusCode::UNAVAILABLE, ""), started);
  EXPECT_THAT(log_, ElementsAre("a attempt", "b attempt", "c attempt",
                                "c attempt ended 14", "b attempt ended 14",
                                "a attempt ended 14"));
  log_.clear();
  ClientAttempt& second = call_.StartAttempt();
  EXPECT_THAT(chain->AttemptStart(*call_, second, started),
              StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(call_->refused_by(), refuses.get());
  chain->AttemptEnd(*call_, second,
                    grpc::Status(grpc::StatusCode::UNAVAILABLE, ""), started);
  EXPECT_THAT(log_, ElementsAre("a attempt", "b attempt", "b attempt ended 14",
                                "a attempt ended 14"));
}

TEST_F(ClientChainTest, CallsOnlyTheHooksThatAreWanted) {
  Add("nothing")->hooks = ClientHooks::None();
  Add("finish")->hooks = {.start = false};
  Add("messages")->hooks = {.start = false, .finish = false, .messages = true};
  const auto chain = Compile();
  EXPECT_FALSE(chain->wants_attempts());
  EXPECT_TRUE(chain->wants_messages());
  EXPECT_THAT(chain->Start(*call_, started_), IsOk());
  EXPECT_EQ(started_, 2u) << "who wants nothing is not in the chain";
  std::size_t attempt_started = 99;
  ClientAttempt& attempt = call_.StartAttempt();
  EXPECT_THAT(chain->AttemptStart(*call_, attempt, attempt_started), IsOk());
  EXPECT_EQ(attempt_started, 0u);
  chain->MessageSent(*call_);
  grpc::Status status;
  chain->AttemptEnd(*call_, attempt, status, attempt_started);
  chain->Finish(*call_, status, started_);
  EXPECT_THAT(log_, ElementsAre("messages sent", "finish finish 0"));
}

TEST_F(ClientChainTest, AnInterceptorMayHaveAnotherServeTheMethod) {
  const auto asked = Add("asked");
  const auto serves = std::make_shared<Recorder>(log_, "serves");
  asked->on_register = [&serves](const Method&) {
    return ClientHooks{.for_method = serves};
  };
  const auto chain = Compile();
  EXPECT_THAT(chain->Start(*call_, started_), IsOk());
  EXPECT_THAT(log_, ElementsAre("serves start"));
}

TEST_F(ClientChainTest, AppliesSelectors) {
  chain_.Add(std::make_shared<Recorder>(log_, "other"),
             Selector::Service("other.v1.OtherService"));
  EXPECT_TRUE(Compile()->empty());
  EXPECT_FALSE(chain_.empty());
}

TEST_F(ClientChainTest, CompileNamesWhoCannotServeTheMethod) {
  const auto refuses = Add("picky");
  refuses->on_register = [](const Method&) {
    return absl::InvalidArgumentError("no descriptor");
  };
  EXPECT_THAT(chain_.Compile(call_->method()),
              AllOf(StatusIs(absl::StatusCode::kInvalidArgument),
                    MessageIs("picky on /test.v1.TestService/Test: "
                              "no descriptor")));
  refuses->on_register = [](const Method&) -> absl::StatusOr<ClientHooks> {
    throw std::runtime_error("metric exists");
  };
  EXPECT_THAT(chain_.Compile(call_->method()),
              AllOf(StatusIs(absl::StatusCode::kInternal),
                    MessageIs(HasSubstr("metric exists"))));
}

}  // namespace
}  // namespace grpccommon::internal
