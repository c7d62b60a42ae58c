// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/stream/broadcaster.h"

#include <malloc.h>

#include <stdexcept>
#include <thread>

#include "gmock/gmock.h"
#include "grpccommon/status/convert.h"
#include "grpccommon/status/details.h"
#include "gtest/gtest.h"
#include "stream/stream_test_server.h"

namespace grpccommon::streamtest {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;
using Writer = StreamWriter<Item>;

class BroadcasterTest : public StreamTestServer {
 protected:
  struct Watcher {
    std::unique_ptr<grpc::ClientContext> context;
    std::unique_ptr<grpc::ClientReader<Item>> reader;

    std::vector<std::int64_t> Numbers() const {
      std::vector<std::int64_t> numbers;
      for (const Item& item : ReadAll(*reader))
        numbers.push_back(item.number());
      return numbers;
    }
  };

  Watcher Watch(Broadcaster<Item>::Filter filter = nullptr,
                StreamWriterOptions<Item> options = {}) {
    down_ = [&](grpc::CallbackServerContext& context) {
      const auto writer = Writer::Create(context, options);
      absl::Status subscribed = broadcaster_->Subscribe(writer, filter);
      if (!subscribed.ok()) writer->Finish(subscribed);
      // After the broadcaster's own, so that it has forgotten the stream.
      writer->WhenDone([this] { done_.Set(true); });
      subscribed_.Set(true);
      return writer->reactor();
    };
    Watcher watcher;
    watcher.context = std::make_unique<grpc::ClientContext>();
    watcher.reader = stub_->Down(watcher.context.get(), Item());
    subscribed_.Get();
    return watcher;
  }

