// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/stream/reader.h"

#include <atomic>
#include <stdexcept>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "stream/stream_test_server.h"

namespace grpccommon::streamtest {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// What happens in a stream's hooks, by the test.
struct Hooks {
  std::function<Flow(Item&)> on_message = [](Item&) { return Flow::kNext; };
  std::function<void()> on_end = [] {};
  std::function<void()> on_cancelled = [] {};
};

class Up final : public StreamReader<Item, Item> {
 public:
  Up(grpc::CallbackServerContext& context, Item* response, Hooks& hooks,
     Handed<bool>& destroyed)
      : StreamReader(context, response), hooks_(hooks), destroyed_(destroyed) {}
  ~Up() override { destroyed_.Set(true); }

 private:
  Flow OnMessage(Item& item) override { return hooks_.on_message(item); }
  void OnEnd() override { hooks_.on_end(); }
  void OnCancelled() override { hooks_.on_cancelled(); }

  Hooks& hooks_;
  Handed<bool>& destroyed_;
};

class Both final : public StreamBidi<Item, Item> {
 public:
  Both(grpc::CallbackServerContext& context, Hooks& hooks,
       Handed<bool>& destroyed, StreamWriterOptions<Item> options)
      : StreamBidi(context, std::move(options)),
        hooks_(hooks),
        destroyed_(destroyed) {}
  ~Both() override { destroyed_.Set(true); }

 private:
  Flow OnMessage(Item& item) override { return hooks_.on_message(item); }
  void OnEnd() override {
    if (hooks_.on_end != nullptr) {
      hooks_.on_end();
    } else {
      StreamBidi::OnEnd();
    }
  }
  void OnCancelled() override { hooks_.on_cancelled(); }

  Hooks& hooks_;
  Handed<bool>& destroyed_;
};

class ReaderTest : public StreamTestServer {
 protected:
  std::unique_ptr<grpc::ClientWriter<Item>> Open() {
    up_ = [this](grpc::CallbackServerContext& context, Item* response) {
      auto stream = std::make_shared<Up>(context, response, hooks_, destroyed_);
      stream_ = stream;
      return Up::Start(std::move(stream));
    };
    return stub_->Up(&context_, &response_);
  }
  std::shared_ptr<Up> stream() { return stream_.lock(); }

