// SPDX-License-Identifier: Apache-2.0
// Against a real etcd, with time as it is: what it does is what counts.
#include "grpccommon/registry/etcd_registry.h"

#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "grpccommon/base/mutex.h"
#include "grpccommon/etcd/v1/etcd.pb.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/testing/recording_log_sink.h"
#include "grpccommon/testing/status_matchers.h"
#include "registry/fake_registry_service.h"
#include "registry/unary_call.h"
#include "support/delay_proxy.h"
#include "support/etcd_process.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using ::grpccommon::testing::IsOk;
using ::grpccommon::testing::RecordingLogSink;
using ::grpccommon::testing::StatusIs;
using test::DelayProxy;
using test::EtcdProcess;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
namespace v1 = etcd::v1;

class Seen {
 public:
  Registry::OnChange Record() {
    return [this](const InstanceSet& set) {
      const MutexLock lock(mutex_);
      last_ = set;
      ++count_;
      told_.NotifyAll();
    };
  }
  // Waits until the watcher was told so.
  bool WaitUntil(const std::function<bool(const InstanceSet&)>& holds) {
    const auto deadline = std::chrono::steady_clock::now() + 40s;
    const MutexLock lock(mutex_);
    while (count_ == 0 || !holds(last_)) {
      if (!told_.WaitUntil(mutex_, deadline)) return false;
    }
    return true;
  }
  bool WaitFor(const std::vector<std::string>& addresses, bool ok = true) {
    return WaitUntil([&](const InstanceSet& set) {
      std::vector<std::string> there;
      for (const Instance& instance : set.instances) {
        there.push_back(instance.address);
      }
      return there == addresses && set.status.ok() == ok;
    });
  }
  InstanceSet last() const {
    const MutexLock lock(mutex_);
    return last_;
  }

 private:
  mutable Mutex mutex_;
  CondVar told_;
  InstanceSet last_ ABSL_GUARDED_BY(mutex_);
  int count_ ABSL_GUARDED_BY(mutex_) = 0;
};

class EtcdRegistryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!EtcdProcess::Available()) GTEST_SKIP() << "etcd is not installed";
    etcd_.emplace();
  }

  EtcdRegistryOptions Options() const { return Options({etcd_->address()}); }
  static EtcdRegistryOptions Options(std::vector<std::string> addresses) {
    return {.connection = {.addresses = std::move(addresses),
                           .call_timeout = 2s,
                           .reconnect_initial = 50ms,
                           .reconnect_maximum = 500ms}};
  }
  std::unique_ptr<EtcdRegistry> Connect() { return Connect(Options()); }
  std::unique_ptr<EtcdRegistry> Connect(EtcdRegistryOptions options) {
    // The first address first.
    return *EtcdRegistry::Create(std::move(options), *scheduler_,
                                 Logger(log_, "test"), SteadyClock(),
                                 [] { return 0.2; });
  }

  // Any method; messages are told apart by field numbers only, so one with the
  // same fields serves where ours has none.
  template <typename Response, typename Request>
  absl::StatusOr<Response> Raw(const char* method, const Request& request,
                               const std::string& token = "") {
    grpc::TemplatedGenericStub<Request, Response> stub(grpc::CreateChannel(
        etcd_->address(), grpc::InsecureChannelCredentials()));
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    context.set_deadline(std::chrono::system_clock::now() + 30s);
    if (!token.empty()) context.AddMetadata("token", token);
    Response response;
    std::promise<grpc::Status> done;
    stub.UnaryCall(
        &context, method, grpc::StubOptions(), &request, &response,
        [&done](grpc::Status status) { done.set_value(std::move(status)); });
    const grpc::Status status = done.get_future().get();
    if (!status.ok()) return FromGrpcStatus(status);
    return response;
  }
  std::int64_t Put(const std::string& key, const std::string& value) {
    v1::PutRequest request;
    request.set_key(key);
    request.set_value(value);
    const auto response = Raw<v1::PutResponse>("/etcdserverpb.KV/Put", request);
    EXPECT_THAT(response, IsOk());
    return response.ok() ? response->header().revision() : 0;
  }
  std::int64_t PutInstance(const std::string& service,
                           const std::string& address) {
    return Put("/grpccommon/registry/" + service + "/" + address,
               "{\"address\":\"" + address + "\"}");
  }

  const std::unique_ptr<Scheduler> scheduler_ = CreateScheduler();
  std::shared_ptr<RecordingLogSink> log_ = std::make_shared<RecordingLogSink>();
  std::optional<EtcdProcess> etcd_;
  Seen seen_;
};

