// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/health/health_client.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <deque>
#include <future>
#include <thread>

#include "grpccommon/base/mutex.h"
#include "grpccommon/health/health_registry.h"
#include "grpccommon/health/health_service.h"
#include "grpccommon/testing/certificates.h"
#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/testing/status_matchers.h"
#include "health/scripted_health_server.h"

namespace grpccommon {
namespace {

using test::HealthAnswer;
using test::HealthScript;
using test::ScriptedHealthServer;
using ::testing::AllOf;
using testing::FakeClock;
using testing::FakeScheduler;
using ::testing::HasSubstr;
using testing::IsOkAndHolds;
using testing::MessageIs;
using testing::StatusIs;
using namespace std::chrono_literals;

// A process that says how it is, by this library.
class RealServer {
 public:
  explicit RealServer(const std::string& address = "127.0.0.1:0") {
    grpc::ServerBuilder builder;
    builder.RegisterService(&service_->service());
    int port = 0;
    builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port);
    server_ = builder.BuildAndStart();
    address_ = port > 1 ? "127.0.0.1:" + std::to_string(port) : address;
  }
  ~RealServer() {
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
  }
  HealthRegistry& registry() { return registry_; }
  HealthService& service() { return *service_; }
  const std::string& address() const { return address_; }
  void WaitForWatches(std::size_t count) {
    while (registry_.watches() != count) std::this_thread::yield();
  }

 private:
  HealthRegistry registry_;
  const std::unique_ptr<HealthService> service_ =
      *HealthService::Create(registry_);
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

// A channel of its own, which is quick to connect again.
std::shared_ptr<grpc::Channel> ChannelTo(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 20);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(),
                                   arguments);
}

// Takes states as they come, and gives them out in order.
class States {
 public:
  HealthWatch::OnChange taker() {
    return [this](HealthState state) { Take(state); };
  }
  void Take(HealthState state) {
    const MutexLock lock(mutex_);
    states_.push_back(state);
    arrived_.NotifyAll();
  }
  // Blocks for at most ten seconds; none by then is a failure.
  HealthState Next() {
    const auto end = std::chrono::steady_clock::now() + 10s;
    const MutexLock lock(mutex_);
    while (states_.empty()) {
      if (!arrived_.WaitUntil(mutex_, end) && states_.empty()) {
        ADD_FAILURE() << "no further state came";
        return HealthState::kUnknown;
      }
    }
    const HealthState next = states_.front();
    states_.pop_front();
    return next;
  }
  bool empty() const {
    const MutexLock lock(mutex_);
    return states_.empty();
  }

 private:
  mutable Mutex mutex_;
  CondVar arrived_;
  std::deque<HealthState> states_ ABSL_GUARDED_BY(mutex_);
};

// ------------------------------------------------------------------- check
TEST(HealthClientTest, SaysWhatEachServiceSaysOfItself) {
  RealServer server;
  server.registry().SetServing("", ServingStatus::kServing);
  server.registry().SetServing("a", ServingStatus::kNotServing);
  server.registry().SetServing("b", ServingStatus::kUnknown);
  const HealthClient client(ChannelTo(server.address()));
  EXPECT_THAT(client.Check("", 10s), IsOkAndHolds(ServingStatus::kServing));
  EXPECT_THAT(client.Check("a", 10s), IsOkAndHolds(ServingStatus::kNotServing));
  EXPECT_THAT(client.Check("b", 10s), IsOkAndHolds(ServingStatus::kUnknown));
  EXPECT_THAT(client.Check("nobody", 10s),
              IsOkAndHolds(ServingStatus::kServiceUnknown));
}

TEST(HealthClientTest, SaysThatThereIsNoHealthService) {
  // Knows no method at all.
  grpc::CallbackGenericService other;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                           &port);
  builder.RegisterCallbackGenericService(&other);
  const auto server = builder.BuildAndStart();
  const HealthClient client(ChannelTo("127.0.0.1:" + std::to_string(port)));
  EXPECT_THAT(client.Check("", 10s),
              StatusIs(absl::StatusCode::kUnimplemented));
}

