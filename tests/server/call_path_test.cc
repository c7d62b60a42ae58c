// SPDX-License-Identifier: Apache-2.0
// That a chain sees the same of a call whoever runs its hooks before a send: we
// in front of gRPC, or gRPC. (What it should see, integration/call_path_test
// says, of the way that this build takes.)
#include "server/call_path.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/call/server_call.h"
#include "grpccommon/testing/recording_log_sink.h"
#include "support/echo_services.h"
#include "support/every_call.h"
#include "support/test_server.h"

namespace grpccommon::internal {
namespace {

using test::EchoService;
using test::Style;
using ::testing::Contains;
using ::testing::StartsWith;

// Writes down each hook, and interferes as it is told to.
class Tracer : public ServerInterceptor {
 public:
  enum class Interference { kNone, kRefuse, kRefuseMessage, kReplaceStatus };
  explicit Tracer(Interference interference) : interference_(interference) {}

  std::string_view name() const override { return "tracer"; }
  Stage stage() const override { return Stage::kUser; }
  absl::StatusOr<Hooks> Register(const Method& /*method*/) override {
    return Hooks{true, true, true, true};
  }
  absl::Status OnStart(ServerCall& /*call*/) override {
    Note("start");
    if (interference_ != Interference::kRefuse) return absl::OkStatus();
    return absl::PermissionDeniedError("not you");
  }
  absl::Status OnReceived(ServerCall& call,
                          const google::protobuf::Message* message) override {
    Note(message != nullptr ? "received a message" : "received");
    if (interference_ != Interference::kRefuseMessage ||
        call.messages_received() < 2) {
      return absl::OkStatus();
    }
    return absl::ResourceExhaustedError("one is enough");
  }
  void OnSent(ServerCall& /*call*/,
              const google::protobuf::Message* message) override {
    Note(message != nullptr ? "sent a message" : "sent");
  }
  void OnFinish(ServerCall& call, grpc::Status& status) override {
    if (interference_ == Interference::kReplaceStatus) {
      status = grpc::Status(grpc::StatusCode::DATA_LOSS, "replaced");
    }
    Note(absl::StrCat("finish ", static_cast<int>(status.error_code()), " ",
                      status.error_message(), ": ", call.messages_received(),
                      " received, ", call.bytes_received(), " bytes; ",
                      call.messages_sent(), " sent, ", call.bytes_sent(),
                      " bytes"));
  }

  std::vector<std::string> Notes() {
    const MutexLock lock(mutex_);
    return notes_;
  }

 private:
  void Note(std::string text) {
    const MutexLock lock(mutex_);
    notes_.push_back(std::move(text));
  }

  const Interference interference_;
  Mutex mutex_;
  std::vector<std::string> notes_;
};

// What a chain and a client saw of one call, and what was left of it.
struct Outcome {
  std::vector<std::string> notes;
  std::string client;
  std::int64_t running = -1;

  bool operator==(const Outcome&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Outcome& outcome) {
  for (const std::string& note : outcome.notes) out << note << '\n';
  return out << outcome.client << "; left: " << outcome.running;
}

using Case = std::tuple<Style, CallKind, Tracer::Interference>;

class CallPathTest : public ::testing::TestWithParam<Case> {
 protected:
  // One call, start to end, on a server that is torn down after it.
  static Outcome Run(SendHooks send_hooks) {
    const auto& [style, kind, interference] = GetParam();
    const auto sink = std::make_shared<testing::RecordingLogSink>();
    CallPath path(SteadyClock(), Logger(sink, "path"), send_hooks);
    const auto tracer = std::make_shared<Tracer>(interference);
    path.Use(tracer, Selector());
    test::EchoProbe probe;
    test::SyncEcho sync(probe);
    test::CallbackEcho callback(probe);
    const absl::Status added =
        style == Style::kSync ? path.Add(sync) : path.Add(callback);
    EXPECT_TRUE(added.ok()) << added;
    EXPECT_TRUE(path.Compile().ok());

    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port);
    for (const auto& service : path.services()) {
      builder.RegisterService(service.get());
    }
    std::vector<
        std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>>
        factories;
    factories.push_back(path.CreateInterceptorFactory());
    builder.experimental().SetInterceptorCreators(std::move(factories));
    auto server = builder.BuildAndStart();
    const auto stub = EchoService::NewStub(grpc::CreateChannel(
        absl::StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials()));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::seconds(20));
    probe.baton.Pass();
    const test::CallResult seen =
        test::TestServer::CallOn(*stub, kind, context);
    probe.baton.Take();
    server->Shutdown();
    server->Wait();
    server.reset();

    Outcome outcome;
    outcome.notes = tracer->Notes();
    outcome.client = absl::StrCat(static_cast<int>(seen.status.error_code()),
                                  " ", seen.status.error_message(), " '",
                                  seen.text, "' ", probe.entered.load(),
                                  " entered, ", probe.read.load(), " read");
    outcome.running = path.running_calls();
    return outcome;
  }
};

TEST_P(CallPathTest, AChainSeesTheSameWhoeverRunsItsHooks) {
  const Outcome by_grpc = Run(SendHooks::kGrpc);
  EXPECT_EQ(by_grpc.running, 0);
  EXPECT_EQ(by_grpc, Run(kSendHooks));
  const auto& [style, kind, interference] = GetParam();
  // That there was something to compare.
  EXPECT_THAT(by_grpc.notes, Contains("start"));
  switch (interference) {
    case Tracer::Interference::kNone:
      EXPECT_THAT(by_grpc.notes, Contains("sent a message"));
      EXPECT_THAT(by_grpc.client, StartsWith("0 "));
      break;
    case Tracer::Interference::kRefuse:
      EXPECT_THAT(by_grpc.client, StartsWith("7 not you ''"));
      break;
    case Tracer::Interference::kRefuseMessage:
      if (kind == CallKind::kClientStream || kind == CallKind::kBidiStream) {
        EXPECT_THAT(by_grpc.client, StartsWith("8 one is enough"));
      }
      break;
    case Tracer::Interference::kReplaceStatus:
      EXPECT_THAT(by_grpc.client, StartsWith("15 replaced"));
      break;
  }
}

std::string CaseName(const ::testing::TestParamInfo<Case>& info) {
  static constexpr const char* kInterferences[] = {
      "untouched", "refused", "message_refused", "status_replaced"};
  const auto& [style, kind, interference] = info.param;
  return absl::StrCat(test::NameOf(style, kind), "_",
                      kInterferences[static_cast<int>(interference)]);
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, CallPathTest,
    ::testing::Combine(test::EveryStyle(), test::EveryKind(),
                       ::testing::Values(Tracer::Interference::kNone,
                                         Tracer::Interference::kRefuse,
                                         Tracer::Interference::kRefuseMessage,
                                         Tracer::Interference::kReplaceStatus)),
    CaseName);

}  // namespace
}  // namespace grpccommon::internal
