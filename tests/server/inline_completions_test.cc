// SPDX-License-Identifier: Apache-2.0
#include "server/inline_completions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "grpc/grpc.h"
#include "grpccommon/testing/fake_clock.h"
#include "grpcpp/support/callback_common.h"
#include "server/core_call.h"

namespace grpccommon::internal {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using namespace std::chrono_literals;

// A reaction that a test sees.
class Noted : public grpc_completion_queue_functor {
 public:
  explicit Noted(std::function<void()> reaction)
      : grpc_completion_queue_functor{}, reaction_(std::move(reaction)) {
    functor_run = [](grpc_completion_queue_functor* self, int ok) {
      EXPECT_EQ(ok, 1);
      static_cast<Noted*>(self)->reaction_();
    };
  }

 private:
  const std::function<void()> reaction_;
};

// An empty batch is complete when it is started.
void Complete(const grpc::internal::Call& call,
              grpc_completion_queue_functor& tag) {
  EXPECT_EQ(grpc_call_start_batch(call.call(), nullptr, 0, &tag, nullptr),
            GRPC_CALL_OK);
}

// Completes at once, what else gRPC works at before itself.
class FakeOps : public FakeBatch {
 public:
  explicit FakeOps(std::function<void()> reaction)
      : own_(std::move(reaction)) {}
  void FillOps(grpc::internal::Call* call) override {
    if (first) first();
    for (Noted* const other : others) Complete(*call, *other);
    Complete(*call, own_);
  }
  void* core_cq_tag() override { return &own_; }

  std::vector<Noted*> others;
  std::function<void()> first;

 private:
  Noted own_;
};

class InlineCompletionsTest : public ::testing::Test {
 protected:
  InlineCompletionsTest() { HaveACallOnThisThread(core_); }
  // While what a test has left in the queue is there.
  ~InlineCompletionsTest() override { RunQueue(); }

  std::function<void()> Note(std::string what) {
    return [this, what = std::move(what)] { ran_.push_back(what); };
  }
  /// Runs what went gRPC's way.
  void RunQueue() { core_.RunQueue(); }

