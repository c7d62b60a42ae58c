// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/stream/state_feed.h"

#include <atomic>
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
using ::testing::IsEmpty;
using Feed = StateFeed<Item>;
using Writer = StreamWriter<Item>;

// The state is its version. A message has the version that it brings to as its
// number, and the one that it starts from as its key.
class StateFeedTest : public StreamTestServer {
 protected:
  void TearDown() override {
    feed_.reset();
    StreamTestServer::TearDown();
  }

  struct Watcher {
    std::unique_ptr<grpc::ClientContext> context;
    std::unique_ptr<grpc::ClientReader<Item>> reader;

    // "from>to" of the next message; the end as its code.
    std::string Next() const {
      Item item;
      if (reader->Read(&item)) {
        return item.key() + ">" + std::to_string(item.number());
      }
      return "ended " + std::to_string(reader->Finish().error_code());
    }
  };

  Feed::Update Make(std::int64_t from) {
    ++made_;
    const std::int64_t to =
        step_ > 0 ? std::min(from + step_, version_.load()) : version_.load();
    return {.message = std::make_shared<const Item>(
                MakeItem(to, std::to_string(from), bytes_)),
            .version = to};
  }
  void Advance(std::int64_t version) {
    version_ = version;
    feed_->Advance(version);
  }

  Watcher Watch(std::int64_t from = Feed::kNothing) {
    down_ = [this, from](grpc::CallbackServerContext& context) {
      const auto writer = Writer::Create(context);
      const absl::Status subscribed = feed_->Subscribe(writer, from);
      if (!subscribed.ok()) writer->Finish(subscribed);
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

  std::atomic<std::int64_t> version_ = 0;
  std::atomic<std::int64_t> step_ = 0;
  std::atomic<std::size_t> bytes_ = 0;
  std::atomic<int> made_ = 0;
  std::unique_ptr<Feed> feed_ =
      std::make_unique<Feed>([this](std::int64_t from) { return Make(from); },
                             StateFeedOptions{.max_watchers = 8});
  Handed<bool> subscribed_;
  Handed<bool> done_;
};

TEST_F(StateFeedTest, BringsANewWatcherToTheStateAndThenTellsChanges) {
  Advance(3);
  const Watcher watcher = Watch();
  EXPECT_EQ(watcher.Next(), "-1>3");
  Advance(4);
  EXPECT_EQ(watcher.Next(), "3>4");
  Advance(9);
  EXPECT_EQ(watcher.Next(), "4>9");
}

TEST_F(StateFeedTest, TellsNothingBeforeThereIsAState) {
  const Watcher watcher = Watch();
  EXPECT_EQ(made_, 0);
  Advance(0);
  EXPECT_EQ(watcher.Next(), "-1>0");
}

TEST_F(StateFeedTest, TellsAWatcherThatResumesOnlyWhatItLacks) {
  Advance(5);
  const Watcher behind = Watch(2);
  EXPECT_EQ(behind.Next(), "2>5");
  const Watcher level = Watch(5);
  Advance(6);
  EXPECT_EQ(level.Next(), "5>6");
  EXPECT_EQ(behind.Next(), "5>6");
}

TEST_F(StateFeedTest, MakesAMessageOnceForAllThatLackTheSame) {
  Advance(1);
  std::vector<Watcher> watchers;
  for (int i = 0; i < 5; ++i) {
    watchers.push_back(Watch());
    EXPECT_EQ(watchers.back().Next(), "-1>1");
  }
  EXPECT_EQ(made_, 1);
  Advance(2);
  for (const Watcher& watcher : watchers) EXPECT_EQ(watcher.Next(), "1>2");
  EXPECT_EQ(made_, 2);
}

TEST_F(StateFeedTest, SendsAStateOfSeveralPartsInOrder) {
  step_ = 2;
  Advance(5);
  const Watcher watcher = Watch(0);
  EXPECT_EQ(watcher.Next(), "0>2");
  EXPECT_EQ(watcher.Next(), "2>4");
  EXPECT_EQ(watcher.Next(), "4>5");
  Advance(6);
  EXPECT_EQ(watcher.Next(), "5>6");
}

TEST_F(StateFeedTest, SkipsVersionsThatNeedNoMessage) {
  Feed feed([](std::int64_t from) -> Feed::Update {
    if (from < 2) return {.version = from + 1};
    return {.message = std::make_shared<const Item>(MakeItem(from)),
            .version = from + 1};
  });
  down_ = [&](grpc::CallbackServerContext& context) {
    const auto writer = Writer::Create(context);
    EXPECT_TRUE(feed.Subscribe(writer, 0).ok());
    return writer->reactor();
  };
  feed.Advance(3);
  grpc::ClientContext context;
  const auto reader = stub_->Down(&context, Item());
  Item item;
  ASSERT_TRUE(reader->Read(&item));
  EXPECT_EQ(item.number(), 2);
}

TEST_F(StateFeedTest, AVersionThatIsNotNewChangesNothing) {
  Advance(4);
  const Watcher watcher = Watch();
  EXPECT_EQ(watcher.Next(), "-1>4");
  feed_->Advance(4);
  feed_->Advance(2);
  Advance(5);
  EXPECT_EQ(watcher.Next(), "4>5");
}

TEST_F(StateFeedTest, ASlowWatcherGetsTheLatestStateAndHoldsUpNobody) {
  constexpr int kVersions = 200;
  bytes_ = 20'000;  // a client that does not read takes three or four of these
  const Watcher slow = Watch();
  const Watcher fast = Watch();
  std::int64_t seen = Feed::kNothing;
  for (int version = 0; version < kVersions; ++version) {
    Advance(version);
    Item item;
    ASSERT_TRUE(fast.reader->Read(&item));
    EXPECT_EQ(item.key(), std::to_string(seen));
    seen = item.number();
  }
  EXPECT_EQ(seen, kVersions - 1);
  Item item;
  std::int64_t has = Feed::kNothing;
  int messages = 0;
  while (has < kVersions - 1 && slow.reader->Read(&item)) {
    EXPECT_EQ(item.key(), std::to_string(has)) << "a gap";
    has = item.number();
    ++messages;
  }
  EXPECT_EQ(has, kVersions - 1);
  EXPECT_LT(messages, 20) << "it was queued";
}

TEST_F(StateFeedTest, EveryWatcherEndsUpWithTheLastVersionOfManyPublishers) {
  constexpr int kEach = 500;
  std::vector<Watcher> watchers;
  for (int i = 0; i < 4; ++i) watchers.push_back(Watch());
  std::vector<std::thread> publishers;
  std::atomic<std::int64_t> next = 0;
  for (int t = 0; t < 4; ++t) {
    publishers.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) {
        const std::int64_t version = ++next;
        std::int64_t known = version_;
        while (known < version &&
               !version_.compare_exchange_weak(known, version)) {
        }
        feed_->Advance(version);
      }
    });
  }
  for (const Watcher& watcher : watchers) {
    Item item;
    std::int64_t has = Feed::kNothing;
    while (has < std::int64_t{4} * kEach && watcher.reader->Read(&item)) {
      EXPECT_EQ(item.key(), std::to_string(has));
      has = item.number();
    }
    EXPECT_EQ(has, 4 * kEach);
  }
  for (std::thread& publisher : publishers) publisher.join();
}

