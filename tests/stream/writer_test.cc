// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/stream/writer.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <stdexcept>
#include <thread>

#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/status/details.h"
#include "gtest/gtest.h"
#include "stream/stream_test_server.h"
#include "support/resident_memory.h"
#include "support/sanitized.h"

namespace grpccommon::streamtest {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using Writer = StreamWriter<Item>;
using WriterPointer = std::shared_ptr<Writer>;

// More than the window and gRPC's own buffer hold after a few messages.
constexpr std::size_t kLarge = 100'000;

class WriterTest : public StreamTestServer {
 protected:
  /// A call whose writer the test has; `done_` gets a value at its end.
  std::unique_ptr<grpc::ClientReader<Item>> Open(
      StreamWriterOptions<Item> options = {}) {
    down_ = [this, options](grpc::CallbackServerContext& context) {
      WriterPointer writer = Writer::Create(context, options);
      writer->WhenDone([this] { done_.Set(true); });
      auto* const reactor = writer->reactor();
      writers_.Set(std::move(writer));
      return reactor;
    };
    auto reader = stub_->Down(&context_, Item());
    writer_ = writers_.Get();
    return reader;
  }

  /// Writes large messages until one is refused; returns how many were not.
  std::int64_t WriteUntilRefused(absl::Status& refusal) {
    for (std::int64_t i = 0; i < 1000; ++i) {
      refusal = writer_->Write(MakeItem(i, "", kLarge));
      if (!refusal.ok()) return i;
    }
    ADD_FAILURE() << "a client that does not read held up nothing";
    return 0;
  }

  grpc::ClientContext context_;
  Handed<WriterPointer> writers_;
  Handed<bool> done_;
  WriterPointer writer_;
};

TEST_F(WriterTest, SendsWhatTheHandlerWroteBeforeItReturned) {
  for (const int count : {0, 1, 2, 3, 100}) {
    down_ = [count](grpc::CallbackServerContext& context) {
      const WriterPointer writer = Writer::Create(context);
      for (int i = 0; i < count; ++i) {
        EXPECT_TRUE(writer->Write(MakeItem(i)).ok());
      }
      writer->Finish(absl::DataLossError("that was all"));
      return writer->reactor();
    };
    grpc::ClientContext context;
    const auto reader = stub_->Down(&context, Item());
    const std::vector<Item> items = ReadAll(*reader);
    ASSERT_THAT(items, SizeIs(count));
    for (int i = 0; i < count; ++i) EXPECT_EQ(items[i].number(), i);
    const grpc::Status status = reader->Finish();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::DATA_LOSS);
    EXPECT_EQ(status.error_message(), "that was all");
  }
}

TEST_F(WriterTest, SendsEachThreadsMessagesInTheirOrder) {
  constexpr int kThreads = 4;
  constexpr int kEach = 5000;
  const auto reader = Open({.max_queued = std::size_t{kThreads} * kEach});
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([this, t] {
      for (int i = 0; i < kEach; ++i) {
        EXPECT_TRUE(writer_->Write(MakeItem(i, std::to_string(t))).ok());
      }
    });
  }
  std::map<std::string, std::int64_t> next;
  Item item;
  for (int i = 0; i < kThreads * kEach; ++i) {
    ASSERT_TRUE(reader->Read(&item));
    ASSERT_EQ(item.number(), next[item.key()]++);
  }
  for (std::thread& thread : threads) thread.join();
  writer_->Finish(absl::OkStatus());
  EXPECT_FALSE(reader->Read(&item));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(WriterTest, SendsASingleMessageAtOnce) {
  const auto reader = Open();
  Item item;
  // Each one arrives while the stream is idle, so none may wait in a buffer.
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(writer_->Write(MakeItem(i)).ok());
    ASSERT_TRUE(reader->Read(&item));
    EXPECT_EQ(item.number(), i);
  }
  writer_->Finish(absl::OkStatus());
  EXPECT_FALSE(reader->Read(&item));
}