TEST(HealthClientTest, SaysThatNobodyIsThere) {
  const testing::TemporaryFolder folder;
  const HealthClient client(ChannelTo("unix:" + folder.path() + "/nobody"));
  EXPECT_THAT(client.Check("", 10s), StatusIs(absl::StatusCode::kUnavailable));
}

TEST(HealthClientTest, ReturnsAtItsTimeoutFromAServerThatNeverAnswers) {
  ScriptedHealthServer server({});
  const HealthClient client(ChannelTo(server.address()));
  EXPECT_THAT(client.Check("", 100ms),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
}

TEST(HealthClientTest, TakesAnyTimeout) {
  RealServer server;
  const HealthClient client(ChannelTo(server.address()));
  EXPECT_THAT(client.Check("", std::chrono::nanoseconds::max()),
              IsOkAndHolds(ServingStatus::kNotServing));
  EXPECT_THAT(client.Check("", std::chrono::nanoseconds::min()),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
}

TEST(HealthClientTest, PassesOnWhatTheServerAnswersInstead) {
  ScriptedHealthServer server(
      {.end = grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "not you")});
  const HealthClient client(ChannelTo(server.address()));
  EXPECT_THAT(client.Check("", 10s),
              AllOf(StatusIs(absl::StatusCode::kPermissionDenied),
                    MessageIs("not you")));
}

TEST(HealthClientTest, RefusesAnAnswerThatIsNone) {
  for (const std::string& garbage :
       {std::string("\x08"), std::string("\xff\xff\xff\xff"),
        std::string(101, 'x'), std::string("\x0a\x7f")}) {
    ScriptedHealthServer server(
        {.messages = {garbage}, .end = grpc::Status::OK});
    const HealthClient client(ChannelTo(server.address()));
    EXPECT_THAT(client.Check("", 10s), StatusIs(absl::StatusCode::kDataLoss));
  }
}

TEST(HealthClientTest, AStatusThatIsNotKnownYetIsUnknown) {
  for (const std::string& answer :
       {HealthAnswer(42), HealthAnswer(0), std::string()}) {
    ScriptedHealthServer server(
        {.messages = {answer}, .end = grpc::Status::OK});
    const HealthClient client(ChannelTo(server.address()));
    EXPECT_THAT(client.Check("", 10s), IsOkAndHolds(ServingStatus::kUnknown));
  }
}

TEST(HealthClientTest, SurvivesAPeerThatDoesNotSpeakHttp2) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(listener, 16), 0);
  ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size),
            0);
  std::thread peer([listener] {
    for (int client = accept(listener, nullptr, nullptr); client >= 0;
         client = accept(listener, nullptr, nullptr)) {
      const std::string answer = "HTTP/1.1 400 Bad Request\r\n\r\nnot for you";
      (void)send(client, answer.data(), answer.size(), MSG_NOSIGNAL);
      close(client);
    }
  });
  {
    const HealthClient client(
        ChannelTo("127.0.0.1:" + std::to_string(ntohs(address.sin_port))));
    EXPECT_THAT(client.Check("", 10s),
                StatusIs(absl::StatusCode::kUnavailable));
  }
  shutdown(listener, SHUT_RDWR);
  peer.join();
  close(listener);
}

// ------------------------------------------------------------------- watch
class HealthWatchTest : public ::testing::Test {
 protected:
  // `random` 1 makes each pause as long as it may be.
  std::unique_ptr<HealthWatch> Watch(std::shared_ptr<grpc::Channel> channel,
                                     const std::string& service = "",
                                     HealthWatchOptions options = {},
                                     double random = 1) {
    return std::make_unique<HealthWatch>(std::move(channel), service,
                                         scheduler_, states_.taker(), options,
                                         [random] { return random; });
  }
  void WaitForTasks(std::size_t count) {
    while (scheduler_.pending() != count) std::this_thread::yield();
  }

