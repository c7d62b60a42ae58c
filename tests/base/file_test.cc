// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/base/file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "grpccommon/testing/fake_clock.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class FileTest : public ::testing::Test {
 protected:
  FileTest() {
    std::string folder = ::testing::TempDir() + "grpccommon_file_XXXXXX";
    EXPECT_NE(mkdtemp(folder.data()), nullptr);
    folder_ = folder;
  }
  ~FileTest() override { std::filesystem::remove_all(folder_); }

  std::string Path(const char* name = "file") const { return folder_ / name; }
  void Write(const std::string& content, const char* name = "file") const {
    std::ofstream(Path(name), std::ios::binary) << content;
  }
  void ExpectError(const std::string& path, absl::StatusCode code) const {
    const auto content = ReadFile(path);
    EXPECT_EQ(content.status().code(), code) << content.status();
    EXPECT_THAT(std::string(content.status().message()), HasSubstr(path));
  }

  std::filesystem::path folder_;
};

TEST_F(FileTest, ReadsAWholeFile) {
  const std::string content = std::string(100000, 'x') + '\0' + "end\n";
  Write(content);
  EXPECT_EQ(*ReadFile(Path()), content);
  Write("");
  EXPECT_EQ(*ReadFile(Path()), "");
}

TEST_F(FileTest, RefusesMoreThanSoManyBytes) {
  Write("12345");
  EXPECT_EQ(*ReadFile(Path(), 5), "12345");
  const auto content = ReadFile(Path(), 4);
  EXPECT_EQ(content.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(content.status().message()), HasSubstr(Path()));
}

TEST_F(FileTest, CreatesAFileWithItsPermissions) {
  const std::string content = std::string(100000, 'x') + '\0' + "end\n";
  ASSERT_TRUE(CreateFile(Path(), content, 0600).ok());
  EXPECT_EQ(*ReadFile(Path()), content);
  struct stat info;
  ASSERT_EQ(stat(Path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1)
      << "nothing else is left";
}

TEST_F(FileTest, CreatesOnlyWhatIsNotThere) {
  Write("old");
  const absl::Status created = CreateFile(Path(), "new", 0600);
  EXPECT_EQ(created.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(created.message()), HasSubstr(Path()));
  EXPECT_EQ(*ReadFile(Path()), "old");
  const absl::Status lost = CreateFile(Path("none/file"), "new", 0600);
  EXPECT_EQ(lost.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(lost.message()), HasSubstr(Path("none/file")));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);
}

TEST_F(FileTest, OneOfSeveralCreatesAFile) {
  std::atomic<int> created = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      const std::string content(1000, static_cast<char>('a' + i));
      const absl::Status status = CreateFile(Path(), content, 0600);
      if (status.ok()) ++created;
      EXPECT_TRUE(status.ok() || absl::IsAlreadyExists(status)) << status;
      EXPECT_EQ(ReadFile(Path())->size(), 1000u) << "half a file";
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(created, 1);
}

TEST_F(FileTest, SaysWhichFileIsMissing) {
  ExpectError(Path("none"), absl::StatusCode::kNotFound);
  Write("");
  ExpectError(Path() + "/below-a-file", absl::StatusCode::kNotFound);
}

TEST_F(FileTest, SaysWhichFileMayNotBeRead) {
  Write("secret");
  ASSERT_EQ(chmod(Path().c_str(), 0), 0);
  // Root may read anything, so be nobody for a while.
  const bool root = geteuid() == 0;
  if (root) {
    ASSERT_EQ(seteuid(65534), 0);
  }
  ExpectError(Path(), absl::StatusCode::kPermissionDenied);
  if (root) {
    ASSERT_EQ(seteuid(0), 0);
  }
}

TEST_F(FileTest, RefusesAFolder) {
  ExpectError(folder_, absl::StatusCode::kInvalidArgument);
}

TEST_F(FileTest, RefusesAPipeInsteadOfWaitingForIt) {
  ASSERT_EQ(mkfifo(Path("pipe").c_str(), 0600), 0);
  ExpectError(Path("pipe"), absl::StatusCode::kInvalidArgument);
}