TEST_F(WriterTest, SharesAMessageInsteadOfCopyingIt) {
  const auto reader = Open();
  auto message = std::make_shared<const Item>(MakeItem(7));
  ASSERT_TRUE(writer_->Write(message).ok());
  ASSERT_TRUE(writer_->Write(message).ok());
  writer_->Finish(absl::OkStatus());
  const std::vector<Item> items = ReadAll(*reader);
  ASSERT_THAT(items, SizeIs(2));
  EXPECT_EQ(items[1].number(), 7);
  done_.Get();
  writer_.reset();
}

TEST_F(WriterTest, EndsTheStreamOfASlowReaderAndTellsWhereToResume) {
  const auto reader =
      Open({.max_queued = 4,
            .resume_token =
                [](const Item& last) {
                  return "after " + std::to_string(last.number());
                },
            .resume_delay = std::chrono::seconds(3)});
  absl::Status refusal;
  const std::int64_t written = WriteUntilRefused(refusal);
  EXPECT_EQ(refusal.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(writer_->closed());
  EXPECT_EQ(writer_->room(), 0u);
  EXPECT_EQ(writer_->Write(MakeItem(0)).code(),
            absl::StatusCode::kResourceExhausted);

  const std::vector<Item> items = ReadAll(*reader);
  ASSERT_THAT(items, Not(IsEmpty()));
  // The queue was dropped; what gRPC had was not.
  EXPECT_EQ(items.size(), static_cast<std::size_t>(written - 4));
  const absl::Status status = FromGrpcStatus(reader->Finish());
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(status), "SLOW_READER");
  EXPECT_EQ(RetryDelayOf(status), std::chrono::seconds(3));
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(GetDetail(status, info));
  EXPECT_EQ(info.metadata().at("resume_token"),
            "after " + std::to_string(items.back().number()));
  done_.Get();
}

