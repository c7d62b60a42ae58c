// SPDX-License-Identifier: Apache-2.0
// The whole chain as a server puts it together from its options: what the
// contract promises holds, and each call is logged, counted and traced.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "google/rpc/error_details.pb.h"
#include "grpccommon/accesslog/access_log.h"
#include "grpccommon/auth/jwt_signer.h"
#include "grpccommon/call/server_call.h"
#include "grpccommon/metrics/metrics_registry.h"
#include "grpccommon/server/server.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/status/details.h"
#include "grpccommon/testing/certificates.h"
#include "grpccommon/testing/recording_log_sink.h"
#include "grpccommon/testing/status_matchers.h"
#include "grpccommon/tracing/memory_exporter.h"
#include "grpcpp/grpcpp.h"
#include "guarded/v1/guarded_service.grpc.pb.h"

namespace grpccommon {
namespace {

using grpccommon::testing::HasReason;
using grpccommon::testing::IsOk;
using grpccommon::testing::MessageIs;
using grpccommon::testing::RecordingLogSink;
using grpccommon::testing::StatusIs;
using guarded::v1::GuardedService;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using namespace std::chrono_literals;

class Guarded : public GuardedService::CallbackService {
 public:
  std::atomic<int> entered{0};
  std::atomic<int> messages{0};

 private:
  template <typename Request, typename Response>
  grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context,
                                   const Request*, Response* response) {
    ++entered;
    if constexpr (requires { response->set_subject(""); }) {
      response->set_subject(ServerCall::Of(*context)->principal().subject);
    }
    auto* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
  using Context = grpc::CallbackServerContext;
  grpc::ServerUnaryReactor* Open(Context* c, const guarded::v1::OpenRequest* q,
                                 guarded::v1::OpenResponse* r) override {
    return Answer(c, q, r);
  }
  grpc::ServerUnaryReactor* Known(Context* c,
                                  const guarded::v1::KnownRequest* q,
                                  guarded::v1::KnownResponse* r) override {
    return Answer(c, q, r);
  }
  grpc::ServerUnaryReactor* Admin(Context* c,
                                  const guarded::v1::AdminRequest* q,
                                  guarded::v1::AdminResponse* r) override {
    return Answer(c, q, r);
  }
  grpc::ServerUnaryReactor* Limited(Context* c,
                                    const guarded::v1::LimitedRequest* q,
                                    guarded::v1::LimitedResponse* r) override {
    return Answer(c, q, r);
  }
  grpc::ServerUnaryReactor* Checked(Context* c,
                                    const guarded::v1::CheckedRequest* q,
                                    guarded::v1::CheckedResponse* r) override {
    return Answer(c, q, r);
  }
  grpc::ServerReadReactor<guarded::v1::CheckedStreamRequest>* CheckedStream(
      Context*, guarded::v1::CheckedStreamResponse* response) override {
    class Reactor
        : public grpc::ServerReadReactor<guarded::v1::CheckedStreamRequest> {
     public:
      Reactor(Guarded& service, guarded::v1::CheckedStreamResponse& response)
          : service_(service), response_(response) {
        StartRead(&request_);
      }
      void OnReadDone(bool ok) override {
        if (!ok) {
          Finish(grpc::Status::OK);
          return;
        }
        response_.set_count(++service_.messages);
        StartRead(&request_);
      }
      void OnDone() override { delete this; }

     private:
      Guarded& service_;
      guarded::v1::CheckedStreamResponse& response_;
      guarded::v1::CheckedStreamRequest request_;
    };
    return new Reactor(*this, *response);
  }
  grpc::ServerUnaryReactor* Bounded(Context* context,
                                    const guarded::v1::BoundedRequest*,
                                    guarded::v1::BoundedResponse*) override {
    // Answers only when it is told to stop.
    class Reactor : public grpc::ServerUnaryReactor {
     public:
      void OnCancel() override {
        Finish(grpc::Status(grpc::StatusCode::CANCELLED, "stopped"));
      }
      void OnDone() override { delete this; }
    };
    ++entered;
    static_cast<void>(context);
    return new Reactor();
  }
};

class ChainTest : public ::testing::Test {
 protected:
  ChainTest() {
    ServerOptions options = {
        .name = "guarded", .version = "1.2.3", .grpc_address = "127.0.0.1:0"};
    options.drain_delay = 0s;
    options.log_sink = log_;
    options.auth.jwks_file = folder_.Write("keys.json", *signer_.PublicJwks());
    options.auth.issuer = "test-issuer";
    options.auth.audiences = {"guarded"};
    options.tracing->sample_ratio = 1.0;
    options.tracing->exporter = spans_;
    options.access_log->payloads.requests = true;
    auto server = Server::Create(std::move(options));
    if (!server.ok()) {
      ADD_FAILURE() << server.status();
      return;
    }
    server_ = *std::move(server);
    server_->Add<GuardedService>(service_);
    EXPECT_THAT(server_->Start(), IsOk());
    stub_ = GuardedService::NewStub(
        grpc::CreateChannel("127.0.0.1:" + std::to_string(server_->grpc_port()),
                            grpc::InsecureChannelCredentials()));
  }