TEST_F(EtcdRegistryTest, TellsOthersOfAnInstanceOfItsChangeAndItsEnd) {
  const auto here = Connect();
  const auto there = Connect();
  const auto watch = *there->Watch("s", seen_.Record());
  ASSERT_TRUE(seen_.WaitFor({}));
  auto registration = *here->Register("s", {.address = "unix:/run/s",
                                            .weight = 2,
                                            .zone = "z",
                                            .version = "1",
                                            .metadata = {{"k", "ü"}}});
  ASSERT_THAT(registration->WaitRegistered(20s), IsOk());
  ASSERT_TRUE(seen_.WaitFor({"unix:/run/s"}));
  Instance instance = seen_.last().instances[0];
  EXPECT_EQ(instance, (Instance{.address = "unix:/run/s",
                                .weight = 2,
                                .zone = "z",
                                .version = "1",
                                .metadata = {{"k", "ü"}}}));
  instance.healthy = false;
  ASSERT_THAT(registration->Update(instance), IsOk());
  ASSERT_TRUE(seen_.WaitUntil([](const InstanceSet& set) {
    return set.instances.size() == 1 && !set.instances[0].healthy;
  }));
  const auto begin = std::chrono::steady_clock::now();
  registration.reset();
  ASSERT_TRUE(seen_.WaitFor({}));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);  // not by its lease
}

TEST_F(EtcdRegistryTest, AnInstanceEndsWithItsLeaseAndNotBefore) {
  const auto registry = Connect();
  const auto watch = *registry->Watch("s", seen_.Record());
  // One that is renewed, and one that is not.
  const auto kept = *registry->Register("s", {.address = "b:1"}, {.ttl = 1s});
  std::promise<absl::StatusOr<LeaseBackend::Granted>> promise;
  registry->leases().Register("s", {.address = "a:1"}, 1s, [&](auto granted) {
    promise.set_value(std::move(granted));
  });
  const auto granted = promise.get_future().get();
  ASSERT_THAT(granted, IsOk());
  EXPECT_EQ(granted->ttl, 2s);  // etcd's least
  ASSERT_TRUE(seen_.WaitFor({"a:1", "b:1"}));
  ASSERT_TRUE(seen_.WaitFor({"b:1"}));
  EXPECT_THAT(kept->WaitRegistered(0s), IsOk());
  std::promise<absl::Status> renewed;
  registry->leases().Renew("s", granted->lease_id, [&](absl::Status status) {
    renewed.set_value(std::move(status));
  });
  EXPECT_THAT(renewed.get_future().get(),
              StatusIs(absl::StatusCode::kNotFound));
  for (const char* const nonsense : {"", "xyz", "-1", "0", "1 "}) {
    std::promise<absl::Status> refused;
    registry->leases().Renew("s", nonsense, [&](absl::Status status) {
      refused.set_value(std::move(status));
    });
    EXPECT_THAT(refused.get_future().get(),
                StatusIs(absl::StatusCode::kNotFound))
        << nonsense;
  }
}

TEST_F(EtcdRegistryTest, LeavesAloneWhatSomebodyElseHasWritten) {
  const auto old_process = Connect();
  const auto new_process = Connect();
  const auto watch = *new_process->Watch("s", seen_.Record());
  auto before = *old_process->Register("s", {.address = "a:1", .weight = 1});
  ASSERT_THAT(before->WaitRegistered(20s), IsOk());
  const auto after =
      *new_process->Register("s", {.address = "a:1", .weight = 2});
  ASSERT_THAT(after->WaitRegistered(20s), IsOk());
  before.reset();  // revokes its lease
  const auto marker = *old_process->Register("s", {.address = "b:1"});
  ASSERT_TRUE(seen_.WaitFor({"a:1", "b:1"}));
  EXPECT_EQ(seen_.last().instances[0].weight, 2);
}