class FileWatcherTest : public FileTest {
 protected:
  absl::Status Watch(std::vector<std::string> paths) {
    auto watcher = FileWatcher::Create(
        std::move(paths), scheduler_, 1s,
        [this] {
          ++loads_;
          return load_();
        },
        [this](const absl::Status& loaded) {
          reported_.emplace_back(loaded.message());
        });
    if (!watcher.ok()) return watcher.status();
    watcher_ = *std::move(watcher);
    loads_ = 0;
    return absl::OkStatus();
  }
  void Watch() { ASSERT_TRUE(Watch({Path()}).ok()); }
  // As editors, and those who renew certificates, replace a file.
  void Replace(const std::string& content) {
    Write(content, "new");
    std::filesystem::rename(Path("new"), Path());
  }

  testing::FakeClock clock_;
  testing::FakeScheduler scheduler_{clock_};
  std::function<absl::Status()> load_ = [] { return absl::OkStatus(); };
  std::unique_ptr<FileWatcher> watcher_;
  int loads_ = 0;  // after `Create`
  std::vector<std::string> reported_;
};

TEST_F(FileWatcherTest, LoadsAtOnceAndReportsNothing) {
  Write("a");
  std::string content;
  load_ = [&] {
    content = *ReadFile(Path());
    return absl::OkStatus();
  };
  Watch();
  EXPECT_EQ(content, "a");
  EXPECT_THAT(reported_, IsEmpty());
}

