// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/health/health_service.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "grpc/health/v1/health.grpc.pb.h"

namespace grpccommon {
namespace {

namespace proto = grpc::health::v1;
using namespace std::chrono_literals;

class HealthServiceTest : public ::testing::Test {
 protected:
  using Reader =
      std::unique_ptr<grpc::ClientReader<proto::HealthCheckResponse>>;

  HealthServiceTest() { Start({}); }
  ~HealthServiceTest() override { Stop(); }

  void Start(const HealthServiceOptions& options) {
    Stop();
    service_.reset();
    registry_ = std::make_unique<HealthRegistry>();
    service_ = *HealthService::Create(*registry_, options);
    grpc::ServerBuilder builder;
    builder.RegisterService(&service_->service());
    // A socket, for gRPC 1.51 crashes on an in-process channel that is used
    // when its server has gone, as a test here does.
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port);
    server_ = builder.BuildAndStart();
    stub_ = proto::Health::NewStub(
        grpc::CreateChannel("127.0.0.1:" + std::to_string(port),
                            grpc::InsecureChannelCredentials()));
  }

  void Stop() {
    if (server_ == nullptr) return;
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
    server_.reset();
  }

  // Every call of a test ends, also when it fails.
  static void Limit(grpc::ClientContext& context) {
    context.set_deadline(std::chrono::system_clock::now() + 10s);
  }

  grpc::Status Check(const std::string& service,
                     proto::HealthCheckResponse& response) {
    grpc::ClientContext context;
    Limit(context);
    proto::HealthCheckRequest request;
    request.set_service(service);
    return stub_->Check(&context, request, &response);
  }

  Reader Watch(grpc::ClientContext& context, const std::string& service) {
    Limit(context);
    proto::HealthCheckRequest request;
    request.set_service(service);
    return stub_->Watch(&context, request);
  }

  static proto::HealthCheckResponse::ServingStatus Next(const Reader& reader) {
    proto::HealthCheckResponse response;
    EXPECT_TRUE(reader->Read(&response));
    return response.status();
  }

  void WaitForWatches(std::size_t count) {
    while (registry_->watches() != count) std::this_thread::yield();
  }