  FakeClock clock_;
  FakeScheduler scheduler_{clock_};
  States states_;
};

TEST_F(HealthWatchTest, TellsTheFirstStatusAndEachChange) {
  RealServer server;
  server.registry().SetServing("a", ServingStatus::kServing);
  const auto watch = Watch(ChannelTo(server.address()), "a");
  EXPECT_EQ(states_.Next(), HealthState::kServing);
  EXPECT_TRUE(MayServe(watch->state()));
  server.registry().SetServing("a", ServingStatus::kNotServing);
  EXPECT_EQ(states_.Next(), HealthState::kNotServing);
  EXPECT_FALSE(MayServe(watch->state()));
  server.registry().SetServing("a", ServingStatus::kServing);
  EXPECT_EQ(states_.Next(), HealthState::kServing);
  EXPECT_THAT(watch->last_error(), testing::IsOk());
}

TEST_F(HealthWatchTest, PlansNothingWhileNothingChanges) {
  RealServer server;
  server.registry().SetServing("", ServingStatus::kServing);
  const auto watch = Watch(ChannelTo(server.address()));
  EXPECT_EQ(states_.Next(), HealthState::kServing);
  EXPECT_EQ(scheduler_.pending(), 0u);
  clock_.Advance(24h);
  EXPECT_TRUE(states_.empty());
  EXPECT_EQ(server.registry().watches(), 1u);
}

TEST_F(HealthWatchTest, WaitsForAServiceThatIsNotKnownYet) {
  RealServer server;
  const auto watch = Watch(ChannelTo(server.address()), "later");
  EXPECT_EQ(states_.Next(), HealthState::kServiceUnknown);
  EXPECT_FALSE(MayServe(watch->state()));
  server.registry().SetServing("later", ServingStatus::kServing);
  EXPECT_EQ(states_.Next(), HealthState::kServing);
}

TEST_F(HealthWatchTest, AsksAgainWhereTheServerEndsTheWatchWithNotFound) {
  ScriptedHealthServer server(
      {.end = grpc::Status(grpc::StatusCode::NOT_FOUND, "no such service")});
  const auto watch = Watch(ChannelTo(server.address()), "a");
  EXPECT_EQ(states_.Next(), HealthState::kServiceUnknown);
  server.SetScript({.messages = {HealthAnswer(1)}});
  clock_.Advance(1s);
  EXPECT_EQ(states_.Next(), HealthState::kServing);
}

TEST_F(HealthWatchTest, AServerWithoutWatchesServesAndIsNotAskedAgain) {
  ScriptedHealthServer server(
      {.end = grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "what?")});
  const auto watch = Watch(ChannelTo(server.address()));
  EXPECT_EQ(states_.Next(), HealthState::kNotWatchable);
  EXPECT_TRUE(MayServe(watch->state()));
  EXPECT_THAT(watch->last_error(), StatusIs(absl::StatusCode::kUnimplemented));
  clock_.Advance(24h);
  EXPECT_EQ(scheduler_.pending(), 0u);
  EXPECT_EQ(server.calls(), 1);
}

TEST_F(HealthWatchTest, SaysAtOnceThatNobodyIsThereAndAtOnceThatSomebodyIs) {
  const testing::TemporaryFolder folder;
  const std::string address = "unix:" + folder.path() + "/socket";
  const auto watch = Watch(ChannelTo(address));
  EXPECT_EQ(states_.Next(), HealthState::kUnreachable);
  EXPECT_THAT(watch->last_error(), StatusIs(absl::StatusCode::kUnavailable));
  // From here on the watch waits for gRPC to connect: no more than this one
  // step of the scheduler is needed.
  clock_.Advance(1s);
  RealServer server(address);
  EXPECT_EQ(states_.Next(), HealthState::kNotServing);
}