TEST_F(FileWatcherTest, IsNotMadeIfTheFirstLoadFails) {
  load_ = [this] { return ReadFile(Path()).status(); };
  EXPECT_EQ(Watch({Path()}).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(loads_, 1);
  EXPECT_THAT(reported_, IsEmpty());
  EXPECT_EQ(scheduler_.pending(), 0u);
}

TEST_F(FileWatcherTest, LoadsAgainAtOnceIfAFileChangedWhileTheFirstLoadFailed) {
  Write("half");
  load_ = [this] {
    if (*ReadFile(Path()) == "whole") return absl::OkStatus();
    Replace("whole");
    return absl::InvalidArgumentError("half");
  };
  EXPECT_TRUE(Watch({Path()}).ok());
}

TEST_F(FileWatcherTest, GivesUpOnFilesThatChangeAgainAndAgain) {
  load_ = [this] {
    Write(std::string(static_cast<std::size_t>(loads_), 'x'));
    return absl::InvalidArgumentError("unfinished");
  };
  EXPECT_EQ(Watch({Path()}).message(), "unfinished");
  EXPECT_GT(loads_, 1);
  EXPECT_LE(loads_, 10);
}

TEST_F(FileWatcherTest, IsSilentWhileNothingChanges) {
  Write("a");
  Watch();
  clock_.Advance(10s);
  EXPECT_EQ(loads_, 0);
}

TEST_F(FileWatcherTest, SeesANewContentOnceAndAfterTheInterval) {
  Write("a");
  Watch();
  Write("longer");
  clock_.Advance(1s - 1ns);
  EXPECT_EQ(loads_, 0);
  clock_.Advance(1ns);
  EXPECT_EQ(loads_, 1);
  clock_.Advance(5s);
  EXPECT_EQ(loads_, 1);
  EXPECT_THAT(reported_, ElementsAre(""));
}

TEST_F(FileWatcherTest, SeesAChangeOfEachOfItsFiles) {
  Write("a");
  Write("a", "other");
  ASSERT_TRUE(Watch({Path(), Path("other")}).ok());
  Write("longer", "other");
  clock_.Advance(5s);
  EXPECT_EQ(loads_, 1);
  Write("longer");
  clock_.Advance(5s);
  EXPECT_EQ(loads_, 2);
}

TEST_F(FileWatcherTest, SeesAChangeWhileItLoads) {
  Write("a");
  load_ = [this] {
    if (loads_ == 1) Replace("longer");
    return absl::OkStatus();
  };
  Watch();
  clock_.Advance(5s);
  EXPECT_EQ(loads_, 2) << "of the change before, and of the one within";
}

TEST_F(FileWatcherTest, SeesARenamedOverFileOfTheSameSize) {
  Write("a");
  Watch();
  Replace("b");
  clock_.Advance(1s);
  EXPECT_EQ(loads_, 1);
}

TEST_F(FileWatcherTest, SeesAnEditThatLeavesSizeAndModificationTime) {
  Write("a");
  struct stat before;
  ASSERT_EQ(stat(Path().c_str(), &before), 0);
  Watch();
  struct stat after;
  do {  // until the kernel's clock has ticked
    Write("b");
    const timespec times[] = {before.st_atim, before.st_mtim};
    ASSERT_EQ(utimensat(AT_FDCWD, Path().c_str(), times, 0), 0);
    ASSERT_EQ(stat(Path().c_str(), &after), 0);
  } while (after.st_ctim.tv_sec == before.st_ctim.tv_sec &&
           after.st_ctim.tv_nsec == before.st_ctim.tv_nsec);
  clock_.Advance(1s);
  EXPECT_EQ(loads_, 1);
}

TEST_F(FileWatcherTest, SeesTheSwappedLinkOfAKubernetesVolume) {
  std::filesystem::create_directory(folder_ / "v1");
  std::filesystem::create_directory(folder_ / "v2");
  Write("a", "v1/file");
  Write("b", "v2/file");
  std::filesystem::create_directory_symlink("v1", folder_ / "data");
  std::filesystem::create_symlink("data/file", folder_ / "file");
  Watch();
  std::filesystem::create_directory_symlink("v2", folder_ / "data_tmp");
  std::filesystem::rename(folder_ / "data_tmp", folder_ / "data");
  clock_.Advance(1s);
  EXPECT_EQ(loads_, 1);
}

TEST_F(FileWatcherTest, AFileChangesWhenItGoesAndWhenItReturns) {
  Write("a");
  Watch();
  std::filesystem::remove(Path());
  clock_.Advance(5s);
  EXPECT_EQ(loads_, 1);
  Write("a");
  clock_.Advance(5s);
  EXPECT_EQ(loads_, 2);
}

TEST_F(FileWatcherTest, AFileThatWasNotThereAtFirstChangesWhenItComes) {
  Watch();
  clock_.Advance(1s);
  Write("a");
  clock_.Advance(1s);
  EXPECT_EQ(loads_, 1);
}

TEST_F(FileWatcherTest, LoadsAgainAtEachLookUntilItCouldAndSaysSoOnce) {
  Write("a");
  Watch();
  Write("longer");
  load_ = [] { return absl::UnavailableError("too many open files"); };
  clock_.Advance(3s);
  EXPECT_EQ(loads_, 3);
  EXPECT_THAT(reported_, ElementsAre("too many open files"));
  load_ = [] { return absl::OkStatus(); };
  clock_.Advance(5s);
  EXPECT_EQ(loads_, 4);
  EXPECT_THAT(reported_, ElementsAre("too many open files", ""));
}

TEST_F(FileWatcherTest, ReportsAnotherFailureAndTheSameOneOfAChangedFile) {
  Write("a");
  Watch();
  Write("longer");
  load_ = [] { return absl::UnavailableError("one"); };
  clock_.Advance(3s);
  load_ = [] { return absl::UnavailableError("two"); };
  clock_.Advance(3s);
  EXPECT_THAT(reported_, ElementsAre("one", "two"));
  Write("still longer");
  clock_.Advance(3s);
  EXPECT_THAT(reported_, ElementsAre("one", "two", "two"));
}

TEST_F(FileWatcherTest, StopsWhenItIsDestroyed) {
  Write("a");
  Watch();
  watcher_.reset();
  EXPECT_EQ(scheduler_.pending(), 0u);
}

}  // namespace
}  // namespace grpccommon