  CoreCall core_;
  grpc_call* const core_call_ = core_.get();
  grpc::internal::Call call_ = core_.call();
  testing::FakeClock clock_;
  testing::FakeScheduler scheduler_{clock_};
  LongHandlers long_handlers_{clock_, scheduler_};
  std::vector<std::string> ran_;
  FakeOps reply_{Note("reply")};
  FakeOps end_{Note("end")};
};

TEST_F(InlineCompletionsTest, ReactionsAreRunAfterTheHandlerTheEndFirst) {
  {
    InlineCompletions completions(core_call_, long_handlers_);
    completions.HoldBack(end_, call_);
    completions.Start(reply_, call_);
    EXPECT_THAT(ran_, IsEmpty());
    completions.Run();
    EXPECT_THAT(ran_, ElementsAre("end", "reply"));
  }
  RunQueue();
  EXPECT_THAT(ran_, ElementsAre("end", "reply")) << "run twice";
}

TEST_F(InlineCompletionsTest, AHandlerMayWatchForTheEnd) {
  InlineCompletions completions(core_call_, long_handlers_);
  completions.HoldBack(end_, call_);
  completions.Watch();
  EXPECT_THAT(ran_, ElementsAre("end"));
  completions.Start(reply_, call_);
  completions.Run();
  RunQueue();
  EXPECT_THAT(ran_, ElementsAre("end", "reply"));
}

TEST_F(InlineCompletionsTest, AnotherCallsReactionGoesBackToTheQueue) {
  Noted other(Note("other"));
  end_.others = {&other};
  InlineCompletions completions(core_call_, long_handlers_);
  completions.HoldBack(end_, call_);
  completions.Watch();
  EXPECT_THAT(ran_, IsEmpty());
  completions.Start(reply_, call_);
  completions.Run();
  EXPECT_THAT(ran_, ElementsAre("reply"));
  RunQueue();
  EXPECT_THAT(ran_, UnorderedElementsAre("reply", "end", "other"));
}

TEST_F(InlineCompletionsTest, NoOtherCallWaitsForThisThread) {
  Noted first(Note("first"));
  Noted second(Note("second"));
  FakeOps metadata(Note("metadata"));
  metadata.others = {&first};
  reply_.others = {&second};
  InlineCompletions completions(core_call_, long_handlers_);
  completions.Start(metadata, call_);
  completions.Start(reply_, call_);
  // Another thread would, while the handler runs.
  RunQueue();
  EXPECT_THAT(ran_,
              UnorderedElementsAre("metadata", "first", "reply", "second"));
  completions.Run();
  EXPECT_EQ(ran_.size(), 4u);
}

TEST_F(InlineCompletionsTest, AnotherCallsReactionHearsHowItWent) {
  class Failed : public grpc_completion_queue_functor {
   public:
    Failed() : grpc_completion_queue_functor{} {
      functor_run = [](grpc_completion_queue_functor* self, int how) {
        static_cast<Failed*>(self)->ok = how;
      };
    }
    int ok = -1;
  } failed;
  FakeOps metadata(Note("metadata"));
  metadata.first = [&] {
    // A call that was cancelled has nothing more to send.
    grpc_call_cancel(core_call_, nullptr);
    grpc_op send{};
    send.op = GRPC_OP_SEND_INITIAL_METADATA;
    EXPECT_EQ(
        grpc_call_start_batch(
            core_call_, &send, 1,
            static_cast<grpc_completion_queue_functor*>(&failed), nullptr),
        GRPC_CALL_OK);
  };
  InlineCompletions completions(core_call_, long_handlers_);
  completions.Start(metadata, call_);
  EXPECT_EQ(failed.ok, -1);
  RunQueue();
  EXPECT_EQ(failed.ok, 0);
  completions.Run();
}

TEST_F(InlineCompletionsTest, MoreReactionsThanAHandlerHasGoGrpcsWay) {
  std::vector<FakeOps> ops;
  for (int i = 0; i < 5; ++i) ops.emplace_back(Note(std::to_string(i)));
  InlineCompletions completions(core_call_, long_handlers_);
  for (FakeOps& each : ops) completions.Start(each, call_);
  RunQueue();
  EXPECT_THAT(ran_, ElementsAre("4"));
  completions.Run();
  EXPECT_THAT(ran_, ElementsAre("4", "0", "1", "2", "3"));
}

TEST_F(InlineCompletionsTest, ReactionsAreNotWithinTheHandler) {
  std::optional<InlineCompletions> completions(std::in_place, core_call_,
                                               long_handlers_);
  FakeOps curious([this] {
    ran_.emplace_back("curious");
    EXPECT_EQ(InlineCompletions::Around(core_call_), nullptr);
    // So the handler of another call does without.
    EXPECT_TRUE(InlineCompletions::OnThisThread());
  });
  EXPECT_EQ(InlineCompletions::Around(core_call_), &*completions);
  completions->Start(curious, call_);
  completions->Run();
  EXPECT_THAT(ran_, ElementsAre("curious"));
  completions.reset();
  EXPECT_FALSE(InlineCompletions::OnThisThread());
  EXPECT_EQ(InlineCompletions::Around(core_call_), nullptr);
}

// The messages of a stream: the reaction to each sends the next, as a handler
// does that writes as fast as it may.
class FakeStream {
 public:
  FakeStream(CoreCall& core, int messages) : core_(core), left_(messages) {
    tag_.Set(
        core.get(),
        [this](bool ok) {
          EXPECT_TRUE(ok);
          EXPECT_FALSE(reacting_) << "a reaction within a reaction";
          reacting_ = true;
          ++reactions;
          if (first) first();
          Send();
          reacting_ = false;
        },
        &ops_, /*can_inline=*/false);
    InlineCompletions::Sustain(ops_);
  }

  /// As CallState does.
  void Send() {
    if (left_-- == 0) return;
    grpc::internal::Call call = core_.call();
    InlineCompletions* const around =
        InlineCompletions::AroundSends(call.call(), ops_.core_cq_tag());
    if (around != nullptr) {
      around->Start(ops_, call);
    } else {
      ops_.FillOps(&call);
    }
  }