TEST_F(HealthWatchTest, SeesAServerDieAndReturn) {
  const testing::TemporaryFolder folder;
  const std::string address = "unix:" + folder.path() + "/socket";
  auto server = std::make_unique<RealServer>(address);
  server->registry().SetServing("", ServingStatus::kServing);
  const auto watch = Watch(ChannelTo(address));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(states_.Next(), HealthState::kServing);
    server->WaitForWatches(1);
    server.reset();
    EXPECT_EQ(states_.Next(), HealthState::kUnreachable);
    EXPECT_THAT(watch->last_error(), StatusIs(absl::StatusCode::kUnavailable));
    server = std::make_unique<RealServer>(address);
    server->registry().SetServing("", ServingStatus::kServing);
    clock_.Advance(1s);
  }
  EXPECT_EQ(states_.Next(), HealthState::kServing);
}

TEST_F(HealthWatchTest, SeesAServerShutDownInOrder) {
  RealServer server;
  server.registry().SetServing("", ServingStatus::kServing);
  const auto watch = Watch(ChannelTo(server.address()));
  EXPECT_EQ(states_.Next(), HealthState::kServing);
  server.registry().Shutdown();
  EXPECT_EQ(states_.Next(), HealthState::kNotServing);
  server.service().EndWatches();
  EXPECT_EQ(states_.Next(), HealthState::kUnreachable);
}

TEST_F(HealthWatchTest, PausesLongerAfterEachAttemptThatBringsNoAnswer) {
  ScriptedHealthServer server(
      {.end = grpc::Status(grpc::StatusCode::UNAVAILABLE, "not now")});
  const auto watch = Watch(
      ChannelTo(server.address()), "",
      {.initial_backoff = 1s, .max_backoff = 5s, .first_answer_timeout = 1h},
      0.5);
  EXPECT_EQ(states_.Next(), HealthState::kUnreachable);
  int calls = 1;
  for (const auto pause : {500ms, 1000ms, 2000ms, 2500ms, 2500ms}) {
    WaitForTasks(2);  // the attempt, and what waits for the first answer
    clock_.Advance(pause - 1ns);
    EXPECT_EQ(server.calls(), calls);
    clock_.Advance(1ns);
    while (server.calls() == calls) std::this_thread::yield();
    ++calls;
  }
  EXPECT_TRUE(states_.empty()) << "the same state was told twice";
}

TEST_F(HealthWatchTest, AnAnswerMakesThePauseShortAgain) {
  const HealthScript refuse = {
      .end = grpc::Status(grpc::StatusCode::UNAVAILABLE, "not now")};
  ScriptedHealthServer server(refuse);
  const auto watch = Watch(ChannelTo(server.address()));
  EXPECT_EQ(states_.Next(), HealthState::kUnreachable);
  const auto attempt_after = [&](Clock::Duration pause) {
    const int calls = server.calls();
    clock_.Advance(pause);
    while (server.calls() == calls) std::this_thread::yield();
  };
  WaitForTasks(2);
  attempt_after(1s);
  WaitForTasks(2);
  attempt_after(2s);
  WaitForTasks(2);
  // An answer, and the end at once.
  server.SetScript({.messages = {HealthAnswer(1)}, .end = refuse.end});
  attempt_after(4s);
  EXPECT_EQ(states_.Next(), HealthState::kServing);
  EXPECT_EQ(states_.Next(), HealthState::kUnreachable);
  WaitForTasks(1);
  attempt_after(1s);
}

TEST_F(HealthWatchTest, ThePauseIsJittered) {
  ScriptedHealthServer server(
      {.end = grpc::Status(grpc::StatusCode::UNAVAILABLE, "not now")});
  const auto watch = Watch(ChannelTo(server.address()), "", {}, /*random=*/0);
  EXPECT_EQ(states_.Next(), HealthState::kUnreachable);
  for (int i = 2; i < 5; ++i) {
    WaitForTasks(2);
    clock_.Advance(0ns);
    while (server.calls() < i) std::this_thread::yield();
  }
}

