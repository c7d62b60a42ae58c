// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/registry/file_registry.h"

#include <gmock/gmock.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/testing/recording_log_sink.h"
#include "grpccommon/testing/status_matchers.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using ::grpccommon::testing::FakeClock;
using ::grpccommon::testing::FakeScheduler;
using ::grpccommon::testing::IsOk;
using ::grpccommon::testing::MessageIs;
using ::grpccommon::testing::RecordingLogSink;
using ::grpccommon::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kOne[] = R"({"services": {"s": [{"address": "a:1"}]}})";
constexpr char kTwo[] =
    R"({"services": {"s": [{"address": "a:1"}, {"address": "b:1"}]}})";

std::vector<std::string> AddressesOf(const InstanceSet& set) {
  std::vector<std::string> addresses;
  for (const Instance& instance : set.instances) {
    addresses.push_back(instance.address);
  }
  return addresses;
}

class FileRegistryTest : public ::testing::Test {
 protected:
  FileRegistryTest() {
    std::string folder = ::testing::TempDir() + "grpccommon_registry_XXXXXX";
    EXPECT_NE(mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    path_ = folder_ / "registry.json";
    Replace(kOne);
  }
  ~FileRegistryTest() override { std::filesystem::remove_all(folder_); }

  void Replace(const std::string& content) {
    std::ofstream(folder_ / "new", std::ios::binary) << content;
    std::filesystem::rename(folder_ / "new", path_);
  }
  absl::StatusOr<std::unique_ptr<Registry>> Create(
      const FileRegistryOptions& options = {}) {
    return CreateFileRegistry(path_, scheduler_, options, Logger(log_, "test"));
  }
  Registry::OnChange Record() {
    return [this](const InstanceSet& set) { seen_.push_back(set); };
  }

  std::filesystem::path folder_;
  std::filesystem::path path_;
  FakeClock clock_;
  FakeScheduler scheduler_{clock_};
  std::shared_ptr<RecordingLogSink> log_ = std::make_shared<RecordingLogSink>();
  std::vector<InstanceSet> seen_;
};

TEST_F(FileRegistryTest, TellsWhatTheFileSays) {
  const auto registry = *Create();
  const auto watch = registry->Watch("s", Record());
  clock_.Advance(0s);
  ASSERT_THAT(seen_, SizeIs(1));
  EXPECT_THAT(AddressesOf(seen_[0]), ElementsAre("a:1"));
  EXPECT_THAT(seen_[0].status, IsOk());
}

TEST_F(FileRegistryTest, AnUnknownServiceIsAnEmptySet) {
  const auto registry = *Create();
  const auto watch = registry->Watch("unknown", Record());
  clock_.Advance(0s);
  ASSERT_THAT(seen_, SizeIs(1));
  EXPECT_THAT(seen_[0].instances, IsEmpty());
  EXPECT_THAT(seen_[0].status, IsOk());
}

TEST_F(FileRegistryTest, FollowsChangesWithinTheInterval) {
  const auto registry = *Create({.check_interval = 2s});
  const auto watch = registry->Watch("s", Record());
  clock_.Advance(0s);
  Replace(kTwo);
  clock_.Advance(2s - 1ns);
  EXPECT_THAT(seen_, SizeIs(1));
  clock_.Advance(1ns);
  ASSERT_THAT(seen_, SizeIs(2));
  EXPECT_THAT(AddressesOf(seen_[1]), ElementsAre("a:1", "b:1"));
  Replace(R"({"services": {}})");
  clock_.Advance(2s);
  EXPECT_THAT(seen_.back().instances, IsEmpty());
}

TEST_F(FileRegistryTest, TellsOnlyWhomAChangeConcerns) {
  const auto registry = *Create();
  const auto watch = registry->Watch("s", Record());
  clock_.Advance(0s);
  Replace(R"({"services": {"s": [{"address": "a:1"}],
                           "t": [{"address": "t:1"}]}})");
  clock_.Advance(1s);
  EXPECT_THAT(seen_, SizeIs(1));
  EXPECT_THAT(log_->LinesWhere("msg", "registry file reloaded"), SizeIs(1));
}