TEST_F(EtcdRegistryTest, KeepsWhatItKnowsOverARestart) {
  const auto registry = Connect();
  const auto watch = *registry->Watch("s", seen_.Record());
  auto registration =
      *registry->Register("s", {.address = "a:1"}, {.ttl = 60s});
  ASSERT_TRUE(seen_.WaitFor({"a:1"}));
  etcd_->Kill();
  ASSERT_TRUE(seen_.WaitFor({"a:1"}, /*ok=*/false));
  etcd_->Start();
  ASSERT_TRUE(seen_.WaitFor({"a:1"}));
  // Goes on: new changes come.
  const auto other = *registry->Register("s", {.address = "b:1"});
  ASSERT_TRUE(seen_.WaitFor({"a:1", "b:1"}));
  registration.reset();
  ASSERT_TRUE(seen_.WaitFor({"b:1"}));
}

TEST_F(EtcdRegistryTest, ComesBackToAnEtcdThatHasLostEverything) {
  for (int i = 0; i < 20; ++i) PutInstance("filler", "f:1");
  const auto registry = Connect();
  const auto watch = *registry->Watch("s", seen_.Record());
  PutInstance("s", "gone:1");
  const auto registration =
      *registry->Register("s", {.address = "a:1"}, {.ttl = 3s});
  ASSERT_TRUE(seen_.WaitFor({"a:1", "gone:1"}));
  etcd_->Kill();
  ASSERT_TRUE(seen_.WaitFor({"a:1", "gone:1"}, /*ok=*/false));
  etcd_->Wipe();
  etcd_->Start();  // at revision 1
  ASSERT_TRUE(seen_.WaitFor({"a:1"}));
  PutInstance("s", "b:1");
  ASSERT_TRUE(seen_.WaitFor({"a:1", "b:1"}));
}

TEST_F(EtcdRegistryTest, ReadsAnewWhatWasCompactedMeanwhile) {
  DelayProxy proxy(etcd_->port());
  const auto registry = Connect(Options({proxy.address()}));
  const auto watch = *registry->Watch("s", seen_.Record());
  PutInstance("s", "a:1");
  PutInstance("s", "b:1");
  ASSERT_TRUE(seen_.WaitFor({"a:1", "b:1"}));
  proxy.SetRefuse(true);
  proxy.Reset();
  ASSERT_TRUE(seen_.WaitFor({"a:1", "b:1"}, /*ok=*/false));
  v1::RangeRequest doomed;  // as DeleteRangeRequest
  doomed.set_key("/grpccommon/registry/s/a:1");
  ASSERT_THAT(Raw<v1::PutResponse>("/etcdserverpb.KV/DeleteRange", doomed),
              IsOk());
  PutInstance("s", "c:1");
  v1::LeaseRevokeRequest compact;  // as CompactionRequest
  compact.set_id(PutInstance("other", "x:1"));
  ASSERT_THAT(Raw<v1::PutResponse>("/etcdserverpb.KV/Compact", compact),
              IsOk());
  proxy.SetRefuse(false);
  ASSERT_TRUE(seen_.WaitFor({"b:1", "c:1"}));
  PutInstance("s", "d:1");
  ASSERT_TRUE(seen_.WaitFor({"b:1", "c:1", "d:1"}));
}

TEST_F(EtcdRegistryTest, ResumesAfterALostConnection) {
  DelayProxy proxy(etcd_->port());
  const auto registry = Connect(Options({proxy.address()}));
  const auto watch = *registry->Watch("s", seen_.Record());
  PutInstance("s", "a:1");
  ASSERT_TRUE(seen_.WaitFor({"a:1"}));
  proxy.SetRefuse(true);
  proxy.Reset();
  ASSERT_TRUE(seen_.WaitFor({"a:1"}, /*ok=*/false));
  PutInstance("s", "b:1");
  proxy.SetRefuse(false);
  ASSERT_TRUE(seen_.WaitFor({"a:1", "b:1"}));
}

TEST_F(EtcdRegistryTest, FindsTheMemberThatWorks) {
  test::FakeRegistryService no_etcd;  // speaks gRPC, knows none of the methods
  DelayProxy refuses(etcd_->port());
  refuses.SetRefuse(true);
  DelayProxy hole(etcd_->port());
  hole.SetBlackHole(true);
  EtcdRegistryOptions options = Options(
      {no_etcd.address(), refuses.address(), hole.address(), etcd_->address()});
  options.connection.call_timeout = 500ms;
  const auto registry = Connect(options);
  const auto watch = *registry->Watch("s", seen_.Record());
  const auto registration = *registry->Register("s", {.address = "a:1"});
  ASSERT_TRUE(seen_.WaitFor({"a:1"}));
  EXPECT_THAT(log_->text(), HasSubstr("the registry does not answer"));
}