TEST_F(StateFeedTest, ForgetsAWatcherThatHasGone) {
  const Watcher stays = Watch();
  {
    const Watcher goes = Watch();
    goes.context->TryCancel();
    done_.Get();
  }
  EXPECT_EQ(feed_->watchers(), 1u);
  Advance(1);
  EXPECT_EQ(stays.Next(), "-1>1");
}

TEST_F(StateFeedTest, RefusesMoreThanItsLimit) {
  std::vector<Watcher> watchers;
  for (int i = 0; i < 8; ++i) watchers.push_back(Watch());
  const Watcher refused = Watch();
  Item item;
  EXPECT_FALSE(refused.reader->Read(&item));
  const absl::Status status = FromGrpcStatus(refused.reader->Finish());
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(status), "TOO_MANY_WATCHERS");
}

TEST_F(StateFeedTest, CloseEndsAllAndRefusesNewOnes) {
  Advance(1);
  const Watcher watcher = Watch();
  EXPECT_EQ(watcher.Next(), "-1>1");
  feed_->Close(absl::UnavailableError("going down"));
  feed_->Close(absl::InternalError("a second one"));
  EXPECT_EQ(watcher.Next(), "ended 14");
  EXPECT_EQ(Watch().Next(), "ended 14");
  Advance(2);
  EXPECT_EQ(feed_->watchers(), 0u);
}

TEST_F(StateFeedTest, AThrowingMakeEndsTheWatcher) {
  Feed feed(
      [](std::int64_t) -> Feed::Update { throw std::runtime_error("secret"); });
  down_ = [&](grpc::CallbackServerContext& context) {
    const auto writer = Writer::Create(context);
    EXPECT_TRUE(feed.Subscribe(writer).ok());
    return writer->reactor();
  };
  feed.Advance(1);
  grpc::ClientContext context;
  const auto reader = stub_->Down(&context, Item());
  Item item;
  EXPECT_FALSE(reader->Read(&item));
  const grpc::Status status = reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(status.error_message().find("secret"), std::string::npos);
}

TEST_F(StateFeedTest, AMakeThatBringsNobodyOnEndsTheWatcher) {
  for (const bool with_message : {false, true}) {
    std::atomic<int> made = 0;
    Feed feed([&](std::int64_t from) -> Feed::Update {
      // Ends what would go on for ever.
      if (++made == 100) return {.version = from + 1};
      return {
          .message = with_message ? std::make_shared<const Item>() : nullptr,
          .version = from};
    });
    down_ = [&](grpc::CallbackServerContext& context) {
      const auto writer = Writer::Create(context);
      EXPECT_TRUE(feed.Subscribe(writer).ok());
      return writer->reactor();
    };
    feed.Advance(1);
    grpc::ClientContext context;
    const auto reader = stub_->Down(&context, Item());
    Item item;
    EXPECT_FALSE(reader->Read(&item));
    EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::INTERNAL);
    EXPECT_EQ(made, 1);
  }
}

TEST_F(StateFeedTest, MayDieBeforeItsWatchers) {
  Advance(1);
  const Watcher watcher = Watch();
  EXPECT_EQ(watcher.Next(), "-1>1");
  feed_.reset();
  EXPECT_EQ(watcher.Next(), "ended 14");
  done_.Get();
}

TEST_F(StateFeedTest, SurvivesWatchersThatComeAndGo) {
  std::atomic<bool> stop = false;
  std::thread publisher([&] {
    for (int version = 1; !stop; ++version) Advance(version);
  });
  for (int round = 0; round < 100; ++round) {
    const Watcher watcher = Watch();
    Item item;
    std::string has = "-1";
    for (int i = 0; i < 5 && watcher.reader->Read(&item); ++i) {
      EXPECT_EQ(item.key(), has);
      has = std::to_string(item.number());
    }
    watcher.context->TryCancel();
    done_.Get();
  }
  stop = true;
  publisher.join();
  EXPECT_EQ(feed_->watchers(), 0u);
}

}  // namespace
}  // namespace grpccommon::streamtest