TEST_F(WriterTest, PushesBackWithoutLossUntilTheClientReads) {
  constexpr int kCount = 60;
  const auto reader =
      Open({.max_queued = 4, .slow_reader = SlowReader::kPushBack});
  absl::Status refusal;
  const std::int64_t written = WriteUntilRefused(refusal);
  EXPECT_EQ(refusal.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_FALSE(writer_->closed());
  EXPECT_EQ(writer_->room(), 0u);

  // Goes on writing whenever there is room.
  std::atomic<std::int64_t> next = written;
  std::function<void()> produce = [&] {
    while (next < kCount && writer_->Write(MakeItem(next, "", kLarge)).ok()) {
      ++next;
    }
    if (next < kCount) {
      writer_->WhenWritable(produce);
    } else {
      writer_->Finish(absl::OkStatus());
    }
  };
  writer_->WhenWritable(produce);
  const std::vector<Item> items = ReadAll(*reader);
  ASSERT_THAT(items, SizeIs(kCount));
  for (int i = 0; i < kCount; ++i) EXPECT_EQ(items[i].number(), i);
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(writer_->dropped(), 0u);
  done_.Get();
}

TEST_F(WriterTest, BoundsTheBytesThatWaitWhateverTheirNumber) {
  for (const auto& [bytes, places] :
       {std::pair<std::size_t, std::size_t>{350'000, 4}, {10, 1}}) {
    grpc::ClientContext context;
    down_ = [&, max = bytes](grpc::CallbackServerContext& server_context) {
      WriterPointer writer = Writer::Create(
          server_context, {.max_queued = 100,
                           .max_queued_bytes = max,
                           .slow_reader = SlowReader::kPushBack});
      writer->WhenDone([this] { done_.Set(true); });
      writers_.Set(writer);
      return writer->reactor();
    };
    const auto reader = stub_->Down(&context, Item());
    writer_ = writers_.Get();
    absl::Status refusal;
    const std::int64_t written = WriteUntilRefused(refusal);
    EXPECT_EQ(refusal.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(100 - writer_->room(), places);

    Handed<absl::Status> again;
    writer_->WhenWritable(
        [&] { again.Set(writer_->Write(MakeItem(written, "", kLarge))); });
    Item item;
    ASSERT_TRUE(reader->Read(&item));
    for (std::int64_t i = 1; i < written; ++i) {
      ASSERT_TRUE(reader->Read(&item));
      EXPECT_EQ(item.number(), i);
    }
    EXPECT_TRUE(again.Get().ok());
    writer_->Finish(absl::OkStatus());
    ASSERT_THAT(ReadAll(*reader), SizeIs(1));
    EXPECT_TRUE(reader->Finish().ok());
    done_.Get();
  }
}

TEST_F(WriterTest, AProducerWhoseTurnItIsMayWriteAMessageOfAnySize) {
  const auto reader = Open({.max_queued = 100,
                            .max_queued_bytes = 250'000,
                            .slow_reader = SlowReader::kPushBack});
  absl::Status refusal;
  const std::int64_t written = WriteUntilRefused(refusal);
  Handed<absl::Status> again;
  writer_->WhenWritable(
      [&] { again.Set(writer_->Write(MakeItem(written, "", 1'000'000))); });
  Item item;
  for (std::int64_t i = 0; i <= written; ++i) ASSERT_TRUE(reader->Read(&item));
  EXPECT_TRUE(again.Get().ok());
  EXPECT_EQ(item.payload().size(), 1'000'000u);
}

TEST_F(WriterTest, AFullQueueIsNeverWritable) {
  const auto reader =
      Open({.max_queued = 4, .slow_reader = SlowReader::kPushBack});
  absl::Status refusal;
  const std::int64_t written = WriteUntilRefused(refusal);
  Handed<absl::Status> again;
  writer_->WhenWritable([&] { again.Set(writer_->Write(MakeItem(written))); },
                        /*waiting=*/1000);
  Item item;
  for (std::int64_t i = 0; i <= written; ++i) ASSERT_TRUE(reader->Read(&item));
  EXPECT_TRUE(again.Get().ok());
}

TEST_F(WriterTest, KeepsNothingOfWhatHasLeftWhereBytesAreBounded) {
  const auto reader = Open({.max_queued = 64, .max_queued_bytes = 4 << 20});
  std::vector<std::weak_ptr<const Item>> messages;
  const auto write = [&] {
    const auto number = static_cast<std::int64_t>(messages.size());
    auto message = std::make_shared<const Item>(MakeItem(number, "", kLarge));
    messages.push_back(message);
    ASSERT_TRUE(writer_->Write(std::move(message)).ok());
  };
  const auto kept = [&] {
    return std::count_if(
        messages.begin(), messages.end(),
        [](const auto& message) { return !message.expired(); });
  };
  for (int i = 0; i < 30; ++i) write();
  Item item;
  for (int i = 0; i < 100; ++i) {  // never empty, never full
    ASSERT_TRUE(reader->Read(&item));
    write();
  }
  // Besides, one may be in gRPC's hands. More may leave meanwhile, but none
  // comes.
  const auto queued = static_cast<long>(64 - writer_->room());
  EXPECT_LE(kept(), queued + 1);
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(reader->Read(&item));
  while (kept() > 0) std::this_thread::yield();
}

TEST_F(WriterTest, EndsAStreamForWhichTooManyBytesWait) {
  const auto reader = Open({.max_queued = 100, .max_queued_bytes = 350'000});
  absl::Status refusal;
  WriteUntilRefused(refusal);
  ReadAll(*reader);
  const absl::Status status = FromGrpcStatus(reader->Finish());
  EXPECT_EQ(ReasonOf(status), "SLOW_READER");
  EXPECT_THAT(std::string(status.message()), HasSubstr("4 messages wait"));
}

TEST_F(WriterTest, AProducerMayWaitUntilNothingIsQueued) {
  const auto reader =
      Open({.max_queued = 4, .slow_reader = SlowReader::kPushBack});
  absl::Status refusal;
  const std::int64_t written = WriteUntilRefused(refusal);
  Handed<std::size_t> room;
  writer_->WhenWritable([&] { room.Set(writer_->room()); }, 0);
  Item item;
  for (std::int64_t i = 0; i < written; ++i) ASSERT_TRUE(reader->Read(&item));
  EXPECT_EQ(room.Get(), 4u);
}

TEST_F(WriterTest, CutsAStreamThatIsNotRead) {
  const auto reader =
      Open({.max_queued = 4, .slow_reader = SlowReader::kPushBack});
  absl::Status refusal;
  WriteUntilRefused(refusal);
  writer_->Cut(absl::UnavailableError("the server stops"));
  done_.Get();  // the client has read nothing
  ReadAll(*reader);
  const grpc::Status status = reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "the server stops");
}

TEST_F(WriterTest, CutsAFinishingStreamThatIsNotRead) {
  const auto reader =
      Open({.max_queued = 4, .slow_reader = SlowReader::kPushBack});
  absl::Status refusal;
  WriteUntilRefused(refusal);
  writer_->Finish(absl::OkStatus());
  writer_->Cut(absl::UnavailableError("the server stops"));
  done_.Get();
  ReadAll(*reader);
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(WriterTest, CutsAStreamWhoseStatusWaitsForTheClient) {
  for (const bool too_slow : {true, false}) {
    grpc::ClientContext context;
    down_ = [&](grpc::CallbackServerContext& server_context) {
      WriterPointer writer = Writer::Create(server_context, {.max_queued = 4});
      writer->WhenDone([this] { done_.Set(true); });
      writers_.Set(writer);
      return writer->reactor();
    };
    const auto reader = stub_->Down(&context, Item());
    writer_ = writers_.Get();
    if (too_slow) {
      absl::Status refusal;
      WriteUntilRefused(refusal);
      EXPECT_TRUE(writer_->closed());
    } else {
      for (int i = 0; i < 4; ++i) {
        ASSERT_TRUE(writer_->Write(MakeItem(i, "", kLarge)).ok());
      }
      writer_->Abort(absl::AbortedError(""));
    }
    writer_->Cut(absl::UnavailableError("the server stops"));
    done_.Get();  // the client has read nothing
    ReadAll(*reader);
    EXPECT_EQ(reader->Finish().error_message(), "the server stops");
  }
}

TEST_F(WriterTest, CutsAStreamWhoseLastMessageIsNotRead) {
  const auto reader = Open();
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(writer_->Write(MakeItem(i, "", 3'000'000)).ok());
  }
  writer_->Finish(absl::OkStatus());
  Item item;
  ASSERT_TRUE(reader->Read(&item));
  writer_->Cut(absl::UnavailableError("the server stops"));
  done_.Get();
  EXPECT_THAT(ReadAll(*reader), IsEmpty());
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(WriterTest, TheTextOfACutHarmsNoConnection) {
  const auto reader = Open({.max_queued = 4});
  const WriterPointer cut = writer_;
  grpc::ClientContext context;  // another call of the same connection
  const auto other = stub_->Down(&context, Item());
  const WriterPointer writer = writers_.Get();
  absl::Status refusal;
  WriteUntilRefused(refusal);
  cut->Cut(
      absl::UnavailableError("a\n\u00e9 50%41 " + std::string(20'000, 'x')));
  ReadAll(*reader);
  const grpc::Status status = reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_message(), ::testing::StartsWith("a??? 50?41 xxx"));
  EXPECT_THAT(status.error_message().size(), ::testing::Le(1024u));
  EXPECT_TRUE(writer->Write(MakeItem(1)).ok());
  writer->Finish(absl::OkStatus());
  EXPECT_THAT(ReadAll(*other), SizeIs(1));
  EXPECT_TRUE(other->Finish().ok());
}

TEST_F(WriterTest, CutsAnIdleStreamWithTheWholeStatus) {
  const auto reader = Open();
  writer_->Cut(WithReason(absl::UnavailableError("stops"), "STOPS", "test"));
  EXPECT_THAT(ReadAll(*reader), IsEmpty());
  const absl::Status status = FromGrpcStatus(reader->Finish());
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReasonOf(status), "STOPS");
  done_.Get();
  writer_->Cut(absl::InternalError("too late"));
}

TEST_F(WriterTest, TellsAWaitingProducerThatTheStreamHasEnded) {
  const auto reader =
      Open({.max_queued = 1, .slow_reader = SlowReader::kPushBack});
  absl::Status refusal;
  WriteUntilRefused(refusal);
  Handed<absl::Status> written;
  writer_->WhenWritable([&] { written.Set(writer_->Write(MakeItem(0))); });
  context_.TryCancel();
  EXPECT_EQ(written.Get().code(), absl::StatusCode::kCancelled);
  done_.Get();
}

TEST_F(WriterTest, KeepsTheLatestMessageOfEachKey) {
  constexpr int kUpdates = 1000;
  const auto reader =
      Open({.max_queued = 4,
            .slow_reader = SlowReader::kKeepLatest,
            .key = [](const Item& item) { return item.key(); }});
  for (int i = 0; i < kUpdates; ++i) {
    ASSERT_TRUE(
        writer_->Write(MakeItem(i, std::to_string(i % 3), kLarge)).ok());
  }
  writer_->Finish(absl::OkStatus());
  std::map<std::string, std::int64_t> latest;
  const std::vector<Item> items = ReadAll(*reader);
  for (const Item& item : items) {
    EXPECT_TRUE(latest.count(item.key()) == 0 ||
                latest[item.key()] < item.number());
    latest[item.key()] = item.number();
  }
  EXPECT_EQ(latest["0"], 999);
  EXPECT_EQ(latest["1"], 997);
  EXPECT_EQ(latest["2"], 998);
  EXPECT_EQ(items.size() + writer_->dropped(),
            static_cast<std::size_t>(kUpdates));
  EXPECT_GT(writer_->dropped(), 0u);
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(WriterTest, EndsTheStreamWhenThereAreMoreKeysThanPlaces) {
  const auto reader = Open(
      {.max_queued = 4,
       .slow_reader = SlowReader::kKeepLatest,
       .key = [](const Item& item) { return std::to_string(item.number()); }});
  absl::Status refusal;
  WriteUntilRefused(refusal);
  EXPECT_EQ(refusal.code(), absl::StatusCode::kResourceExhausted);
  ReadAll(*reader);
  EXPECT_EQ(ReasonOf(FromGrpcStatus(reader->Finish())), "SLOW_READER");
}

TEST_F(WriterTest, DropsTheOldestAndSaysHowMany) {
  constexpr int kCount = 500;
  const auto reader =
      Open({.max_queued = 4,
            .slow_reader = SlowReader::kDropOldest,
            .missed = [](std::uint64_t missed) {
              return MakeItem(static_cast<std::int64_t>(missed), "missed");
            }});
  for (int i = 0; i < kCount; ++i) {
    ASSERT_TRUE(writer_->Write(MakeItem(i, "", kLarge)).ok());
  }
  writer_->Finish(absl::OkStatus());
  std::int64_t next = 0;
  std::uint64_t missed = 0;
  for (const Item& item : ReadAll(*reader)) {
    if (item.key() == "missed") {
      next += item.number();  // the gap is where and as long as it says
      missed += static_cast<std::uint64_t>(item.number());
    } else {
      EXPECT_EQ(item.number(), next++);
    }
  }
  EXPECT_EQ(next, kCount);
  EXPECT_GT(missed, 0u);
  EXPECT_EQ(missed, writer_->dropped());
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(WriterTest, DropsTheOldestSilently) {
  const auto reader =
      Open({.max_queued = 4, .slow_reader = SlowReader::kDropOldest});
  for (int i = 0; i < 500; ++i) {
    ASSERT_TRUE(writer_->Write(MakeItem(i, "", kLarge)).ok());
  }
  writer_->Finish(absl::OkStatus());
  const std::vector<Item> items = ReadAll(*reader);
  EXPECT_EQ(items.size() + writer_->dropped(), 500u);
  EXPECT_EQ(items.back().number(), 499);
}

TEST_F(WriterTest, RefusesWritesAfterFinish) {
  const auto reader = Open();
  ASSERT_TRUE(writer_->Write(MakeItem(1)).ok());
  writer_->Finish(absl::OkStatus());
  EXPECT_EQ(writer_->Write(MakeItem(2)).code(),
            absl::StatusCode::kFailedPrecondition);
  writer_->Finish(absl::InternalError("a second one"));
  EXPECT_THAT(ReadAll(*reader), SizeIs(1));
  EXPECT_TRUE(reader->Finish().ok());
  done_.Get();
}

TEST_F(WriterTest, AbortDropsTheQueueOfAStreamThatIsFinishing) {
  const auto reader =
      Open({.max_queued = 4, .slow_reader = SlowReader::kPushBack});
  absl::Status refusal;
  const std::int64_t written = WriteUntilRefused(refusal);
  writer_->Finish(absl::OkStatus());
  writer_->Abort(absl::UnavailableError("going down"));
  writer_->Abort(absl::InternalError("a second one"));
  EXPECT_EQ(ReadAll(*reader).size(), static_cast<std::size_t>(written - 4));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  done_.Get();
}

TEST_F(WriterTest, EndsAnIdleStreamThatIsCancelled) {
  const auto reader = Open();
  context_.TryCancel();
  done_.Get();
  EXPECT_EQ(writer_->Write(MakeItem(1)).code(), absl::StatusCode::kCancelled);
  writer_->Finish(absl::OkStatus());
  writer_->Abort(absl::OkStatus());
  bool called = false;
  writer_->WhenDone([&] { called = true; });
  EXPECT_TRUE(called);
}

TEST_F(WriterTest, EndsAFullStreamThatIsCancelled) {
  for (const SlowReader policy :
       {SlowReader::kPushBack, SlowReader::kDropOldest,
        SlowReader::kEndStream}) {
    grpc::ClientContext context;
    down_ = [&](grpc::CallbackServerContext& server_context) {
      WriterPointer writer = Writer::Create(
          server_context, {.max_queued = 4, .slow_reader = policy});
      writer->WhenDone([this] { done_.Set(true); });
      writers_.Set(writer);
      return writer->reactor();
    };
    const auto reader = stub_->Down(&context, Item());
    writer_ = writers_.Get();
    for (int i = 0; i < 100; ++i) {
      (void)writer_->Write(MakeItem(i, "", kLarge));
    }
    context.TryCancel();
    done_.Get();
    EXPECT_FALSE(writer_->Write(MakeItem(1)).ok());
  }
}

TEST_F(WriterTest, EndsAFinishingStreamThatIsCancelled) {
  const auto reader =
      Open({.max_queued = 4, .slow_reader = SlowReader::kPushBack});
  absl::Status refusal;
  WriteUntilRefused(refusal);
  writer_->Finish(absl::OkStatus());
  context_.TryCancel();
  done_.Get();
}

TEST_F(WriterTest, EndsAStreamThatIsCancelledBeforeItsHandlerReturns) {
  down_ = [this](grpc::CallbackServerContext& context) {
    WriterPointer writer = Writer::Create(context);
    writer->WhenDone([this] { done_.Set(true); });
    EXPECT_TRUE(writer->Write(MakeItem(1)).ok());
    context_.TryCancel();
    while (!context.IsCancelled()) std::this_thread::yield();
    EXPECT_TRUE(writer->Write(MakeItem(2)).ok());
    return writer->reactor();
  };
  const auto reader = stub_->Down(&context_, Item());
  done_.Get();
}

TEST_F(WriterTest, SurvivesCancellationAtAnyMoment) {
  for (int round = 0; round < 200; ++round) {
    grpc::ClientContext context;
    down_ = [&](grpc::CallbackServerContext& server_context) {
      WriterPointer writer = Writer::Create(server_context, {.max_queued = 8});
      writer->WhenDone([this] { done_.Set(true); });
      writers_.Set(writer);
      return writer->reactor();
    };
    const auto reader = stub_->Down(&context, Item());
    const WriterPointer writer = writers_.Get();
    std::thread producer([&] {
      for (int i = 0; writer->Write(MakeItem(i)).ok(); ++i) {
      }
    });
    std::thread finisher([&] {
      if (round % 3 == 0) writer->Finish(absl::OkStatus());
      if (round % 3 == 1) writer->Abort(absl::OkStatus());
      if (round % 3 == 2) writer->Cut(absl::UnavailableError(""));
    });
    Item item;
    for (int i = 0; i < round % 7; ++i) reader->Read(&item);
    context.TryCancel();
    producer.join();
    finisher.join();
    done_.Get();
  }
}

TEST_F(WriterTest, EndsWithTheServer) {
  const auto reader = Open();
  ASSERT_TRUE(writer_->Write(MakeItem(1)).ok());
  server_->Shutdown(std::chrono::system_clock::now());
  done_.Get();
  EXPECT_FALSE(writer_->Write(MakeItem(2)).ok());
}

TEST_F(WriterTest, LetsAProducerOutliveTheServer) {
  const auto reader = Open();
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(writer_->Write(MakeItem(i)).code(), absl::StatusCode::kCancelled);
  }
}

TEST_F(WriterTest, DiesWithoutACall) {
  down_ = [](grpc::CallbackServerContext& context) {
    const WriterPointer unused = Writer::Create(context);
    EXPECT_TRUE(unused->Write(MakeItem(1)).ok());
    const WriterPointer writer = Writer::Create(context);
    writer->Finish(absl::OkStatus());
    return writer->reactor();
  };
  const auto reader = stub_->Down(&context_, Item());
  EXPECT_THAT(ReadAll(*reader), IsEmpty());
}

#ifdef GRPCCOMMON_SANITIZED
extern "C" std::size_t __sanitizer_get_current_allocated_bytes();
// A sanitizer keeps freed memory back to find late uses of it; what counts is
// what the program holds.
std::size_t MemoryBytes() { return __sanitizer_get_current_allocated_bytes(); }
#else
std::size_t MemoryBytes() {
  return static_cast<std::size_t>(test::ResidentBytes());
}
#endif

TEST_F(WriterTest, MemoryStaysFlatOverAMillionMessages) {
  constexpr int kCount = 1'000'000;
  const auto reader =
      Open({.max_queued = 256, .slow_reader = SlowReader::kPushBack});
  std::thread producer([this] {
    Item item = MakeItem(0, "", 100);
    for (int i = 0; i < kCount;) {
      item.set_number(i);
      if (writer_->Write(item).ok()) {
        ++i;
      } else {
        std::promise<void> writable;
        writer_->WhenWritable([&] { writable.set_value(); });
        writable.get_future().wait();
      }
    }
    writer_->Finish(absl::OkStatus());
  });
  Item item;
  std::size_t before = 0;
  int count = 0;
  for (; reader->Read(&item); ++count) {
    ASSERT_EQ(item.number(), count);
    if (count == kCount / 10) before = MemoryBytes();
  }
  EXPECT_EQ(count, kCount);
  EXPECT_LT(MemoryBytes(), before + (16 << 20));
  producer.join();
}

TEST_F(WriterTest, EndsTheStreamWhenACallbackThrows) {
  const auto secret = [] { return std::runtime_error("secret"); };
  const std::vector<StreamWriterOptions<Item>> cases = {
      {.max_queued = 1,
       .resume_token = [&](const Item&) -> std::string { throw secret(); }},
      {.max_queued = 1,
       .slow_reader = SlowReader::kKeepLatest,
       .key = [&](const Item&) -> std::string { throw secret(); }},
      {.max_queued = 1,
       .slow_reader = SlowReader::kDropOldest,
       .missed = [&](std::uint64_t) -> Item { throw secret(); }}};
  for (const auto& options : cases) {
    grpc::ClientContext context;
    down_ = [&](grpc::CallbackServerContext& server_context) {
      const WriterPointer writer = Writer::Create(server_context, options);
      for (int i = 0; i < 10; ++i) (void)writer->Write(MakeItem(i));
      return writer->reactor();
    };
    const auto reader = stub_->Down(&context, Item());
    ReadAll(*reader);
    const grpc::Status status = reader->Finish();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
    EXPECT_THAT(status.error_message(), Not(HasSubstr("secret")));
  }
}

class GeneratorWriterTest : public StreamTestServer {
 protected:
  grpc::Status Run(GeneratorWriter<Item>::Generator generator,
                   std::vector<std::int64_t>& numbers) {
    down_ = [&](grpc::CallbackServerContext& context) {
      return GeneratorWriter<Item>::Start(context, generator);
    };
    grpc::ClientContext context;
    const auto reader = stub_->Down(&context, Item());
    numbers.clear();
    for (const Item& item : ReadAll(*reader)) numbers.push_back(item.number());
    return reader->Finish();
  }
};

TEST_F(GeneratorWriterTest, SendsEveryMessageAndThenOk) {
  for (const int count : {0, 1, 2, 3, 1000}) {
    std::vector<std::int64_t> numbers;
    EXPECT_TRUE(
        Run(
            [count, next = 0](Item& item) mutable -> absl::StatusOr<bool> {
              if (next == count) return false;
              item.set_number(next++);
              return true;
            },
            numbers)
            .ok());
    ASSERT_THAT(numbers, SizeIs(count));
    for (int i = 0; i < count; ++i) EXPECT_EQ(numbers[i], i);
  }
}

TEST_F(GeneratorWriterTest, SendsWhatCameBeforeAnError) {
  for (const int count : {0, 1, 5}) {
    std::vector<std::int64_t> numbers;
    const grpc::Status status = Run(
        [count, next = 0](Item& item) mutable -> absl::StatusOr<bool> {
          if (next == count) return absl::DataLossError("broken row");
          item.set_number(next++);
          return true;
        },
        numbers);
    EXPECT_THAT(numbers, SizeIs(count));
    EXPECT_EQ(status.error_code(), grpc::StatusCode::DATA_LOSS);
    EXPECT_EQ(status.error_message(), "broken row");
  }
}

TEST_F(GeneratorWriterTest, EndsWithInternalWhenTheFunctionThrows) {
  std::vector<std::int64_t> numbers;
  const grpc::Status status = Run(
      [next = 0](Item& item) mutable -> absl::StatusOr<bool> {
        if (next == 3) throw std::runtime_error("secret");
        item.set_number(next++);
        return true;
      },
      numbers);
  EXPECT_THAT(numbers, ElementsAre(0, 1, 2));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_THAT(status.error_message(), Not(HasSubstr("secret")));
}

TEST_F(GeneratorWriterTest, StopsWhenTheClientHasGone) {
  Handed<bool> destroyed;
  down_ = [&](grpc::CallbackServerContext& context) {
    std::shared_ptr<void> sentinel(nullptr,
                                   [&](void*) { destroyed.Set(true); });
    return GeneratorWriter<Item>::Start(
        context, [sentinel](Item& item) -> absl::StatusOr<bool> {
          item.set_number(item.number() + 1);
          return true;
        });
  };
  grpc::ClientContext context;
  const auto reader = stub_->Down(&context, Item());
  Item item;
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(reader->Read(&item));
  context.TryCancel();
  EXPECT_TRUE(destroyed.Get());
}

}  // namespace
}  // namespace grpccommon::streamtest