TEST_F(EtcdRegistryTest, BearsSlowAnswersAndGivesUpTooSlowOnes) {
  DelayProxy proxy(etcd_->port());
  proxy.SetDelay(50ms);
  EtcdRegistryOptions options = Options({proxy.address()});
  options.connection.call_timeout = 3s;
  const auto registry = Connect(options);
  const auto watch = *registry->Watch("s", seen_.Record());
  const auto slow = *registry->Register("s", {.address = "a:1"});
  ASSERT_TRUE(seen_.WaitFor({"a:1"}));
  proxy.SetDelay(8s);
  const auto too_slow = *registry->Register("s", {.address = "b:1"});
  EXPECT_THAT(too_slow->WaitRegistered(20s),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  proxy.SetDelay(0s);
  ASSERT_TRUE(seen_.WaitFor({"a:1", "b:1"}));
}

TEST_F(EtcdRegistryTest, LeavesOutKeysThatAreNoInstances) {
  const auto registry = Connect();
  const std::string prefix = "/grpccommon/registry/s/";
  PutInstance("s", "good:1");
  PutInstance("s2", "other:1");
  PutInstance("s.t", "other:1");
  Put(prefix + "empty:1", "");
  Put(prefix + "text:1", "hello");
  Put(prefix + "number:1", "5");
  Put(prefix + "array:1", "[]");
  Put(prefix + "binary:1", std::string("\xff\x00\x80", 3));
  Put(prefix + "other:1", "{\"address\":\"elsewhere:1\"}");
  Put(prefix + "weight:1", "{\"address\":\"weight:1\",\"weight\":\"NaN\"}");
  Put(prefix + "deep:1", std::string(60'000, '['));
  Put(prefix + "huge:1",
      "{\"address\":\"huge:1\",\"x\":\"" + std::string(70'000, 'x') + "\"}");
  Put(prefix + "new:1",
      "{\"address\":\"new:1\",\"from_the_future\":{\"a\":1}}");
  Put(prefix, "{\"address\":\"\"}");
  Put(prefix + "not an address", "{\"address\":\"not an address\"}");
  const auto watch = *registry->Watch("s", seen_.Record());
  ASSERT_TRUE(seen_.WaitFor({"good:1", "new:1"}));
  EXPECT_THAT(log_->text(), HasSubstr("no instance"));
  // As they come, too; what was known stays.
  Put(prefix + "bad:1", "{");
  Put(prefix + "good:1", "{");
  PutInstance("s", "last:1");
  ASSERT_TRUE(seen_.WaitFor({"good:1", "last:1", "new:1"}));
  std::promise<absl::StatusOr<std::vector<Instance>>> found;
  registry->leases().Lookup(
      "s", [&](auto instances) { found.set_value(std::move(instances)); });
  const auto instances = found.get_future().get();
  ASSERT_THAT(instances, IsOk());
  EXPECT_THAT(*instances, SizeIs(2));  // it cannot know what was
}

TEST_F(EtcdRegistryTest, ReadsMoreThanFitsIntoOneAnswer) {
  constexpr int kCount = 4500;
  const auto channel =
      grpc::CreateChannel(etcd_->address(), grpc::InsecureChannelCredentials());
  grpc::TemplatedGenericStub<v1::PutRequest, v1::PutResponse> stub(channel);
  struct Running {
    grpc::ClientContext context;
    v1::PutRequest request;
    v1::PutResponse response;
    std::promise<bool> done;
  };
  std::vector<std::unique_ptr<Running>> puts;
  for (int i = 0; i < kCount; ++i) {
    auto put = std::make_unique<Running>();
    const std::string address = "h" + std::to_string(i) + ":1";
    put->request.set_key("/grpccommon/registry/s/" + address);
    put->request.set_value("{\"address\":\"" + address + "\"}");
    Running* const running = put.get();
    stub.UnaryCall(&put->context, "/etcdserverpb.KV/Put", grpc::StubOptions(),
                   &put->request, &put->response,
                   [running](const grpc::Status& status) {
                     running->done.set_value(status.ok());
                   });
    puts.push_back(std::move(put));
    // etcd refuses more than so many at a time.
    if (i >= 1000) {
      ASSERT_TRUE(
          puts[static_cast<std::size_t>(i) - 1000]->done.get_future().get());
    }
  }
  for (std::size_t i = kCount - 1000; i < kCount; ++i) {
    ASSERT_TRUE(puts[i]->done.get_future().get());
  }
  const auto registry = Connect();
  const auto begin = std::chrono::steady_clock::now();
  const auto watch = *registry->Watch("s", seen_.Record());
  ASSERT_TRUE(seen_.WaitUntil(
      [](const InstanceSet& set) { return set.instances.size() == kCount; }));
  RecordProperty(
      "list_4500_ms",
      static_cast<int>((std::chrono::steady_clock::now() - begin) / 1ms));
}

TEST_F(EtcdRegistryTest, ListsServicesInTheOrderOfTheirNames) {
  const auto registry = Connect();
  // Their keys are in another order.
  for (const char* const service : {"a", "a.b", "a-b", "b", "ab"}) {
    PutInstance(service, "x:1");
  }
  PutInstance("a.b", "y:1");
  const auto list = [&](const char* prefix, const char* after,
                        std::size_t limit) {
    std::promise<std::vector<std::string>> names;
    registry->leases().List(prefix, after, limit, [&](auto summaries) {
      std::vector<std::string> found;
      for (const auto& summary : *summaries) {
        found.push_back(summary.service + std::to_string(summary.instances));
      }
      names.set_value(found);
    });
    return names.get_future().get();
  };
  EXPECT_THAT(list("", "", 10), ElementsAre("a1", "a-b1", "a.b2", "ab1", "b1"));
  EXPECT_THAT(list("", "", 2), ElementsAre("a1", "a-b1"));
  EXPECT_THAT(list("", "a-b", 2), ElementsAre("a.b2", "ab1"));
  EXPECT_THAT(list("a.", "", 10), ElementsAre("a.b2"));
  EXPECT_THAT(list("x", "", 10), IsEmpty());
}

TEST_F(EtcdRegistryTest, SaysWhoItIsAndDoesSoAgainAfterARestart) {
  v1::AuthenticateRequest user;  // as UserAdd, RoleAdd, UserGrantRole
  user.set_name("root");
  user.set_password("secret");
  ASSERT_THAT(Raw<v1::PutResponse>("/etcdserverpb.Auth/UserAdd", user), IsOk());
  user.clear_password();
  ASSERT_THAT(Raw<v1::PutResponse>("/etcdserverpb.Auth/RoleAdd", user), IsOk());
  user.set_password("root");
  ASSERT_THAT(Raw<v1::PutResponse>("/etcdserverpb.Auth/UserGrantRole", user),
              IsOk());
  ASSERT_THAT(Raw<v1::PutResponse>("/etcdserverpb.Auth/AuthEnable",
                                   v1::WatchProgressRequest()),
              IsOk());
  EtcdRegistryOptions options = Options();
  options.user = "root";
  options.password = "wrong";
  options.password_in_plaintext = true;
  {
    const auto registry = Connect(options);
    const auto registration = *registry->Register("s", {.address = "a:1"});
    EXPECT_THAT(registration->WaitRegistered(20s),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
  options.password = "secret";
  const auto registry = Connect(options);
  const auto watch = *registry->Watch("s", seen_.Record());
  // A lease that outlives the restart: nothing is to be written after it.
  const auto registration =
      *registry->Register("s", {.address = "a:1"}, {.ttl = 60s});
  ASSERT_TRUE(seen_.WaitFor({"a:1"}));
  etcd_->Kill();
  ASSERT_TRUE(seen_.WaitFor({"a:1"}, /*ok=*/false));
  etcd_->Start();  // knows no token any more
  ASSERT_TRUE(seen_.WaitFor({"a:1"}));
  const auto other = *registry->Register("s", {.address = "b:1"});
  ASSERT_TRUE(seen_.WaitFor({"a:1", "b:1"}));
  EXPECT_THAT(log_->text(), Not(HasSubstr("secret")));
}

TEST_F(EtcdRegistryTest, RefusesOptionsOutOfRange) {
  const auto code = [this](auto change) {
    EtcdRegistryOptions options = Options();
    change(options);
    return EtcdRegistry::Create(options, *scheduler_).status().code();
  };
  EXPECT_EQ(code([](auto&) {}), absl::StatusCode::kOk);
  EXPECT_EQ(code([](auto& o) { o.connection.addresses.clear(); }),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code([](auto& o) { o.prefix = ""; }),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code([](auto& o) { o.prefix = "a\n"; }),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code([](auto& o) { o.user = "u"; }),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace grpccommon
