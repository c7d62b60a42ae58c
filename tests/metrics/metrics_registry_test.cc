// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/metrics/metrics_registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <stdexcept>
#include <string>
#include <thread>

#include "grpccommon/base/mutex.h"
#include "prometheus/counter.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"

namespace grpccommon {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class RecordingSink : public LogSink {
 public:
  void Write(std::string_view line) override {
    const MutexLock lock(mutex_);
    text_ += line;
    ++lines_;
  }
  void Flush() override {}

  std::string text() const {
    const MutexLock lock(mutex_);
    return text_;
  }
  int lines() const {
    const MutexLock lock(mutex_);
    return lines_;
  }

 private:
  mutable Mutex mutex_;
  std::string text_ ABSL_GUARDED_BY(mutex_);
  int lines_ ABSL_GUARDED_BY(mutex_) = 0;
};

class MetricsRegistryTest : public ::testing::Test {
 protected:
  // The refusal that a counter of these names meets.
  std::string Refusal(std::string name, std::string help,
                      std::vector<std::string> labels = {}) {
    const absl::Status status =
        registry_
            .AddCounter(std::move(name), std::move(help),
                        {.labels = std::move(labels)})
            .status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  }

  std::shared_ptr<RecordingSink> sink_ = std::make_shared<RecordingSink>();
  MetricsRegistry registry_{
      {.process_metrics = false, .logger = Logger(sink_, "test")}};
};

TEST_F(MetricsRegistryTest, ExposesEachKindInTheTextFormat) {
  (*registry_.AddCounter("b_orders_total", "Orders placed.",
                         {.labels = {"kind", "place"}}))
      ->With({"book", "a\"b\\c\nd"})
      .Increment(3);
  (*registry_.AddUpDownCounter("c_open", "Open now."))->With().Add(-2);
  (*registry_.AddGauge("d_ratio", "How full."))->With().Set(0.25);
  Histogram& histogram =
      (*registry_.AddHistogram("a_wait_seconds", "Time spent waiting.",
                               {.buckets = {0.5, 1.0}}))
          ->With();
  histogram.Observe(0.25);
  histogram.Observe(4.0);

  EXPECT_THAT(registry_.Expose(),
              HasSubstr(R"(# HELP a_wait_seconds Time spent waiting.
# TYPE a_wait_seconds histogram
a_wait_seconds_count 2
a_wait_seconds_sum 4.25
a_wait_seconds_bucket{le="0.5"} 1
a_wait_seconds_bucket{le="1"} 1
a_wait_seconds_bucket{le="+Inf"} 2
# HELP b_orders_total Orders placed.
# TYPE b_orders_total counter
b_orders_total{kind="book",place="a\"b\\c\nd"} 3
# HELP c_open Open now.
# TYPE c_open gauge
c_open -2
# HELP d_ratio How full.
# TYPE d_ratio gauge
d_ratio 0.25
)"));
}

TEST_F(MetricsRegistryTest, ExposesTheVersionsItWasBuiltWith) {
  EXPECT_THAT(registry_.Expose(),
              ::testing::ContainsRegex(
                  "grpccommon_build_info\\{version=\"[0-9.]+\",grpc_version="
                  "\"[0-9.]+\",protobuf_version=\"[0-9.]+\",compiler=\"[^\"]+"
                  "\"\\} 1\n"));
}

TEST_F(MetricsRegistryTest, ExposesWhatRunsHere) {
  const MetricsRegistry registry(
      {.service = "greeter", .service_version = "1.2\xFF"});
  EXPECT_THAT(
      registry.Expose(),
      HasSubstr(",service=\"greeter\",service_version=\"1.2\uFFFD\"} 1\n"));
}

TEST_F(MetricsRegistryTest, AFamilyWithoutChildrenIsNotExposed) {
  ASSERT_TRUE(
      registry_
          .AddCounter("orders_total", "Orders placed.", {.labels = {"kind"}})
          .ok());
  EXPECT_THAT(registry_.Expose(), Not(HasSubstr("orders_total{")));
  EXPECT_THAT(registry_.Expose(), Not(HasSubstr("TYPE orders_total")));
}

TEST_F(MetricsRegistryTest, TheSameLabelValuesGiveTheSameChild) {
  CounterFamily& orders = **registry_.AddCounter(
      "orders_total", "Orders placed.", {.labels = {"kind", "place"}});
  Counter& first = orders.With({"a", "b"});
  EXPECT_EQ(&orders.With({"a", "b"}), &first);
  EXPECT_NE(&orders.With({"b", "a"}), &first);
  EXPECT_NE(&orders.With({"ab", ""}), &first);
}

TEST_F(MetricsRegistryTest, AddingTheSameAgainGivesTheFirstOne) {
  const auto first =
      registry_.AddCounter("orders_total", "Orders.", {.labels = {"kind"}});
  const auto second = registry_.AddCounter("orders_total", "Orders, again.",
                                           {.labels = {"kind"}});
  ASSERT_TRUE(first.ok());
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(*first, *second);
  EXPECT_EQ(*registry_.AddHistogram("a_seconds", "A."),
            *registry_.AddHistogram("a_seconds", "A."));
}

TEST_F(MetricsRegistryTest, RefusesANameThatSomethingElseBears) {
  const auto code = [](const auto& added) { return added.status().code(); };
  constexpr auto kTaken = absl::StatusCode::kAlreadyExists;
  ASSERT_TRUE(registry_.AddGauge("a", "A.").ok());
  EXPECT_EQ(code(registry_.AddGauge("a", "A.", {.labels = {"x"}})), kTaken);
  EXPECT_EQ(code(registry_.AddUpDownCounter("a", "A.")), kTaken);
  EXPECT_EQ(code(registry_.AddHistogram("a", "A.")), kTaken);
  EXPECT_EQ(code(registry_.AddCallbackGauge("a", "A.", [] { return 1.0; })),
            kTaken);
  const auto callback =
      registry_.AddCallbackGauge("b", "B.", [] { return 1.0; });
  EXPECT_EQ(code(registry_.AddGauge("b", "B.")), kTaken);
  EXPECT_EQ(code(registry_.AddGauge("grpccommon_build_info", "B.")), kTaken);
}

TEST_F(MetricsRegistryTest, RefusesTheNamesThatAHistogramAddsToItsOwn) {
  ASSERT_TRUE(registry_.AddHistogram("a_seconds", "A.").ok());
  for (const char* name :
       {"a_seconds_bucket", "a_seconds_count", "a_seconds_sum"}) {
    const absl::Status status = registry_.AddGauge(name, "A.").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
    EXPECT_THAT(std::string(status.message()), HasSubstr(name));
  }
  ASSERT_TRUE(registry_.AddGauge("b_seconds_sum", "B.").ok());
  EXPECT_EQ(registry_.AddHistogram("b_seconds", "B.").status().code(),
            absl::StatusCode::kAlreadyExists);
}

TEST_F(MetricsRegistryTest, RefusesTheNamesOfTheProcess) {
  MetricsRegistry registry({.process_metrics = true, .logger = Logger()});
  EXPECT_EQ(registry.AddGauge("process_threads", "T.").status().code(),
            absl::StatusCode::kAlreadyExists);
}

TEST_F(MetricsRegistryTest, RefusesBadNamesByName) {
  for (const char* name : {"", "1a_total", "a-b_total", "a:b_total",
                           "a b_total", "\xC3\xA9_total", "a\n_total"}) {
    EXPECT_THAT(Refusal(name, "Help."),
                AllOf(HasSubstr(name), HasSubstr("letters, digits")));
  }
  EXPECT_THAT(Refusal("orders", "Help."),
              AllOf(HasSubstr("\"orders\""), HasSubstr("end in _total")));
  EXPECT_THAT(
      std::string(registry_.AddGauge("a_total", "A.").status().message()),
      HasSubstr("only a counter's name"));
}

TEST_F(MetricsRegistryTest, RefusesBadHelpTexts) {
  for (const char* help : {"", "two\nlines", "back\\slash", "\xFF", "\x7F"}) {
    EXPECT_THAT(Refusal("a_total", help), HasSubstr("help text"));
  }
}

TEST_F(MetricsRegistryTest, RefusesBadLabelsByName) {
  for (const char* label : {"", "1a", "a-b", "__name__", "a:b"}) {
    EXPECT_THAT(Refusal("a_total", "A.", {"good", label}),
                HasSubstr("label \"" + std::string(label) + "\""));
  }
  EXPECT_THAT(Refusal("a_total", "A.", {"x", "y", "x"}),
              HasSubstr("label \"x\" is there twice"));
  EXPECT_THAT(
      std::string(registry_.AddHistogram("a_seconds", "A.", {.labels = {"le"}})
                      .status()
                      .message()),
      HasSubstr("\"le\" belongs to the histogram"));
}

TEST_F(MetricsRegistryTest, RefusesOptionsOutOfRangeByMetric) {
  const auto message = [](const auto& added) {
    EXPECT_EQ(added.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(added.status().message());
  };
  EXPECT_THAT(
      message(registry_.AddHistogram("a_seconds", "A.", {.buckets = {2, 1}})),
      AllOf(HasSubstr("a_seconds"), HasSubstr("ascending")));
  EXPECT_THAT(
      message(registry_.AddCounter("a_total", "A.", {.max_children = 0})),
      AllOf(HasSubstr("a_total"), HasSubstr("max_children")));
  EXPECT_THAT(
      message(registry_.AddGauge("a", "A.", {.max_children = 1'000'001})),
      HasSubstr("max_children"));
  EXPECT_THAT(message(registry_.AddCallbackGauge("a", "A.", nullptr)),
              AllOf(HasSubstr("\"a\""), HasSubstr("must not be null")));
  // Nothing of a refused metric stays behind.
  EXPECT_TRUE(registry_.AddGauge("a", "A.").ok());
}

TEST_F(MetricsRegistryTest, BeyondTheLimitOfChildrenTheRestIsOther) {
  CounterFamily& orders = **registry_.AddCounter(
      "orders_total", "Orders.", {.labels = {"kind"}, .max_children = 2});
  EXPECT_THAT(
      registry_.Expose(),
      HasSubstr(
          "grpccommon_metrics_overflow_total{family=\"orders_total\"} 0\n"));
  Counter& first = orders.With({"a"});
  orders.With({"b"}).Increment(1);
  EXPECT_EQ(sink_->lines(), 0);

  Counter& other = orders.With({"c"});
  other.Increment(10);
  EXPECT_EQ(&orders.With({"d"}), &other);
  EXPECT_EQ(&orders.With({"other"}), &other);
  EXPECT_EQ(&orders.With({"a"}), &first);

  EXPECT_THAT(
      registry_.Expose(),
      AllOf(HasSubstr("orders_total{kind=\"other\"} 10\n"),
            Not(HasSubstr("kind=\"c\"")),
            HasSubstr("grpccommon_metrics_overflow_total{family=\"orders_"
                      "total\"} 2\n")));
  EXPECT_EQ(sink_->lines(), 1) << sink_->text();
  EXPECT_THAT(sink_->text(), AllOf(HasSubstr("\"metric\":\"orders_total\""),
                                   HasSubstr("\"max_children\":2")));
}

TEST_F(MetricsRegistryTest, TheLimitJoinsAnOtherThatIsThereAlready) {
  CounterFamily& orders = **registry_.AddCounter(
      "orders_total", "Orders.", {.labels = {"kind"}, .max_children = 1});
  Counter& other = orders.With({"other"});
  EXPECT_EQ(&orders.With({"a"}), &other);
}

TEST_F(MetricsRegistryTest, LabelValuesAreMadeValidUtf8AndCut) {
  CounterFamily& orders =
      **registry_.AddCounter("orders_total", "Orders.", {.labels = {"kind"}});
  Counter& bad = orders.With({"a\xFF"});
  bad.Increment();
  EXPECT_EQ(&orders.With({"a\uFFFD"}), &bad);
  EXPECT_EQ(&orders.With({"a\xFF"}), &bad);
  Counter& long_one = orders.With({std::string(300, 'x')});
  EXPECT_EQ(&orders.With({std::string(256, 'x')}), &long_one);
  // Repairing makes it longer, so it is cut after that.
  orders.With({std::string(256, '\xFF')}).Increment();

  const std::string text = registry_.Expose();
  EXPECT_THAT(text, AllOf(HasSubstr("{kind=\"a\uFFFD\"} 1\n"),
                          HasSubstr("\"" + std::string(256, 'x') + "\"")));
  std::string repaired;
  for (int i = 0; i < 85; ++i) repaired += "\uFFFD";
  EXPECT_THAT(text, HasSubstr("{kind=\"" + repaired + "\"} 1\n"));
}

TEST_F(MetricsRegistryTest, AChildOfItsOwnBucketsKeepsThem) {
  HistogramFamily& waits = **registry_.AddHistogram(
      "wait_seconds", "Waiting.", {.labels = {"kind"}, .buckets = {1.0}});
  const std::vector<std::string_view> slow = {"slow"};
  Histogram& child = waits.WithBuckets(slow, {10.0, 20.0});
  EXPECT_EQ(child.bounds(), (std::vector<double>{10.0, 20.0}));
  EXPECT_EQ(&waits.With(slow), &child);
  EXPECT_EQ(waits.With({"fast"}).bounds(), (std::vector<double>{1.0}));
}

TEST_F(MetricsRegistryTest, ACallbackIsAskedAtEachScrapeUntilItIsTakenOut) {
  double depth = 3;
  {
    const auto registration = registry_.AddCallbackGauge(
        "queue_depth", "Waiting now.", [&] { return depth; });
    ASSERT_TRUE(registration.ok());
    EXPECT_THAT(registry_.Expose(), HasSubstr("\nqueue_depth 3\n"));
    depth = 4;
    EXPECT_THAT(registry_.Expose(), HasSubstr("\nqueue_depth 4\n"));
  }
  EXPECT_THAT(registry_.Expose(), Not(HasSubstr("queue_depth")));
}

TEST_F(MetricsRegistryTest, CallbacksOfOneNameAreAddedUpByTheirLabels) {
  const auto samples = [](std::vector<MetricSample> list) {
    return [list] { return list; };
  };
  const auto one = registry_.AddCallbackCounter(
      "lost_total", "Lost.", {"what"},
      samples({{{"lines"}, 1.0}, {{"spans"}, 2.0}}));
  auto two = registry_.AddCallbackCounter("lost_total", "Lost.", {"what"},
                                          samples({{{"spans"}, 5.0}}));
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_THAT(registry_.Expose(), HasSubstr("# TYPE lost_total counter\n"
                                            "lost_total{what=\"lines\"} 1\n"
                                            "lost_total{what=\"spans\"} 7\n"));
  *two = MetricRegistration();
  EXPECT_THAT(registry_.Expose(), HasSubstr("lost_total{what=\"spans\"} 2\n"));
}

TEST_F(MetricsRegistryTest, ACallbackThatThrowsIsLeftOutAndReportedOnce) {
  const auto bad = registry_.AddCallbackGauge(
      "bad", "Bad.", []() -> double { throw std::runtime_error("secret"); });
  const auto worse = registry_.AddCallbackGauge("worse", "Worse.",
                                                []() -> double { throw 1; });
  const auto good =
      registry_.AddCallbackGauge("good", "Good.", [] { return 1.0; });
  for (int scrape = 0; scrape < 3; ++scrape) {
    EXPECT_THAT(registry_.Expose(),
                AllOf(HasSubstr("\ngood 1\n"), Not(HasSubstr("bad")),
                      Not(HasSubstr("worse"))));
  }
  EXPECT_EQ(sink_->lines(), 2) << sink_->text();
  EXPECT_THAT(sink_->text(), Not(HasSubstr("secret")));
}

TEST_F(MetricsRegistryTest, ASampleWithTooFewLabelValuesIsLeftOut) {
  const auto registration =
      registry_.AddCallbackGauge("depth", "Depth.", {"a", "b"}, [] {
        return std::vector<MetricSample>{
            {{"x"}, 1.0}, {{"x", "y\xFF"}, 2.0}, {{"x", "y", "z"}, 3.0}};
      });
  EXPECT_THAT(
      registry_.Expose(),
      HasSubstr("# TYPE depth gauge\ndepth{a=\"x\",b=\"y\uFFFD\"} 2\n"));
  EXPECT_THAT(registry_.Expose(), Not(HasSubstr("\"z\"")));
  EXPECT_EQ(sink_->lines(), 1) << sink_->text();
}

TEST_F(MetricsRegistryTest, TakingACallbackOutWaitsUntilItHasEnded) {
  std::promise<void> entered;
  std::promise<void> may_end;
  std::atomic<bool> ended = false;
  auto registration = registry_.AddCallbackGauge("depth", "Depth.", [&] {
    entered.set_value();
    may_end.get_future().wait();
    ended = true;
    return 1.0;
  });
  std::jthread scrape([&] { (void)registry_.Expose(); });
  entered.get_future().wait();
  std::jthread removal([&] {
    *registration = MetricRegistration();
    EXPECT_TRUE(ended);
  });
  may_end.set_value();
}

TEST_F(MetricsRegistryTest, ACallbackMayTakeItselfOut) {
  MetricRegistration self;
  self = *registry_.AddCallbackGauge("depth", "Depth.", [&] {
    self = MetricRegistration();
    return 1.0;
  });
  EXPECT_THAT(registry_.Expose(), HasSubstr("\ndepth 1\n"));
  EXPECT_THAT(registry_.Expose(), Not(HasSubstr("depth")));
}

TEST_F(MetricsRegistryTest, ARegistrationMayOutliveTheRegistry) {
  MetricRegistration registration;
  {
    MetricsRegistry registry;
    registration = *registry.AddCallbackGauge("a", "A.", [] { return 1.0; });
  }
  MetricRegistration moved = std::move(registration);
}

TEST_F(MetricsRegistryTest, ExposesCollectablesWhileTheyLive) {
  auto foreign = std::make_shared<prometheus::Registry>();
  prometheus::BuildCounter()
      .Name("foreign_total")
      .Help("Foreign.")
      .Register(*foreign)
      .Add({{"a", "b"}})
      .Increment();
  registry_.AddCollectable(foreign);
  EXPECT_THAT(registry_.Expose(), HasSubstr("foreign_total{a=\"b\"} 1\n"));
  foreign.reset();
  EXPECT_THAT(registry_.Expose(), Not(HasSubstr("foreign_total")));
}

TEST_F(MetricsRegistryTest, ACollectableCannotRepeatAName) {
  (*registry_.AddCounter("ours_total", "Ours."))->With();
  const auto foreign = std::make_shared<prometheus::Registry>();
  prometheus::BuildCounter()
      .Name("ours_total")
      .Help("Theirs.")
      .Register(*foreign)
      .Add({})
      .Increment(9);
  const auto again = std::make_shared<prometheus::Registry>();
  for (const auto& registry : {foreign, again}) {
    prometheus::BuildCounter()
        .Name("b_total")
        .Help("B.")
        .Register(*registry)
        .Add({})
        .Increment();
    registry_.AddCollectable(registry);
  }
  for (int scrape = 0; scrape < 2; ++scrape) {
    const std::string text = registry_.Expose();
    EXPECT_THAT(text, HasSubstr("\nours_total 0\n"));
    EXPECT_THAT(text, Not(HasSubstr("Theirs")));
    const std::size_t first = text.find("# TYPE b_total");
    EXPECT_NE(first, std::string::npos);
    EXPECT_EQ(text.find("# TYPE b_total", first + 1), std::string::npos);
  }
  EXPECT_EQ(sink_->lines(), 2) << sink_->text();
}

TEST_F(MetricsRegistryTest, ACollectableCannotTakeTheNamesOfAHistogram) {
  (*registry_.AddGauge("ours_sum", "Ours."))->With();
  const auto foreign = std::make_shared<prometheus::Registry>();
  for (const char* name : {"foreign", "ours"}) {
    prometheus::BuildHistogram()
        .Name(name)
        .Help("A histogram.")
        .Register(*foreign)
        .Add({}, prometheus::Histogram::BucketBoundaries{1.0});
  }
  const auto gauge = std::make_shared<prometheus::Registry>();
  prometheus::BuildGauge()
      .Name("foreign_count")
      .Help("A gauge.")
      .Register(*gauge)
      .Add({});
  registry_.AddCollectable(foreign);
  registry_.AddCollectable(gauge);
  const std::string text = registry_.Expose();
  EXPECT_THAT(text, HasSubstr("# TYPE foreign histogram"));
  EXPECT_THAT(text, Not(HasSubstr("A gauge.")));
  EXPECT_THAT(text, Not(HasSubstr("# TYPE ours histogram")));
  EXPECT_EQ(sink_->lines(), 2) << sink_->text();
}

TEST_F(MetricsRegistryTest, CleansWhatOthersReport) {
  const std::string odd = "a\xff" + std::string(1000, 'x');
  const auto callback =
      registry_.AddCallbackGauge("ours", "Ours.", {"what"}, [&] {
        return std::vector<MetricSample>{{{odd}, 1.0}};
      });
  const auto foreign = std::make_shared<prometheus::Registry>();
  prometheus::BuildGauge()
      .Name("theirs")
      .Help("Two\nlines, a \\ and \xff.")
      .Register(*foreign)
      .Add({{"what", odd}});
  registry_.AddCollectable(foreign);
  const std::string text = registry_.Expose();
  const std::string clean = "a\uFFFD" + std::string(252, 'x');
  EXPECT_THAT(text, HasSubstr("ours{what=\"" + clean + "\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("theirs{what=\"" + clean + "\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("# HELP theirs Two lines, a   and \uFFFD.\n"));
}

TEST_F(MetricsRegistryTest, ACollectableThatThrowsDoesNotStopTheScrape) {
  struct Throwing : prometheus::Collectable {
    std::vector<prometheus::MetricFamily> Collect() const override {
      throw std::runtime_error("no");
    }
  };
  const auto throwing = std::make_shared<Throwing>();
  registry_.AddCollectable(throwing);
  EXPECT_THAT(registry_.Expose(), HasSubstr("grpccommon_build_info"));
  EXPECT_THAT(registry_.Expose(), HasSubstr("grpccommon_build_info"));
  EXPECT_EQ(sink_->lines(), 1);
}

TEST_F(MetricsRegistryTest, ScrapesWhileThreadsAddChildrenAndCallbacks) {
  CounterFamily& counts = **registry_.AddCounter(
      "counts_total", "Counts.",
      {.labels = {"thread", "i"}, .max_children = 100'000});
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 4; ++thread) {
      threads.emplace_back([&, thread] {
        const std::string name = std::to_string(thread);
        for (int i = 0; i < 200; ++i) {
          counts.With({name, std::to_string(i % 50)}).Increment();
          const auto registration =
              registry_.AddCallbackGauge("depth", "Depth.", [] { return 1.0; });
          EXPECT_TRUE(registration.ok());
          if (i % 20 == 0) (void)registry_.Expose();
        }
      });
    }
  }
  std::uint64_t total = 0;
  for (int thread = 0; thread < 4; ++thread) {
    for (int i = 0; i < 50; ++i) {
      total += counts.With({std::to_string(thread), std::to_string(i)}).Value();
    }
  }
  EXPECT_EQ(total, 800u);
}

}  // namespace
}  // namespace grpccommon
