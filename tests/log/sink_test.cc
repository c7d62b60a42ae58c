// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/log/sink.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "grpccommon/testing/fake_clock.h"
#include "support/no_file_descriptors.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

std::string Content(const std::filesystem::path& path) {
  std::ostringstream content;
  content << std::ifstream(path, std::ios::binary).rdbuf();
  return content.str();
}

// How a forked child ends that does this.
int InChild(const std::function<void()>& run) {
  const pid_t child = fork();
  if (child == 0) {
    run();
    _exit(0);
  }
  int status = -1;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return status;
}

class SinkTest : public ::testing::Test {
 protected:
  SinkTest() {
    std::string folder = ::testing::TempDir() + "grpccommon_sink_XXXXXX";
    EXPECT_NE(mkdtemp(folder.data()), nullptr);
    folder_ = folder;
  }
  ~SinkTest() override { std::filesystem::remove_all(folder_); }

  std::shared_ptr<LogSink> Create(LogSinkOptions options) {
    if (options.destination == "stderr") options.destination = path();
    auto sink = CreateLogSink(options, clock_);
    EXPECT_TRUE(sink.ok()) << sink.status();
    return *sink;
  }
  std::string path() const { return folder_ / "app.log"; }
  // Two fit into a file of 4096 bytes.
  static void WriteHalf(LogSink& sink, char c) {
    sink.Write(std::string(1999, c) + "\n");
    sink.Flush();
  }

  std::filesystem::path folder_;
  testing::FakeClock clock_;
};

TEST_F(SinkTest, AppendsToAFile) {
  std::ofstream(path()) << "before\n";
  const auto sink = Create({});
  sink->Write("after\n");
  sink->Flush();
  EXPECT_EQ(Content(path()), "before\nafter\n");
}

TEST_F(SinkTest, MakesTheFolder) {
  const std::string nested = folder_ / "a" / "b" / "app.log";
  const auto sink = Create({.destination = nested});
  sink->Write("line\n");
  sink->Flush();
  EXPECT_EQ(Content(nested), "line\n");
}

TEST_F(SinkTest, DoesNotGlueALineToOneThatWasCutShort) {
  std::ofstream(path()) << "cut sho";
  const auto sink = Create({});
  sink->Write("next\n");
  sink->Flush();
  EXPECT_EQ(Content(path()), "cut sho\nnext\n");
}

TEST_F(SinkTest, WritesToStandardError) {
  ::testing::internal::CaptureStderr();
  {
    const auto sink = CreateLogSink();
    ASSERT_TRUE(sink.ok());
    (*sink)->Write("to stderr\n");
    (*sink)->Flush();
    EXPECT_EQ((*sink)->dropped(), 0u);
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "to stderr\n");
}

TEST_F(SinkTest, WritesToStandardOutput) {
  ::testing::internal::CaptureStdout();
  {
    const auto sink = CreateLogSink({.destination = "stdout"});
    ASSERT_TRUE(sink.ok());
    (*sink)->Write("to stdout\n");
  }
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "to stdout\n");
}

TEST_F(SinkTest, RotatesBySizeAndKeepsSoManyFiles) {
  const auto sink = Create({.rotate_bytes = 4096, .rotated_files = 2});
  for (int i = 0; i < 8; ++i) {
    WriteHalf(*sink, static_cast<char>('a' + i));
  }
  EXPECT_EQ(Content(path()).substr(0, 1), "g");
  EXPECT_EQ(Content(folder_ / "app.1.log").substr(0, 1), "e");
  EXPECT_EQ(Content(folder_ / "app.2.log").substr(0, 1), "c");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "app.3.log"));
  EXPECT_LE(std::filesystem::file_size(path()), 4096u);
  EXPECT_EQ(sink->dropped(), 0u);
}

TEST_F(SinkTest, AFileThatCannotBeRenamedGrowsOn) {
  // Not by its folder's permissions, for root may anything.
  for (const char* name : {"app.1.log", "app.2.log"}) {
    std::filesystem::create_directories(folder_ / name / "in the way");
  }
  const auto sink = Create({.rotate_bytes = 4096, .rotated_files = 2});
  for (const char c : {'a', 'b', 'c', 'd', 'e'}) WriteHalf(*sink, c);
  EXPECT_EQ(Content(path()).size(), 10000u);
  EXPECT_EQ(Content(path()).substr(0, 1), "a");
  EXPECT_EQ(sink->dropped(), 0u);
  std::filesystem::remove_all(folder_ / "app.1.log");
  WriteHalf(*sink, 'f');  // not looked at again yet
  clock_.Advance(1s);
  WriteHalf(*sink, 'g');
  EXPECT_EQ(Content(folder_ / "app.1.log").size(), 12000u);
  EXPECT_EQ(Content(path()).substr(0, 1), "g");
}