  Hooks hooks_;
  Handed<bool> destroyed_;
  std::weak_ptr<Up> stream_;
  grpc::ClientContext context_;
  Item response_;
};

TEST_F(ReaderTest, ReadsEverythingAndAnswers) {
  std::int64_t sum = 0;
  hooks_.on_message = [&](Item& item) {
    sum += item.number();
    return Flow::kNext;
  };
  hooks_.on_end = [&] { stream()->Finish(MakeItem(sum)); };
  const auto writer = Open();
  for (int i = 1; i <= 1000; ++i) writer->Write(MakeItem(i));
  writer->WritesDone();
  EXPECT_TRUE(writer->Finish().ok());
  EXPECT_EQ(response_.number(), 500500);
  destroyed_.Get();
}

TEST_F(ReaderTest, WaitsForResumeFromAnotherThread) {
  Handed<Item*> messages;
  hooks_.on_message = [&](Item& item) {
    messages.Set(&item);
    return Flow::kPause;
  };
  std::int64_t sum = 0;
  hooks_.on_end = [&] { stream()->Finish(MakeItem(sum)); };
  const auto writer = Open();
  std::thread worker([&] {
    for (int i = 0; i < 200; ++i) {
      Item item = std::move(*messages.Get());  // stays as it is until Resume
      EXPECT_EQ(item.number(), i);
      sum += item.number();
      stream()->Resume();
    }
  });
  for (int i = 0; i < 200; ++i) writer->Write(MakeItem(i));
  writer->WritesDone();
  EXPECT_TRUE(writer->Finish().ok());
  worker.join();
  EXPECT_EQ(response_.number(), 199 * 100);
}

TEST_F(ReaderTest, GoesOnWhenResumeCameBeforeThePause) {
  int count = 0;
  hooks_.on_message = [&](Item&) {
    ++count;
    stream()->Resume();
    return Flow::kPause;
  };
  hooks_.on_end = [&] { stream()->Finish(MakeItem(count)); };
  const auto writer = Open();
  for (int i = 0; i < 10; ++i) writer->Write(MakeItem(i));
  writer->WritesDone();
  EXPECT_TRUE(writer->Finish().ok());
  EXPECT_EQ(response_.number(), 10);
}

TEST_F(ReaderTest, HoldsUpTheClientWhilePaused) {
  std::atomic<int> handled = 0;
  hooks_.on_message = [&](Item&) {
    ++handled;
    return Flow::kPause;
  };
  // A hundred megabytes take a fraction of the time where nobody pauses.
  context_.set_deadline(std::chrono::system_clock::now() +
                        std::chrono::seconds(1));
  const auto writer = Open();
  int written = 0;
  while (written < 1000 && writer->Write(MakeItem(0, "", 100'000))) ++written;
  EXPECT_LT(written, 100);
  EXPECT_EQ(handled, 1);
  EXPECT_EQ(writer->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  destroyed_.Get();
}

TEST_F(ReaderTest, AnswersBeforeTheClientHasSentEverything) {
  hooks_.on_message = [&](Item& item) {
    if (item.number() == 3) stream()->Finish(absl::OutOfRangeError("enough"));
    return Flow::kNext;
  };
  hooks_.on_end = [] { ADD_FAILURE() << "after Finish"; };
  const auto writer = Open();
  for (int i = 0; writer->Write(MakeItem(i)); ++i) {
  }
  const grpc::Status status = writer->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(status.error_message(), "enough");
  destroyed_.Get();
}

TEST_F(ReaderTest, OnlyTheFirstFinishCounts) {
  hooks_.on_end = [&] {
    const auto self = stream();
    self->Finish(MakeItem(1));
    self->Finish(MakeItem(2));
    self->Finish(absl::InternalError("late"));
  };
  const auto writer = Open();
  writer->WritesDone();
  EXPECT_TRUE(writer->Finish().ok());
  EXPECT_EQ(response_.number(), 1);
}

TEST_F(ReaderTest, DoesNotTakeACancelledStreamForAFinishedOne) {
  hooks_.on_end = [] { ADD_FAILURE() << "half a stream taken for a whole"; };
  for (int round = 0; round < 50; ++round) {
    grpc::ClientContext context;
    up_ = [this](grpc::CallbackServerContext& server_context, Item* response) {
      return Up::Start(
          std::make_shared<Up>(server_context, response, hooks_, destroyed_));
    };
    Item response;
    const auto writer = stub_->Up(&context, &response);
    for (int i = 0; i <= round % 5; ++i) writer->Write(MakeItem(i));
    context.TryCancel();
    (void)writer->Finish();
  }
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
}

TEST_F(ReaderTest, TellsOnceOfACancellationWhilePaused) {
  Handed<std::shared_ptr<Up>> paused;
  hooks_.on_message = [&](Item&) {
    paused.Set(stream());
    return Flow::kPause;
  };
  Handed<bool> cancelled;
  hooks_.on_cancelled = [&] { cancelled.Set(true); };
  const auto writer = Open();
  writer->Write(MakeItem(1));
  std::shared_ptr<Up> held = paused.Get();
  context_.TryCancel();
  cancelled.Get();
  EXPECT_TRUE(held->closed());
  (void)writer->Finish();
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
  // The call is done; what still works for it does no harm.
  held->Resume();
  held->Finish(MakeItem(1));
  held->Finish(absl::OkStatus());
  held.reset();
  destroyed_.Get();
}

TEST_F(ReaderTest, ResumeAndCancelMayCollide) {
  for (int round = 0; round < 100; ++round) {
    Handed<std::shared_ptr<Up>> paused;
    hooks_.on_message = [&](Item& item) {
      // A second message may still come; what is handed over is kept alive.
      if (item.number() == 1) paused.Set(stream());
      return Flow::kPause;
    };
    grpc::ClientContext context;
    Item response;
    up_ = [this](grpc::CallbackServerContext& server_context, Item* answer) {
      auto stream =
          std::make_shared<Up>(server_context, answer, hooks_, destroyed_);
      stream_ = stream;
      return Up::Start(std::move(stream));
    };
    const auto writer = stub_->Up(&context, &response);
    writer->Write(MakeItem(1));
    writer->Write(MakeItem(2));
    {
      const std::shared_ptr<Up> held = paused.Get();
      std::thread worker([&] {
        held->Resume();
        if (round % 2 == 0) held->Finish(MakeItem(0));
      });
      context.TryCancel();
      worker.join();
    }
    (void)writer->Finish();
    destroyed_.Get();
  }
}

TEST_F(ReaderTest, ThrowingHooksEndTheCallWithInternal) {
  for (const bool at_end : {false, true}) {
    hooks_ = Hooks();
    if (at_end) {
      hooks_.on_end = [] { throw std::runtime_error("secret"); };
    } else {
      hooks_.on_message = [](Item&) -> Flow {
        throw std::runtime_error("secret");
      };
    }
    grpc::ClientContext context;
    Item response;
    up_ = [this](grpc::CallbackServerContext& server_context, Item* answer) {
      return Up::Start(
          std::make_shared<Up>(server_context, answer, hooks_, destroyed_));
    };
    const auto writer = stub_->Up(&context, &response);
    writer->Write(MakeItem(1));
    writer->WritesDone();
    const grpc::Status status = writer->Finish();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
    EXPECT_THAT(status.error_message(), Not(HasSubstr("secret")));
    destroyed_.Get();
  }
}

class BidiTest : public StreamTestServer {
 protected:
  using Stream = grpc::ClientReaderWriter<Item, Item>;

  std::unique_ptr<Stream> Open(StreamWriterOptions<Item> options = {}) {
    both_ = [this, options](grpc::CallbackServerContext& context) {
      auto stream =
          std::make_shared<Both>(context, hooks_, destroyed_, options);
      stream_ = stream;
      return Both::Start(std::move(stream));
    };
    return stub_->Both(&context_);
  }
  std::shared_ptr<Both> stream() { return stream_.lock(); }

  // A result of 100 or 200 kB for each message.
  void ReadResultsLate(const StreamWriterOptions<Item>& options) {
    constexpr int kCount = 200;
    std::atomic<int> handled = 0;
    hooks_.on_message = [&](Item& item) {
      const std::size_t size = item.number() % 10 == 9 ? 200'000 : 100'000;
      EXPECT_TRUE(stream()->Write(MakeItem(item.number(), "", size)).ok());
      ++handled;
      return Flow::kNext;
    };
    const auto stream = Open(options);
    // Small enough for all of them to be with the server at once.
    for (int i = 0; i < kCount; ++i) ASSERT_TRUE(stream->Write(MakeItem(i)));
    stream->WritesDone();
    while (handled < 3) std::this_thread::yield();
    EXPECT_LT(handled, kCount / 2);
    Item item;
    for (int i = 0; i < kCount; ++i) {
      ASSERT_TRUE(stream->Read(&item));
      ASSERT_EQ(item.number(), i);
    }
    EXPECT_FALSE(stream->Read(&item));
    EXPECT_TRUE(stream->Finish().ok());
    EXPECT_EQ(handled, kCount);
  }

  Hooks hooks_{.on_end = nullptr};
  Handed<bool> destroyed_;
  std::weak_ptr<Both> stream_;
  grpc::ClientContext context_;
};

TEST_F(BidiTest, AnswersEachMessageInOrder) {
  hooks_.on_message = [&](Item& item) {
    EXPECT_TRUE(stream()->Write(std::move(item)).ok());
    return Flow::kNext;
  };
  const auto stream = Open();
  std::thread client([&] {
    for (int i = 0; i < 2000; ++i) stream->Write(MakeItem(i));
    stream->WritesDone();
  });
  Item item;
  for (int i = 0; i < 2000; ++i) {
    ASSERT_TRUE(stream->Read(&item));
    ASSERT_EQ(item.number(), i);
  }
  EXPECT_FALSE(stream->Read(&item));
  client.join();
  EXPECT_TRUE(stream->Finish().ok());
  destroyed_.Get();
}

TEST_F(BidiTest, AnswersPingPong) {
  hooks_.on_message = [&](Item& item) {
    EXPECT_TRUE(stream()->Write(item).ok());
    return Flow::kNext;
  };
  const auto stream = Open();
  Item item;
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(stream->Write(MakeItem(i)));
    ASSERT_TRUE(stream->Read(&item));
    ASSERT_EQ(item.number(), i);
  }
  stream->WritesDone();
  EXPECT_FALSE(stream->Read(&item));
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(BidiTest, ReadsNoFurtherWhileTheClientDoesNotReadItsResults) {
  ReadResultsLate({.max_queued = 4});
}

TEST_F(BidiTest, ReadsNoFurtherWhileTheBytesOfResultsWait) {
  ReadResultsLate({.max_queued_bytes = 250'000});
}

TEST_F(BidiTest, PausesAndResumes) {
  Handed<Item> messages;
  hooks_.on_message = [&](Item& item) {
    messages.Set(item);
    return Flow::kPause;
  };
  const auto stream = Open();
  std::thread worker([&] {
    for (int i = 0; i < 100; ++i) {
      const Item item = messages.Get();
      const auto self = this->stream();
      EXPECT_TRUE(self->Write(item).ok());
      self->Resume();
    }
  });
  for (int i = 0; i < 100; ++i) stream->Write(MakeItem(i));
  stream->WritesDone();
  Item item;
  int count = 0;
  while (stream->Read(&item)) EXPECT_EQ(item.number(), count++);
  EXPECT_EQ(count, 100);
  worker.join();
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(BidiTest, FinishesWhileTheClientStillWrites) {
  hooks_.on_message = [&](Item& item) {
    const auto self = stream();
    EXPECT_EQ(self->Write(item).ok(), item.number() <= 5);
    if (item.number() == 5) self->Finish(absl::OutOfRangeError("enough"));
    return Flow::kNext;
  };
  hooks_.on_end = [] { ADD_FAILURE() << "after Finish"; };
  const auto stream = Open();
  for (int i = 0; i < 6; ++i) stream->Write(MakeItem(i));
  Item item;
  int count = 0;
  while (stream->Read(&item)) ++count;
  EXPECT_EQ(count, 6);
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::OUT_OF_RANGE);
  destroyed_.Get();
}

TEST_F(BidiTest, SurvivesCancellationAtAnyMoment) {
  hooks_.on_message = [&](Item& item) {
    if (const auto self = stream()) (void)self->Write(item);
    return Flow::kNext;
  };
  std::atomic<int> cancelled = 0;
  hooks_.on_cancelled = [&] { ++cancelled; };
  for (int round = 0; round < 100; ++round) {
    grpc::ClientContext context;
    both_ = [this](grpc::CallbackServerContext& server_context) {
      auto stream = std::make_shared<Both>(server_context, hooks_, destroyed_,
                                           StreamWriterOptions<Item>());
      stream_ = stream;
      return Both::Start(std::move(stream));
    };
    const auto stream = stub_->Both(&context);
    std::thread client([&] {
      for (int i = 0; i < 50 && stream->Write(MakeItem(i)); ++i) {
      }
    });
    Item item;
    for (int i = 0; i < 1 + round % 20; ++i) stream->Read(&item);
    context.TryCancel();
    client.join();
    (void)stream->Finish();
    destroyed_.Get();
    ASSERT_EQ(cancelled, round + 1);
  }
}

TEST_F(BidiTest, TellsOfACancellationAndCanBeOutlived) {
  Handed<std::shared_ptr<Both>> paused;
  Handed<bool> cancelled;
  hooks_.on_message = [&](Item&) {
    paused.Set(stream());
    return Flow::kPause;
  };
  hooks_.on_cancelled = [&] { cancelled.Set(true); };
  const auto stream = Open();
  stream->Write(MakeItem(1));
  std::shared_ptr<Both> held = paused.Get();
  context_.TryCancel();
  cancelled.Get();
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
  held->Resume();
  EXPECT_EQ(held->Write(MakeItem(1)).code(), absl::StatusCode::kCancelled);
  held->Finish(absl::OkStatus());
  held->Abort(absl::OkStatus());
  EXPECT_TRUE(held->closed());
  held.reset();
  destroyed_.Get();
}

TEST_F(BidiTest, ThrowingHooksEndTheCallWithInternal) {
  hooks_.on_message = [](Item&) -> Flow { throw std::runtime_error("secret"); };
  const auto stream = Open();
  stream->Write(MakeItem(1));
  Item item;
  EXPECT_FALSE(stream->Read(&item));
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_THAT(status.error_message(), Not(HasSubstr("secret")));
  destroyed_.Get();
}

}  // namespace
}  // namespace grpccommon::streamtest