  std::unique_ptr<Broadcaster<Item>> broadcaster_ =
      std::make_unique<Broadcaster<Item>>(
          BroadcasterOptions{.max_watchers = 8});
  Handed<bool> subscribed_;
  Handed<bool> done_;
};

TEST_F(BroadcasterTest, SendsEveryMessageToEveryWatcher) {
  const Watcher a = Watch();
  const Watcher b = Watch();
  EXPECT_EQ(broadcaster_->watchers(), 2u);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(broadcaster_->Publish(MakeItem(i)), 2u);
  broadcaster_->Close(absl::UnavailableError("going down"));
  EXPECT_THAT(a.Numbers(), ElementsAre(0, 1, 2));
  EXPECT_THAT(b.Numbers(), ElementsAre(0, 1, 2));
  EXPECT_EQ(a.reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(broadcaster_->watchers(), 0u);
}

TEST_F(BroadcasterTest, SendsWhatTheFilterWants) {
  const Watcher even =
      Watch([](const Item& item) { return item.number() % 2 == 0; });
  const Watcher all = Watch();
  EXPECT_EQ(broadcaster_->Publish(MakeItem(1)), 1u);
  EXPECT_EQ(broadcaster_->Publish(MakeItem(2)), 2u);
  broadcaster_->Close(absl::UnavailableError(""));
  EXPECT_THAT(even.Numbers(), ElementsAre(2));
  EXPECT_THAT(all.Numbers(), ElementsAre(1, 2));
}

TEST_F(BroadcasterTest, FiltersMayLookAtWhatIsNotInTheMessage) {
  Broadcaster<Item, std::string> broadcaster;
  down_ = [&](grpc::CallbackServerContext& context) {
    const auto writer = Writer::Create(context);
    EXPECT_TRUE(
        broadcaster
            .Subscribe(writer,
                       [](const std::string& owner) { return owner == "ada"; })
            .ok());
    subscribed_.Set(true);
    return writer->reactor();
  };
  grpc::ClientContext context;
  const auto reader = stub_->Down(&context, Item());
  subscribed_.Get();
  const auto message = std::make_shared<const Item>(MakeItem(1));
  EXPECT_EQ(broadcaster.Publish(message, "bob"), 0u);
  EXPECT_EQ(broadcaster.Publish(message, "ada"), 1u);
  broadcaster.Close(absl::UnavailableError(""));
  EXPECT_THAT(ReadAll(*reader), SizeIs(1));
}

TEST_F(BroadcasterTest, SharesOneMessageAmongAll) {
  const Watcher a = Watch();
  const Watcher b = Watch();
  std::weak_ptr<const Item> weak;
  {
    auto message = std::make_shared<const Item>(MakeItem(1));
    weak = message;
    EXPECT_EQ(broadcaster_->Publish(std::move(message)), 2u);
  }
  broadcaster_->Close(absl::UnavailableError(""));
  a.Numbers();
  b.Numbers();
  done_.Get();
  done_.Get();
}

TEST_F(BroadcasterTest, AllWatchersSeeOneOrderOfManyPublishers) {
  constexpr int kEach = 2000;
  std::vector<Watcher> watchers;
  for (int i = 0; i < 3; ++i) {
    watchers.push_back(Watch(nullptr, {.max_queued = std::size_t{4} * kEach}));
  }
  std::vector<std::thread> publishers;
  for (int t = 0; t < 4; ++t) {
    publishers.emplace_back([this, t] {
      for (int i = 0; i < kEach; ++i) {
        EXPECT_EQ(broadcaster_->Publish(MakeItem(t * kEach + i)), 3u);
      }
    });
  }
  for (std::thread& publisher : publishers) publisher.join();
  broadcaster_->Close(absl::UnavailableError(""));
  const std::vector<std::int64_t> first = watchers[0].Numbers();
  EXPECT_THAT(first, SizeIs(4 * kEach));
  EXPECT_EQ(watchers[1].Numbers(), first);
  EXPECT_EQ(watchers[2].Numbers(), first);
}

TEST_F(BroadcasterTest, ASlowWatcherHoldsUpNobody) {
  const Watcher slow = Watch(nullptr, {.max_queued = 4});
  const Watcher fast = Watch(nullptr, {.max_queued = 1000});
  Item item;
  int published = 0;
  while (broadcaster_->watchers() == 2 && published < 1000) {
    broadcaster_->Publish(MakeItem(published++, "", 100'000));
    ASSERT_TRUE(fast.reader->Read(&item));
  }
  EXPECT_LT(published, 1000);
  EXPECT_EQ(broadcaster_->Publish(MakeItem(published)), 1u);
  ASSERT_TRUE(fast.reader->Read(&item));
  EXPECT_EQ(item.number(), published);
  ReadAll(*slow.reader);
  EXPECT_EQ(ReasonOf(FromGrpcStatus(slow.reader->Finish())), "SLOW_READER");
}

TEST_F(BroadcasterTest, KeepsAWatcherThatIsPushedBack) {
  const Watcher slow =
      Watch(nullptr, {.max_queued = 2, .slow_reader = SlowReader::kPushBack});
  while (broadcaster_->Publish(MakeItem(0, "", 100'000)) == 1) {
  }
  EXPECT_EQ(broadcaster_->watchers(), 1u);
}

TEST_F(BroadcasterTest, ForgetsAWatcherThatHasGone) {
  const Watcher stays = Watch();
  {
    const Watcher goes = Watch();
    goes.context->TryCancel();
    done_.Get();
  }
  EXPECT_EQ(broadcaster_->watchers(), 1u);
  EXPECT_EQ(broadcaster_->Publish(MakeItem(1)), 1u);
}

TEST_F(BroadcasterTest, StopsSendingAfterUnsubscribe) {
  std::shared_ptr<Writer> writer;
  down_ = [&](grpc::CallbackServerContext& context) {
    writer = Writer::Create(context);
    EXPECT_TRUE(broadcaster_->Subscribe(writer).ok());
    EXPECT_EQ(broadcaster_->Subscribe(writer).code(),
              absl::StatusCode::kAlreadyExists);
    EXPECT_EQ(broadcaster_->Publish(MakeItem(1)), 1u);
    broadcaster_->Unsubscribe(*writer);
    broadcaster_->Unsubscribe(*writer);
    EXPECT_EQ(broadcaster_->Publish(MakeItem(2)), 0u);
    writer->Finish(absl::OkStatus());
    return writer->reactor();
  };
  grpc::ClientContext context;
  const auto reader = stub_->Down(&context, Item());
  const std::vector<Item> items = ReadAll(*reader);
  ASSERT_THAT(items, SizeIs(1));
  EXPECT_EQ(items[0].number(), 1);
}

TEST_F(BroadcasterTest, AStreamThatComesAndGoesAgainLeavesNothing) {
  grpc::CallbackServerContext context;
  const auto writer = Writer::Create(context);
  const auto twice = [&] {
    EXPECT_TRUE(broadcaster_->Subscribe(writer).ok());
    broadcaster_->Unsubscribe(*writer);
  };
  twice();
  // All by this thread, and so in glibc's main arena; nothing with a sanitizer.
  const std::size_t before = mallinfo2().uordblks;
  for (int i = 0; i < 10'000; ++i) twice();
  EXPECT_LT(mallinfo2().uordblks, before + (64 << 10));
}

TEST_F(BroadcasterTest, ForgetsAStreamThatWasSubscribedTwice) {
  std::shared_ptr<Writer> writer;
  down_ = [&](grpc::CallbackServerContext& context) {
    writer = Writer::Create(context);
    EXPECT_TRUE(broadcaster_->Subscribe(writer).ok());
    broadcaster_->Unsubscribe(*writer);
    EXPECT_TRUE(broadcaster_->Subscribe(writer).ok());
    writer->WhenDone([this] { done_.Set(true); });
    writer->Finish(absl::OkStatus());
    return writer->reactor();
  };
  grpc::ClientContext context;
  const auto reader = stub_->Down(&context, Item());
  EXPECT_THAT(ReadAll(*reader), SizeIs(0));
  done_.Get();
  EXPECT_EQ(broadcaster_->watchers(), 0u);
  // It is over, which a stream says at once.
  EXPECT_TRUE(broadcaster_->Subscribe(writer).ok());
  EXPECT_EQ(broadcaster_->watchers(), 0u);
}

TEST_F(BroadcasterTest, RefusesMoreThanItsLimit) {
  std::vector<Watcher> watchers;
  for (int i = 0; i < 8; ++i) watchers.push_back(Watch());
  const Watcher refused = Watch();
  ReadAll(*refused.reader);
  const absl::Status status = FromGrpcStatus(refused.reader->Finish());
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(status), "TOO_MANY_WATCHERS");
}

TEST_F(BroadcasterTest, RefusesNewWatchersAfterClose) {
  broadcaster_->Close(absl::UnavailableError("going down"));
  broadcaster_->Close(absl::InternalError("a second one"));
  const Watcher refused = Watch();
  ReadAll(*refused.reader);
  const grpc::Status status = refused.reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "going down");
}

TEST_F(BroadcasterTest, FinishesAllAndGoesOn) {
  const Watcher before = Watch();
  broadcaster_->Publish(MakeItem(1));
  broadcaster_->FinishAll(absl::AbortedError("begin anew"));
  EXPECT_EQ(broadcaster_->watchers(), 0u);
  const Watcher after = Watch();
  EXPECT_EQ(broadcaster_->Publish(MakeItem(2)), 1u);
  EXPECT_THAT(before.Numbers(), ElementsAre(1));
  EXPECT_EQ(before.reader->Finish().error_code(), grpc::StatusCode::ABORTED);
  broadcaster_->Close(absl::UnavailableError(""));
  EXPECT_THAT(after.Numbers(), ElementsAre(2));
}

TEST_F(BroadcasterTest, CutsWatchersThatDoNotRead) {
  const Watcher watcher = Watch();
  for (int i = 0; i < 20; ++i) {
    broadcaster_->Publish(MakeItem(i, "", 100'000));
  }
  broadcaster_->Cut(absl::UnavailableError("going down"));
  done_.Get();
  watcher.Numbers();
  EXPECT_EQ(watcher.reader->Finish().error_code(),
            grpc::StatusCode::UNAVAILABLE);
  const Watcher refused = Watch();
  ReadAll(*refused.reader);
  EXPECT_EQ(refused.reader->Finish().error_message(), "going down");
}

TEST_F(BroadcasterTest, AThrowingFilterEndsOnlyItsOwnWatcher) {
  const Watcher broken =
      Watch([](const Item&) -> bool { throw std::runtime_error("secret"); });
  const Watcher fine = Watch();
  EXPECT_EQ(broadcaster_->Publish(MakeItem(1)), 1u);
  ReadAll(*broken.reader);
  EXPECT_EQ(broken.reader->Finish().error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(broadcaster_->watchers(), 1u);
  broadcaster_->Close(absl::UnavailableError(""));
  EXPECT_THAT(fine.Numbers(), ElementsAre(1));
}

TEST_F(BroadcasterTest, MayDieBeforeItsWatchers) {
  const Watcher watcher = Watch();
  broadcaster_.reset();
  EXPECT_THAT(watcher.Numbers(), SizeIs(0));
  EXPECT_EQ(watcher.reader->Finish().error_code(),
            grpc::StatusCode::UNAVAILABLE);
  done_.Get();
}

TEST_F(BroadcasterTest, SurvivesWatchersThatComeAndGo) {
  std::atomic<bool> stop = false;
  std::thread publisher([&] {
    for (int i = 0; !stop; ++i) broadcaster_->Publish(MakeItem(i));
  });
  for (int round = 0; round < 100; ++round) {
    const Watcher watcher = Watch(
        nullptr, {.max_queued = 16, .slow_reader = SlowReader::kDropOldest});
    Item item;
    std::int64_t last = -1;
    for (int i = 0; i < 5 && watcher.reader->Read(&item); ++i) {
      EXPECT_GT(item.number(), last);
      last = item.number();
    }
    watcher.context->TryCancel();
    done_.Get();
  }
  stop = true;
  publisher.join();
  EXPECT_EQ(broadcaster_->watchers(), 0u);
}

}  // namespace
}  // namespace grpccommon::streamtest