TEST_F(SinkTest, AFileIsKeptWhereNoOtherCanBeOpened) {
  const auto sink = Create({.rotate_bytes = 4096, .rotated_files = 2});
  for (const char* name : {"app.1.log", "app.2.log"}) {
    std::ofstream(folder_ / name) << name;
  }
  WriteHalf(*sink, 'a');
  WriteHalf(*sink, 'b');
  {
    const NoFileDescriptors none;
    WriteHalf(*sink, 'c');
    clock_.Advance(1s);
    WriteHalf(*sink, 'd');
  }
  EXPECT_EQ(Content(path()).size(), 8000u);
  EXPECT_EQ(sink->dropped(), 0u);
  EXPECT_EQ(Content(folder_ / "app.2.log"), "app.2.log");
  clock_.Advance(1s);
  WriteHalf(*sink, 'e');
  EXPECT_EQ(Content(folder_ / "app.2.log"), "app.1.log");
  EXPECT_EQ(Content(folder_ / "app.1.log").size(), 8000u);
  EXPECT_EQ(Content(path()).substr(0, 1), "e");
}

TEST_F(SinkTest, ALineThatWasCutOnAStandardStreamIsEnded) {
  // A file of at most 4100 bytes in the place of stderr; it is as a full disk.
  std::FILE* const file = std::fopen(path().c_str(), "a");
  ASSERT_NE(file, nullptr);
  const int before = dup(STDERR_FILENO);
  rlimit limit{};
  getrlimit(RLIMIT_FSIZE, &limit);
  const auto was_handled = std::signal(SIGXFSZ, SIG_IGN);
  dup2(fileno(file), STDERR_FILENO);
  {
    const auto sink =
        CreateLogSink({.destination = "stderr", .batch_interval = 10s});
    ASSERT_TRUE(sink.ok());
    rlimit small = limit;
    small.rlim_cur = 4100;
    setrlimit(RLIMIT_FSIZE, &small);
    (*sink)->Write(std::string(5000, 'x') + "\n");
    (*sink)->Flush();
    setrlimit(RLIMIT_FSIZE, &limit);
    (*sink)->Write("whole\n");
    (*sink)->Flush();
    EXPECT_EQ((*sink)->dropped(), 1u);
  }
  dup2(before, STDERR_FILENO);
  std::signal(SIGXFSZ, was_handled);
  close(before);
  std::fclose(file);
  EXPECT_THAT(Content(path()), HasSubstr("x\nwhole\n"));
}

TEST_F(SinkTest, AForkedChildDoesNotWaitForItsParentsWriter) {
  auto sink = Create({.batch_interval = 10s});
  sink->Write("the parent's\n");
  EXPECT_EQ(InChild([&sink] {
              sink->Flush();
              sink.reset();
            }),
            0);
  sink->Flush();
  EXPECT_EQ(Content(path()), "the parent's\n");
}

TEST_F(SinkTest, ForksBesideThreadsThatWriteDoNotStopTheChild) {
  const auto sink =
      *CreateLogSink({.destination = "/dev/null", .batch_interval = 1ms});
  std::atomic<bool> done{false};
  // One of them has the lock that the child's thread would take.
  std::vector<std::thread> writers;
  for (int i = 0; i < 16; ++i) {
    writers.emplace_back([&] {
      while (!done) sink->Write("the parent's\n");
    });
  }
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(InChild([&sink] {
                for (int n = 0; n < 100; ++n) sink->Write("the child's\n");
                sink->Flush();
              }),
              0);
  }
  done = true;
  for (std::thread& writer : writers) writer.join();
}

TEST_F(SinkTest, ABatchDoesNotPushAFileBeyondItsSize) {
  const auto sink = Create({.rotate_bytes = 4096, .rotated_files = 100});
  for (int i = 0; i < 100; ++i) sink->Write(std::string(499, 'x') + "\n");
  sink->Flush();
  std::uintmax_t total = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder_)) {
    EXPECT_LE(file.file_size(), 4096u) << file.path();
    total += file.file_size();
  }
  EXPECT_EQ(total, 50000u);
}

TEST_F(SinkTest, MakesItsFileAnewWhenItWasRenamed) {
  const auto sink = Create({});
  sink->Write("old\n");
  sink->Flush();
  std::filesystem::rename(path(), folder_ / "app.log.old");
  clock_.Advance(1s);
  sink->Write("new\n");
  sink->Flush();
  EXPECT_EQ(Content(folder_ / "app.log.old"), "old\n");
  EXPECT_EQ(Content(path()), "new\n");
}