  std::string Token(std::vector<std::string> roles = {},
                    Clock::Duration lifetime = 1h,
                    const std::string& audience = "guarded") {
    const Clock::WallTime now = SteadyClock().WallNow();
    return *signer_.Sign({.subject = "alice",
                          .issuer = "test-issuer",
                          .audiences = {audience},
                          .issued_at = now - 1h,
                          .expires_at = now + lifetime,
                          .roles = std::move(roles)});
  }

  template <typename Request, typename Response>
  grpc::Status Call(grpc::Status (GuardedService::Stub::*method)(
                        grpc::ClientContext*, const Request&, Response*),
                    const Request& request, const std::string& token = "") {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + 10s);
    context.AddMetadata("x-request-id", "the-request");
    if (!token.empty()) context.AddMetadata("authorization", "Bearer " + token);
    Response response;
    grpc::Status status = (stub_.get()->*method)(&context, request, &response);
    trailers_.clear();
    for (const auto& [key, value] : context.GetServerTrailingMetadata()) {
      trailers_.emplace(std::string(key.data(), key.size()),
                        std::string(value.data(), value.size()));
    }
    return status;
  }

  testing::TemporaryFolder folder_;
  const JwtSigner signer_ = *JwtSigner::Generate(JwtAlgorithm::kEs256, "k1");
  std::shared_ptr<RecordingLogSink> log_ = std::make_shared<RecordingLogSink>();
  std::shared_ptr<MemorySpanExporter> spans_ =
      std::make_shared<MemorySpanExporter>();
  Guarded service_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<GuardedService::Stub> stub_;
  std::multimap<std::string, std::string> trailers_;
};

TEST_F(ChainTest, APublicMethodServesStrangers) {
  EXPECT_THAT(Call(&GuardedService::Stub::Open, guarded::v1::OpenRequest()),
              IsOk());
}

TEST_F(ChainTest, AStrangerIsToldWhichCredentialToBring) {
  EXPECT_THAT(Call(&GuardedService::Stub::Known, guarded::v1::KnownRequest()),
              AllOf(StatusIs(grpc::StatusCode::UNAUTHENTICATED),
                    MessageIs(HasSubstr("authorization"))));
  EXPECT_EQ(service_.entered, 0);
}

TEST_F(ChainTest, AVerifiedCallerIsLetInAndKnownToTheHandler) {
  EXPECT_THAT(
      Call(&GuardedService::Stub::Known, guarded::v1::KnownRequest(), Token()),
      IsOk());
  EXPECT_EQ(service_.entered, 1);
}

TEST_F(ChainTest, ABadTokenIsRefusedForItsReason) {
  const auto refused = [this](const std::string& token,
                              const std::string& reason) {
    EXPECT_THAT(
        Call(&GuardedService::Stub::Known, guarded::v1::KnownRequest(), token),
        AllOf(StatusIs(grpc::StatusCode::UNAUTHENTICATED), HasReason(reason)));
  };
  refused(Token({}, -1h), "TOKEN_EXPIRED");
  refused(Token({}, 1h, "another-service"), "TOKEN_AUDIENCE");
  std::string tampered = Token();
  tampered[tampered.size() / 2] ^= 1;
  EXPECT_THAT(
      Call(&GuardedService::Stub::Known, guarded::v1::KnownRequest(), tampered),
      StatusIs(grpc::StatusCode::UNAUTHENTICATED));
  refused("not.a.token", "TOKEN_MALFORMED");
  EXPECT_EQ(service_.entered, 0);
  EXPECT_THAT(log_->text(), Not(HasSubstr(tampered)));
}

TEST_F(ChainTest, ARoleThatIsMissingIsNamed) {
  EXPECT_THAT(
      Call(&GuardedService::Stub::Admin, guarded::v1::AdminRequest(), Token()),
      AllOf(StatusIs(grpc::StatusCode::PERMISSION_DENIED),
            MessageIs(HasSubstr("admin"))));
  EXPECT_THAT(Call(&GuardedService::Stub::Admin, guarded::v1::AdminRequest(),
                   Token({"admin"})),
              IsOk());
  EXPECT_EQ(service_.entered, 1);
}

TEST_F(ChainTest, ACallerAboveItsRateIsToldWhenToComeBack) {
  const std::string token = Token();
  const guarded::v1::LimitedRequest request;
  EXPECT_THAT(Call(&GuardedService::Stub::Limited, request, token), IsOk());
  EXPECT_THAT(Call(&GuardedService::Stub::Limited, request, token), IsOk());
  const grpc::Status status =
      Call(&GuardedService::Stub::Limited, request, token);
  EXPECT_THAT(status, StatusIs(grpc::StatusCode::RESOURCE_EXHAUSTED));
  EXPECT_GT(RetryDelayOf(FromGrpcStatus(status)), 1s);
  EXPECT_EQ(trailers_.count("grpc-retry-pushback-ms"), 1u);
  EXPECT_EQ(service_.entered, 2);
}

TEST_F(ChainTest, InvalidFieldsAreNamedAndSecretsAreNot) {
  guarded::v1::CheckedRequest request;
  request.set_name("much too long a name");
  request.set_password("hunter2");
  const grpc::Status status = Call(&GuardedService::Stub::Checked, request);
  EXPECT_THAT(status, StatusIs(grpc::StatusCode::INVALID_ARGUMENT));
  google::rpc::BadRequest bad;
  ASSERT_TRUE(GetDetail(FromGrpcStatus(status), bad));
  ASSERT_EQ(bad.field_violations_size(), 2);
  EXPECT_EQ(bad.field_violations(0).field(), "name");
  EXPECT_EQ(bad.field_violations(1).field(), "password");
  EXPECT_EQ(service_.entered, 0);
  server_->Shutdown(0s, 1s);
  EXPECT_THAT(status.error_message() + status.error_details() + log_->text(),
              Not(HasSubstr("hunter2")));
  EXPECT_THAT(log_->text(), HasSubstr("[redacted]"));
}

TEST_F(ChainTest, AnInvalidMessageEndsAStream) {
  grpc::ClientContext context;
  guarded::v1::CheckedStreamResponse response;
  auto writer = stub_->CheckedStream(&context, &response);
  guarded::v1::CheckedStreamRequest request;
  request.set_name("good");
  writer->Write(request);
  request.clear_name();
  writer->Write(request);
  writer->WritesDone();
  EXPECT_THAT(writer->Finish(),
              AllOf(StatusIs(grpc::StatusCode::INVALID_ARGUMENT),
                    MessageIs(HasSubstr("name"))));
  EXPECT_EQ(service_.messages, 1);
}

TEST_F(ChainTest, TheContractsTimeoutHoldsWhereTheClientSetNone) {
  grpc::ClientContext context;
  guarded::v1::BoundedResponse response;
  EXPECT_THAT(
      stub_->Bounded(&context, guarded::v1::BoundedRequest(), &response),
      StatusIs(grpc::StatusCode::DEADLINE_EXCEEDED));
  EXPECT_EQ(service_.entered, 1);
}

TEST_F(ChainTest, EveryCallIsLoggedCountedAndTraced) {
  Call(&GuardedService::Stub::Known, guarded::v1::KnownRequest(), Token());
  Call(&GuardedService::Stub::Known, guarded::v1::KnownRequest());
  server_->Shutdown(0s, 1s);

  const auto lines = log_->LinesWhere("msg", "call");
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(RecordingLogSink::Field(lines[0], "grpc.method"),
            "/guarded.v1.GuardedService/Known");
  EXPECT_EQ(RecordingLogSink::Field(lines[0], "grpc.code"), "OK");
  EXPECT_EQ(RecordingLogSink::Field(lines[0], "principal"), "alice");
  EXPECT_EQ(RecordingLogSink::Field(lines[0], "request_id"), "the-request");
  EXPECT_EQ(RecordingLogSink::Field(lines[1], "grpc.code"), "UNAUTHENTICATED");
  EXPECT_EQ(RecordingLogSink::Field(lines[1], "refused_by"), "authorize");

  const std::string metrics = server_->metrics().Expose();
  EXPECT_THAT(
      metrics,
      HasSubstr("grpc_server_started_total{grpc_type=\"unary\",grpc_service="
                "\"guarded.v1.GuardedService\",grpc_method=\"Known\"} 2"));
  EXPECT_THAT(metrics, HasSubstr("grpc_code=\"Unauthenticated\"} 1"));
  EXPECT_THAT(metrics, HasSubstr("grpccommon_log_dropped_lines_total 0"));

  const std::vector<SpanData> spans = spans_->spans();
  ASSERT_EQ(spans.size(), 2u);
  EXPECT_EQ(spans[0].name, "guarded.v1.GuardedService/Known");
}

TEST_F(ChainTest, AContractThatNobodyCouldMeetStopsTheServer) {
  auto server = *Server::Create(
      {.name = "open", .grpc_address = "127.0.0.1:0", .log_sink = log_});
  server->Add<GuardedService>(service_);
  EXPECT_THAT(server->Start(),
              AllOf(StatusIs(absl::StatusCode::kInvalidArgument),
                    MessageIs(HasSubstr("asks for a credential"))));
}

}  // namespace
}  // namespace grpccommon