TEST_F(HealthWatchTest, AServerThatNeverAnswersIsUnreachableUntilItDoes) {
  ScriptedHealthServer server({});
  const auto watch =
      Watch(ChannelTo(server.address()), "", {.first_answer_timeout = 10s});
  while (server.open_calls() == 0) std::this_thread::yield();
  clock_.Advance(10s - 1ns);
  EXPECT_EQ(watch->state(), HealthState::kUnknown);
  clock_.Advance(1ns);
  EXPECT_EQ(states_.Next(), HealthState::kUnreachable);
  EXPECT_THAT(watch->last_error(),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  // The stream stayed open.
  server.Send(HealthAnswer(1));
  EXPECT_EQ(states_.Next(), HealthState::kServing);
  EXPECT_EQ(server.calls(), 1);
  EXPECT_EQ(scheduler_.pending(), 0u);
}

TEST_F(HealthWatchTest, AnAnswerThatIsNoneEndsTheStream) {
  ScriptedHealthServer server({.messages = {HealthAnswer(1), "\xff\xff"}});
  const auto watch = Watch(ChannelTo(server.address()));
  EXPECT_EQ(states_.Next(), HealthState::kServing);
  EXPECT_EQ(states_.Next(), HealthState::kUnreachable);
  EXPECT_THAT(watch->last_error(), StatusIs(absl::StatusCode::kDataLoss));
  while (server.open_calls() != 0) std::this_thread::yield();
  server.SetScript({.messages = {HealthAnswer(2)}});
  clock_.Advance(1s);
  EXPECT_EQ(states_.Next(), HealthState::kNotServing);
}

TEST_F(HealthWatchTest, AnAnswerThatIsTooLongEndsTheStream) {
  ScriptedHealthServer server({.messages = {std::string(5 << 20, 'x')}});
  const auto watch = Watch(ChannelTo(server.address()));
  EXPECT_EQ(states_.Next(), HealthState::kUnreachable);
  EXPECT_THAT(watch->last_error(),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST_F(HealthWatchTest, AServerThatEndsAWatchWellIsUnreachableToo) {
  ScriptedHealthServer server({.end = grpc::Status::OK});
  const auto watch = Watch(ChannelTo(server.address()));
  EXPECT_EQ(states_.Next(), HealthState::kUnreachable);
  EXPECT_THAT(watch->last_error(),
              AllOf(StatusIs(absl::StatusCode::kUnavailable),
                    MessageIs(HasSubstr("ended the watch"))));
}

TEST_F(HealthWatchTest, TellsEachStateOnce) {
  ScriptedHealthServer server({.messages = {HealthAnswer(1), HealthAnswer(1),
                                            HealthAnswer(1), HealthAnswer(2)}});
  const auto watch = Watch(ChannelTo(server.address()));
  EXPECT_EQ(states_.Next(), HealthState::kServing);
  EXPECT_EQ(states_.Next(), HealthState::kNotServing);
  EXPECT_TRUE(states_.empty());
}

TEST_F(HealthWatchTest, NothingIsToldAfterItsEnd) {
  RealServer server;
  auto watch = Watch(ChannelTo(server.address()));
  EXPECT_EQ(states_.Next(), HealthState::kNotServing);
  watch.reset();
  server.registry().SetServing("", ServingStatus::kServing);
  server.WaitForWatches(0);
  EXPECT_TRUE(states_.empty());
  EXPECT_EQ(scheduler_.pending(), 0u);
}

TEST_F(HealthWatchTest, EndsInWhateverItIsDoing) {
  ScriptedHealthServer silent({});
  ScriptedHealthServer refusing(
      {.end = grpc::Status(grpc::StatusCode::UNAVAILABLE, "not now")});
  const testing::TemporaryFolder folder;
  // While it connects; while it waits for an answer; in the pause.
  { const auto watch = Watch(ChannelTo(silent.address())); }
  {
    const auto watch = Watch(ChannelTo(silent.address()));
    while (silent.open_calls() == 0) std::this_thread::yield();
  }
  while (silent.open_calls() != 0) std::this_thread::yield();
  {
    const auto watch = Watch(ChannelTo(refusing.address()));
    EXPECT_EQ(states_.Next(), HealthState::kUnreachable);
  }
  EXPECT_EQ(scheduler_.pending(), 0u);
  // While it waits for a connection.
  {
    const auto watch = Watch(ChannelTo("unix:" + folder.path() + "/nobody"));
    EXPECT_EQ(states_.Next(), HealthState::kUnreachable);
    clock_.Advance(1s);
  }
  EXPECT_TRUE(states_.empty());
}

TEST_F(HealthWatchTest, LetsGoOfTheChannelAndTheCallback) {
  RealServer server;
  const auto channel = ChannelTo(server.address());
  const auto captured = std::make_shared<int>(0);
  std::promise<void> told;
  auto watch = std::make_unique<HealthWatch>(
      channel, "", scheduler_,
      [captured, &told](HealthState) { told.set_value(); });
  told.get_future().wait();
  watch.reset();
  EXPECT_EQ(channel.use_count(), 1);
  EXPECT_EQ(captured.use_count(), 1);
}

TEST_F(HealthWatchTest, ItsEndWaitsForACallbackThatRuns) {
  RealServer server;
  std::promise<void> entered;
  std::promise<void> leave;
  std::atomic<bool> left = false;
  auto watch = std::make_unique<HealthWatch>(ChannelTo(server.address()), "",
                                             scheduler_, [&](HealthState) {
                                               entered.set_value();
                                               leave.get_future().wait();
                                               left = true;
                                             });
  entered.get_future().wait();
  std::atomic<bool> destroying = false;
  std::thread destroyer([&] {
    destroying = true;
    watch.reset();
    EXPECT_TRUE(left);
  });
  while (!destroying) std::this_thread::yield();
  server.registry().SetServing("", ServingStatus::kServing);
  leave.set_value();
  destroyer.join();
}

TEST_F(HealthWatchTest, ASlowCallbackGetsTheLatestState) {
  RealServer server;
  server.registry().SetServing("", ServingStatus::kServing);
  std::promise<void> entered;
  std::promise<void> leave;
  std::atomic<int> calls = 0;
  const auto watch = std::make_unique<HealthWatch>(
      ChannelTo(server.address()), "", scheduler_, [&](HealthState state) {
        if (++calls == 1) {
          entered.set_value();
          leave.get_future().wait();
        }
        states_.Take(state);
      });
  entered.get_future().wait();
  // Reading goes on when the callback has returned, from what the server sends
  // then: the latest.
  for (int i = 0; i < 1000; ++i) {
    server.registry().SetServing(
        "", i % 2 ? ServingStatus::kServing : ServingStatus::kNotServing);
  }
  server.registry().SetServing("", ServingStatus::kUnknown);
  leave.set_value();
  HealthState state = states_.Next();
  while (state != HealthState::kUnknown) state = states_.Next();
  EXPECT_LT(calls, 500);
}

TEST_F(HealthWatchTest, ItsOwnCallbackMayEndIt) {
  RealServer server;
  ScriptedHealthServer refusing(
      {.end = grpc::Status(grpc::StatusCode::UNAVAILABLE, "not now")});
  ScriptedHealthServer silent({});
  // From a message, from a stream's end, and from the scheduler.
  for (const std::string& address :
       {server.address(), refusing.address(), silent.address()}) {
    const auto channel = ChannelTo(address);  // outlives the watch
    std::promise<void> ended;
    Mutex mutex;
    std::unique_ptr<HealthWatch> watch;
    {
      const MutexLock lock(mutex);
      watch = std::make_unique<HealthWatch>(channel, "", scheduler_,
                                            [&](HealthState) {
                                              std::unique_ptr<HealthWatch> own;
                                              {
                                                const MutexLock inner(mutex);
                                                own = std::move(watch);
                                              }
                                              own.reset();
                                              ended.set_value();
                                            });
    }
    if (address == silent.address()) {
      while (silent.open_calls() == 0) std::this_thread::yield();
      clock_.Advance(10s);
    }
    ended.get_future().wait();
    while (channel.use_count() > 1) std::this_thread::yield();
    EXPECT_EQ(scheduler_.pending(), 0u);
  }
}

TEST(HealthWatchThreadsTest, WatchesComeAndGoWhileServersDo) {
  const testing::TemporaryFolder folder;
  const std::string address = "unix:" + folder.path() + "/socket";
  const std::unique_ptr<Scheduler> scheduler = CreateScheduler();
  const auto shared = ChannelTo(address);
  std::atomic<bool> stop = false;
  std::thread servers([&] {
    while (!stop) {
      RealServer server(address);
      for (int i = 0; i < 200 && !stop; ++i) {
        server.registry().SetServing(
            "", i % 2 ? ServingStatus::kServing : ServingStatus::kNotServing);
        std::this_thread::yield();
      }
    }
  });
  std::atomic<int> told = 0;
  std::vector<std::thread> watchers;
  for (int t = 0; t < 4; ++t) {
    watchers.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        std::atomic<bool> running = false;
        std::atomic<bool> gone = false;
        {
          const HealthWatch watch(
              t % 2 ? shared : ChannelTo(address), "", *scheduler,
              [&](HealthState) {
                EXPECT_FALSE(running.exchange(true)) << "two at a time";
                EXPECT_FALSE(gone);
                ++told;
                running = false;
              },
              {.initial_backoff = 10ms, .max_backoff = 20ms});
          const int until = told + i % 5;
          while (told < until) std::this_thread::yield();
        }
        gone = true;
      }
    });
  }
  for (std::thread& watcher : watchers) watcher.join();
  stop = true;
  servers.join();
}