TEST_F(SinkTest, LooksForARenamedFileAtMostOnceASecond) {
  const auto sink = Create({});
  std::filesystem::remove(path());
  clock_.Advance(999ms);
  sink->Write("lost\n");
  sink->Flush();
  EXPECT_FALSE(std::filesystem::exists(path()));
  clock_.Advance(1ms);
  sink->Write("found\n");
  sink->Flush();
  EXPECT_EQ(Content(path()), "found\n");
}

TEST_F(SinkTest, AFullDeviceLosesLinesAndCountsThem) {
  for (const std::size_t length : {10u, 100000u}) {
    const auto sink = Create({.destination = "/dev/full"});
    for (int i = 0; i < 5; ++i) sink->Write(std::string(length, 'x') + "\n");
    sink->Flush();
    EXPECT_EQ(sink->dropped(), 5u);
  }
}

TEST_F(SinkTest, ADiskThatFillsUpInALineLeavesNoBrokenLinesBehind) {
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto sink = Create({});
  const std::string line = std::string(98, 'x') + "\n";
  // Past the limit the system takes what fits and refuses the rest, as a disk
  // does.
  const rlimit small = {5040, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  for (int i = 0; i < 100; ++i) sink->Write(line);
  sink->Flush();
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_EQ(sink->dropped(), 100u);

  sink->Write("after\n");
  sink->Flush();
  EXPECT_EQ(sink->dropped(), 100u);
  const std::string content = Content(path());
  EXPECT_THAT(content, HasSubstr("x\nafter\n"));
  EXPECT_LE(std::count(content.begin(), content.end(), 'x'), 5040);
}

TEST_F(SinkTest, APipeWhoseReaderHasGoneLosesLinesAndNothingElse) {
  int pipe[2];
  ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
  const auto sink =
      Create({.destination = absl::StrCat("/proc/self/fd/", pipe[1])});
  sink->Write("read\n");
  sink->Flush();
  char text[16];
  EXPECT_EQ(read(pipe[0], text, sizeof text), 5);
  close(pipe[0]);
  for (int i = 0; i < 3; ++i) {
    sink->Write("lost\n");
    sink->Flush();
  }
  EXPECT_EQ(sink->dropped(), 3u);
  close(pipe[1]);
}

TEST_F(SinkTest, APipeThatNobodyReadsDoesNotBlockWrite) {
  int pipe[2];
  ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
  auto sink = Create({.destination = absl::StrCat("/proc/self/fd/", pipe[1]),
                      .queue_bytes = 64 << 10});
  const std::string line = std::string(99, 'x') + "\n";
  // More than the pipe and the queue hold together.
  for (int i = 0; i < 10000; ++i) sink->Write(line);
  EXPECT_GT(sink->dropped(), 0u);
  close(pipe[1]);
  close(pipe[0]);
  sink->Flush();
}

TEST_F(SinkTest, RefusesOptionsOutOfRangeByName) {
  const auto message = [](LogSinkOptions options) {
    const auto sink = CreateLogSink(options);
    EXPECT_EQ(sink.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(sink.status().message());
  };
  EXPECT_THAT(message({.destination = ""}), HasSubstr("destination"));
  EXPECT_THAT(message({.rotate_bytes = 4095}), HasSubstr("rotate_bytes"));
  EXPECT_THAT(message({.rotate_bytes = 2'000'000'000'000}),
              HasSubstr("rotate_bytes"));
  EXPECT_THAT(message({.rotate_bytes = 4096, .rotated_files = 0}),
              HasSubstr("rotated_files"));
  EXPECT_THAT(message({.rotate_bytes = 4096, .rotated_files = 1001}),
              HasSubstr("rotated_files"));
  EXPECT_THAT(message({.batch_interval = 999us}), HasSubstr("batch_interval"));
  EXPECT_THAT(message({.batch_interval = 11s}), HasSubstr("batch_interval"));
  EXPECT_THAT(message({.queue_bytes = 65535}), HasSubstr("queue_bytes"));
  EXPECT_THAT(message({.queue_bytes = (1u << 30) + 1}),
              HasSubstr("queue_bytes"));
}

TEST_F(SinkTest, RefusesAPathThatCannotBeOpened) {
  std::ofstream(path()) << "a file, not a folder";
  const auto sink = CreateLogSink({.destination = path() + "/app.log"});
  EXPECT_EQ(sink.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(sink.status().message()), HasSubstr(path()));
}

}  // namespace
}  // namespace grpccommon