  std::unique_ptr<HealthRegistry> registry_;
  std::unique_ptr<HealthService> service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<proto::Health::Stub> stub_;
};

TEST_F(HealthServiceTest, ChecksEachService) {
  registry_->SetServing("", ServingStatus::kServing);
  registry_->SetServing("a", ServingStatus::kNotServing);
  proto::HealthCheckResponse response;
  ASSERT_TRUE(Check("", response).ok());
  EXPECT_EQ(response.status(), proto::HealthCheckResponse::SERVING);
  ASSERT_TRUE(Check("a", response).ok());
  EXPECT_EQ(response.status(), proto::HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(Check("b", response).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(HealthServiceTest, ListsUpToAHundredServices) {
  for (std::size_t i = 1; i < kMaxListedServices; ++i) {
    registry_->SetServing("s" + std::to_string(i), ServingStatus::kServing);
  }
  {
    grpc::ClientContext context;
    Limit(context);
    proto::HealthListResponse response;
    ASSERT_TRUE(stub_->List(&context, {}, &response).ok());
    EXPECT_EQ(response.statuses_size(), 100);
    EXPECT_EQ(response.statuses().at("").status(),
              proto::HealthCheckResponse::NOT_SERVING);
    EXPECT_EQ(response.statuses().at("s99").status(),
              proto::HealthCheckResponse::SERVING);
  }
  registry_->SetServing("one more", ServingStatus::kServing);
  grpc::ClientContext context;
  Limit(context);
  proto::HealthListResponse response;
  EXPECT_EQ(stub_->List(&context, {}, &response).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(HealthServiceTest, AWatchTellsTheStatusAtOnceAndThenItsChanges) {
  registry_->SetServing("a", ServingStatus::kServing);
  grpc::ClientContext context;
  const Reader reader = Watch(context, "a");
  EXPECT_EQ(Next(reader), proto::HealthCheckResponse::SERVING);
  registry_->SetServing("a", ServingStatus::kNotServing);
  EXPECT_EQ(Next(reader), proto::HealthCheckResponse::NOT_SERVING);
  registry_->SetServing("a", ServingStatus::kServing);
  EXPECT_EQ(Next(reader), proto::HealthCheckResponse::SERVING);
  registry_->Shutdown();
  EXPECT_EQ(Next(reader), proto::HealthCheckResponse::NOT_SERVING);
  context.TryCancel();
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  WaitForWatches(0);
}

TEST_F(HealthServiceTest, AWatchOfAnUnknownServiceWaitsForIt) {
  grpc::ClientContext context;
  const Reader reader = Watch(context, "later");
  EXPECT_EQ(Next(reader), proto::HealthCheckResponse::SERVICE_UNKNOWN);
  registry_->SetServing("later", ServingStatus::kServing);
  EXPECT_EQ(Next(reader), proto::HealthCheckResponse::SERVING);
  context.TryCancel();
}

TEST_F(HealthServiceTest, RefusesARequestThatIsTooLargeToKeep) {
  grpc::ClientContext first;
  const Reader reader = Watch(first, std::string(1000, 'x'));
  EXPECT_EQ(Next(reader), proto::HealthCheckResponse::SERVICE_UNKNOWN);
  first.TryCancel();
  grpc::ClientContext second;
  EXPECT_EQ(Watch(second, std::string(1100, 'x'))->Finish().error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(HealthServiceTest, OfManyChangesASlowWatcherSeesTheLatest) {
  registry_->SetServing("a", ServingStatus::kServing);
  grpc::ClientContext context;
  const Reader reader = Watch(context, "a");
  WaitForWatches(1);
  constexpr int kChanges = 20000;
  for (int i = 0; i < kChanges; ++i) {
    registry_->SetServing(
        "a", i % 2 ? ServingStatus::kServing : ServingStatus::kNotServing);
  }
  registry_->SetServing("a", ServingStatus::kUnknown);
  // The last one comes, after fewer than there were, and never one twice.
  int messages = 0;
  auto last = proto::HealthCheckResponse::SERVICE_UNKNOWN;
  while (last != proto::HealthCheckResponse::UNKNOWN) {
    const auto next = Next(reader);
    ASSERT_NE(next, last);
    last = next;
    ++messages;
  }
  EXPECT_LT(messages, kChanges);
  context.TryCancel();
}

TEST_F(HealthServiceTest, RefusesMoreWatchesThanTheLimit) {
  Start({.max_watches = 1});
  grpc::ClientContext first_context;
  const Reader first = Watch(first_context, "");
  EXPECT_EQ(Next(first), proto::HealthCheckResponse::NOT_SERVING);
  {
    grpc::ClientContext context;
    EXPECT_EQ(Watch(context, "")->Finish().error_code(),
              grpc::StatusCode::RESOURCE_EXHAUSTED);
  }
  first_context.TryCancel();
  first->Finish();
  WaitForWatches(0);
  grpc::ClientContext context;
  const Reader second = Watch(context, "");
  EXPECT_EQ(Next(second), proto::HealthCheckResponse::NOT_SERVING);
  context.TryCancel();
}

TEST_F(HealthServiceTest, ThoseOfTheProcessAreNotAmongThem) {
  Start({.max_watches = 1});
  const auto own = registry_->Watch("a", [] {});
  grpc::ClientContext context;
  const Reader reader = Watch(context, "");
  EXPECT_EQ(Next(reader), proto::HealthCheckResponse::NOT_SERVING);
  context.TryCancel();
}

TEST_F(HealthServiceTest, RefusesALimitThatServesNobody) {
  EXPECT_EQ(
      HealthService::Create(*registry_, {.max_watches = 0}).status().code(),
      absl::StatusCode::kInvalidArgument);
}

TEST_F(HealthServiceTest, EndsWatchesSoThatAServerCanDrain) {
  registry_->SetServing("", ServingStatus::kServing);
  grpc::ClientContext context;
  const Reader reader = Watch(context, "");
  EXPECT_EQ(Next(reader), proto::HealthCheckResponse::SERVING);
  registry_->Shutdown();
  EXPECT_EQ(Next(reader), proto::HealthCheckResponse::NOT_SERVING);
  service_->EndWatches();
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  grpc::ClientContext late;
  EXPECT_EQ(Watch(late, "")->Finish().error_code(),
            grpc::StatusCode::UNAVAILABLE);
  // Would wait for an open watch.
  server_->Shutdown(std::chrono::system_clock::now() + 60s);
}

TEST_F(HealthServiceTest, AServerMayEndWithWatchesOpen) {
  grpc::ClientContext context;
  const Reader reader = Watch(context, "");
  EXPECT_EQ(Next(reader), proto::HealthCheckResponse::NOT_SERVING);
  Stop();
  EXPECT_FALSE(reader->Finish().ok());
  EXPECT_EQ(registry_->watches(), 0u);
}

TEST_F(HealthServiceTest, SurvivesCancelsChangesAndTheEndAllAtOnce) {
  for (int round = 0; round < 5; ++round) {
    Start({});
    std::atomic<bool> stop = false;
    std::thread changer([&] {
      for (int i = 0; !stop; ++i) {
        registry_->SetServing(
            "a", i % 2 ? ServingStatus::kServing : ServingStatus::kNotServing);
      }
    });
    std::vector<std::thread> watchers;
    for (int w = 0; w < 4; ++w) {
      watchers.emplace_back([&, w] {
        for (int i = 0; i < 25; ++i) {
          grpc::ClientContext context;
          const Reader reader = Watch(context, "a");
          proto::HealthCheckResponse response;
          for (int read = 0; read < w * 5 && reader->Read(&response); ++read) {
          }
          context.TryCancel();
          reader->Finish();
        }
      });
    }
    if (round % 2 == 0) {
      service_->EndWatches();
      Stop();
    }
    for (std::thread& watcher : watchers) watcher.join();
    stop = true;
    changer.join();
    WaitForWatches(0);
  }
}

}  // namespace
}  // namespace grpccommon