TEST(HealthWatchOptionsTest, RefusesWhatIsOutOfRangeByName) {
  EXPECT_THAT(CheckOptions(HealthWatchOptions{}), testing::IsOk());
  const auto expect_refused = [](const HealthWatchOptions& options,
                                 const std::string& name) {
    EXPECT_THAT(CheckOptions(options),
                AllOf(StatusIs(absl::StatusCode::kInvalidArgument),
                      MessageIs(HasSubstr(name))));
  };
  expect_refused({.initial_backoff = 9ms}, "initial_backoff");
  expect_refused({.initial_backoff = 2h, .max_backoff = 2h}, "initial_backoff");
  expect_refused({.initial_backoff = 2s, .max_backoff = 1s}, "max_backoff");
  expect_refused({.max_backoff = 61min}, "max_backoff");
  expect_refused({.first_answer_timeout = 0s}, "first_answer_timeout");
  expect_refused({.first_answer_timeout = 2h}, "first_answer_timeout");
}

TEST(HealthStateTest, EachHasAName) {
  EXPECT_EQ(HealthStateName(HealthState::kUnknown), "unknown");
  EXPECT_EQ(HealthStateName(HealthState::kServing), "serving");
  EXPECT_EQ(HealthStateName(HealthState::kNotServing), "not_serving");
  EXPECT_EQ(HealthStateName(HealthState::kServiceUnknown), "service_unknown");
  EXPECT_EQ(HealthStateName(HealthState::kUnreachable), "unreachable");
  EXPECT_EQ(HealthStateName(HealthState::kNotWatchable), "not_watchable");
}

}  // namespace
}  // namespace grpccommon