  int reactions = 0;
  // What a reaction does before it sends.
  std::function<void()> first;
  // Completed with each message, before it.
  Noted* other = nullptr;

 private:
  class Ops : public FakeBatch {
   public:
    explicit Ops(FakeStream& stream) : stream_(stream) {}
    void* core_cq_tag() override { return &stream_.tag_; }
    void FillOps(grpc::internal::Call* call) override {
      if (stream_.other != nullptr) Complete(*call, *stream_.other);
      Complete(*call, stream_.tag_);
    }

   private:
    FakeStream& stream_;
  };

  CoreCall& core_;
  int left_;
  bool reacting_ = false;
  Ops ops_{*this};
  grpc::internal::CallbackWithSuccessTag tag_;
};

TEST_F(InlineCompletionsTest, AStreamsMessagesFollowOneAnother) {
  FakeStream stream(core_, 60);
  InlineCompletions completions(core_call_, long_handlers_);
  stream.Send();
  EXPECT_EQ(stream.reactions, 0) << "within the handler";
  completions.Run();
  EXPECT_EQ(stream.reactions, 60);
}

TEST_F(InlineCompletionsTest, AStreamThatTheQueueHandsOutGoesOn) {
  FakeStream stream(core_, 60);
  stream.Send();
  EXPECT_EQ(stream.reactions, 0);
  EXPECT_TRUE(core_.RunOne());
  EXPECT_EQ(stream.reactions, 60);
  EXPECT_FALSE(InlineCompletions::OnThisThread());
}

TEST_F(InlineCompletionsTest, ALongStreamLetsOthersHaveTheThread) {
  FakeStream stream(core_, 1000);
  stream.Send();
  EXPECT_TRUE(core_.RunOne());
  // One from the queue, and what may follow it.
  EXPECT_EQ(stream.reactions, 1 + 64);
  RunQueue();
  EXPECT_EQ(stream.reactions, 1000);
}

TEST_F(InlineCompletionsTest, AnotherCallsReactionWaitsForNoMessage) {
  FakeStream stream(core_, 10);
  Noted other(Note("other"));
  stream.Send();
  stream.other = &other;
  EXPECT_TRUE(core_.RunOne());
  // The cache had the other one, so that this one went to the queue.
  EXPECT_THAT(ran_, IsEmpty());
  EXPECT_EQ(stream.reactions, 1);
  RunQueue();
  EXPECT_EQ(stream.reactions, 10);
  EXPECT_EQ(ran_.size(), 9u);
}

TEST_F(InlineCompletionsTest, WhatAnotherCallSendsGoesGrpcsWay) {
  CoreCall another;
  FakeStream others(another, 3);
  FakeOps sender([&] { others.Send(); });
  InlineCompletions completions(core_call_, long_handlers_);
  completions.Start(sender, call_);
  completions.Run();
  EXPECT_EQ(others.reactions, 0);
  another.RunQueue();
  EXPECT_EQ(others.reactions, 3);
}

TEST_F(InlineCompletionsTest, AReactionMayPassOnToAnotherCallFirst) {
  CoreCall another;
  FakeStream others(another, 3);
  FakeStream stream(core_, 10);
  stream.first = [&, told = false]() mutable {
    if (!told) others.Send();
    told = true;
  };
  stream.Send();
  EXPECT_TRUE(core_.RunOne());
  EXPECT_EQ(stream.reactions, 10);
  EXPECT_EQ(others.reactions, 0);
  another.RunQueue();
  EXPECT_EQ(others.reactions, 3);
}

TEST_F(InlineCompletionsTest, TheEndOfALongHandlersCallGoesGrpcsWay) {
  InlineCompletions completions(core_call_, long_handlers_);
  completions.HoldBack(end_, call_);
  clock_.Advance(100ms);
  RunQueue();
  EXPECT_THAT(ran_, ElementsAre("end"));
  completions.Watch();
  completions.Start(reply_, call_);
  completions.Run();
  EXPECT_THAT(ran_, ElementsAre("end", "reply"));
}

}  // namespace
}  // namespace grpccommon::internal