TEST_F(FileRegistryTest, ABrokenFileKeepsTheLastInstancesAndSaysSo) {
  const auto registry = *Create();
  const auto watch = registry->Watch("s", Record());
  clock_.Advance(0s);
  for (const char* broken :
       {"", "{\"services\": {\"s\": [{\"addr", R"({"services": {"s": 1}})"}) {
    Replace(broken);
    clock_.Advance(1s);
    EXPECT_THAT(AddressesOf(seen_.back()), ElementsAre("a:1"));
    EXPECT_THAT(seen_.back().status,
                AllOf(StatusIs(absl::StatusCode::kInvalidArgument),
                      MessageIs(HasSubstr(path_))));
  }
  EXPECT_THAT(log_->LinesWhere("level", "error"), SizeIs(3));

  Replace(kTwo);
  clock_.Advance(1s);
  EXPECT_THAT(AddressesOf(seen_.back()), ElementsAre("a:1", "b:1"));
  EXPECT_THAT(seen_.back().status, IsOk());
}

TEST_F(FileRegistryTest, AFileThatHasGoneDoesTheSame) {
  const auto registry = *Create();
  const auto watch = registry->Watch("s", Record());
  clock_.Advance(0s);
  std::filesystem::remove(path_);
  clock_.Advance(10s);
  ASSERT_THAT(seen_, SizeIs(2));
  EXPECT_THAT(AddressesOf(seen_[1]), ElementsAre("a:1"));
  EXPECT_THAT(seen_[1].status, AllOf(StatusIs(absl::StatusCode::kNotFound),
                                     MessageIs(HasSubstr(path_))));
  EXPECT_THAT(log_->LinesWhere("level", "error"), SizeIs(1)) << "said once";

  Replace(kOne);
  clock_.Advance(1s);
  ASSERT_THAT(seen_, SizeIs(3));
  EXPECT_THAT(seen_[2].status, IsOk());
}

TEST_F(FileRegistryTest, ALaterWatchIsToldOfTheTroubleToo) {
  const auto registry = *Create();
  Replace("broken");
  clock_.Advance(1s);
  const auto watch = registry->Watch("s", Record());
  clock_.Advance(0s);
  ASSERT_THAT(seen_, SizeIs(1));
  EXPECT_THAT(AddressesOf(seen_[0]), ElementsAre("a:1"));
  EXPECT_THAT(seen_[0].status, StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(FileRegistryTest, DoesNotStartWithAFileThatItCannotUse) {
  Replace("broken");
  EXPECT_THAT(Create(), AllOf(StatusIs(absl::StatusCode::kInvalidArgument),
                              MessageIs(HasSubstr(path_))));
  std::filesystem::remove(path_);
  EXPECT_THAT(Create(), AllOf(StatusIs(absl::StatusCode::kNotFound),
                              MessageIs(HasSubstr(path_))));
  std::filesystem::create_directory(path_);
  EXPECT_THAT(Create(), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(scheduler_.pending(), 0u);
}

TEST_F(FileRegistryTest, RefusesOptionsNamesAndRegistrations) {
  EXPECT_THAT(Create({.check_interval = 9ms}),
              MessageIs(HasSubstr("check_interval")));
  EXPECT_THAT(Create({.check_interval = 2h}),
              MessageIs(HasSubstr("check_interval")));
  const auto registry = *Create();
  EXPECT_THAT(registry->Watch("a b", Record()),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(registry->Register("s", {.address = "a:1"}),
              StatusIs(absl::StatusCode::kUnimplemented));
}

TEST_F(FileRegistryTest, AnIdleWatchCostsTheCheckAndNothingMore) {
  const auto registry = *Create();
  const auto watch = registry->Watch("s", Record());
  clock_.Advance(0s);
  EXPECT_EQ(scheduler_.pending(), 1u);
  clock_.Advance(100s);
  EXPECT_EQ(scheduler_.pending(), 1u);
  EXPECT_THAT(seen_, SizeIs(1));
}

TEST_F(FileRegistryTest, EndsWhileTheFileChanges) {
  const std::unique_ptr<Scheduler> scheduler = CreateScheduler();
  for (int i = 0; i < 20; ++i) {
    std::promise<void> changed;
    const auto registry =
        *CreateFileRegistry(path_, *scheduler, {.check_interval = 10ms});
    const std::size_t expected = i % 2 == 0 ? 2 : 1;
    const auto watch = registry->Watch("s", [&](const InstanceSet& set) {
      if (set.instances.size() == expected) changed.set_value();
    });
    Replace(i % 2 == 0 ? kTwo : kOne);
    changed.get_future().wait();
  }
}

}  // namespace
}  // namespace grpccommon
