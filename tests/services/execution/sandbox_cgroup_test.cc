// SPDX-License-Identifier: Apache-2.0
#include <sys/wait.h>

#include <filesystem>
#include <fstream>

#include "services/execution/sandbox/cgroup.h"
#include "services/execution/sandbox_fixture.h"

namespace platform::execution {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Folders in the place of a cgroup file system.
class CgroupParentTest : public ::testing::Test {
 protected:
  void Make(const std::string& path) {
    std::filesystem::create_directories(folder_.path() + "/" + path);
  }
  void Put(const std::string& path, const std::string& text) {
    std::ofstream(folder_.path() + "/" + path) << text;
  }
  std::string At(const std::string& path) const {
    return folder_.path() + "/" + path;
  }
  std::string Mount(const std::string& place, const std::string& root,
                    const std::string& type, const std::string& options) {
    return "31 28 0:27 " + root + " " + At(place) + " rw,relatime shared:9 - " +
           type + " cgroup " + options + "\n";
  }

  const StateFolderForTest folder_;
};

TEST_F(CgroupParentTest, FindsThePlacesOfVersionOne) {
  Make("memory/a/b");
  Make("pids");
  Make("cpu,cpuacct/c");
  const CgroupParent parent = CgroupParent::Find(
      {.mountinfo = "22 1 0:5 / /proc rw - proc proc rw\n" +
                    Mount("memory", "/", "cgroup", "rw,memory") +
                    Mount("pids", "/", "cgroup", "rw,pids") +
                    Mount("cpu,cpuacct", "/", "cgroup", "rw,cpu,cpuacct"),
       .own = "9:memory:/a/b\n8:pids:/\n2:cpu,cpuacct:/c\n0::/x\n"},
      "");
  EXPECT_THAT(parent.folders(),
              ElementsAre(At("memory/a/b"), At("pids"), At("cpu,cpuacct/c")));
  EXPECT_EQ(parent.detail(), "cgroup v1: memory, pids, cpu");
}

TEST_F(CgroupParentTest, UsesThoseControllersThatAreThere) {
  Make("memory");
  const CgroupParent parent = CgroupParent::Find(
      {.mountinfo = Mount("memory", "/", "cgroup", "rw,memory"),
       .own = "9:memory:/\n8:pids:/\n"},
      "");
  EXPECT_TRUE(parent.memory());
  EXPECT_FALSE(parent.pids());
  EXPECT_FALSE(parent.cpu());
  EXPECT_EQ(parent.detail(), "cgroup v1: memory, no pids, no cpu");
}

TEST_F(CgroupParentTest, KnowsThePartThatAContainerSees) {
  Make("memory/mine");
  const CgroupParent parent = CgroupParent::Find(
      {.mountinfo = Mount("memory", "/docker/12", "cgroup", "rw,memory"),
       .own = "9:memory:/docker/12/mine\n"},
      "");
  EXPECT_THAT(parent.folders(), ElementsAre(At("memory/mine")));
}

TEST_F(CgroupParentTest, FindsThePlaceOfVersionTwo) {
  Make("unified/user");
  Put("unified/user/cgroup.controllers", "cpuset cpu io memory pids\n");
  Put("unified/user/cgroup.subtree_control", "cpu memory pids\n");
  const CgroupParent parent =
      CgroupParent::Find({.mountinfo = Mount("unified", "/", "cgroup2", "rw"),
                          .own = "0::/user\n"},
                         "");
  EXPECT_THAT(parent.folders(), ElementsAre(At("unified/user")));
  EXPECT_EQ(parent.detail(), "cgroup v2: memory, pids, cpu");
}

TEST_F(CgroupParentTest, TakesTheFolderThatItIsGiven) {
  Make("given");
  Put("given/cgroup.controllers", "pids\n");
  Put("given/cgroup.subtree_control", "pids\n");
  const CgroupParent parent = CgroupParent::Find(
      {.mountinfo = Mount("memory", "/", "cgroup", "rw,memory"),
       .own = "9:memory:/\n"},
      At("given"));
  EXPECT_EQ(parent.detail(), "cgroup v2: no memory, pids, cpu");
}

TEST_F(CgroupParentTest, SaysWhenThereIsNone) {
  for (const CgroupSource& source :
       {CgroupSource{},
        CgroupSource{.mountinfo = "nonsense\n\n - \n", .own = ":\n::\nx\n"},
        CgroupSource{.mountinfo = Mount("gone", "/", "cgroup2", "rw"),
        .own = "0::/\n"}}) {
    const CgroupParent parent = CgroupParent::Find(source, "");
    EXPECT_THAT(parent.folders(), IsEmpty());
    EXPECT_EQ(parent.detail(), "no cgroup that we may divide");
  }
  EXPECT_THAT(CgroupParent::Find({}, "/nonexistent").detail(),
              HasSubstr("/nonexistent"));
}

class RunCgroupTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!Mode().cgroups) GTEST_SKIP() << "this test needs cgroups";
    if (!parent_.memory() || !parent_.pids() || !parent_.cpu()) {
      GTEST_SKIP() << "not on this machine: " << parent_.detail();
    }
  }

  const CgroupParent parent_ =
      CgroupParent::Find(CgroupParent::OwnSource(), "");
  const std::string name_ = "cgroup-test-" + std::to_string(getpid());
};

TEST_F(RunCgroupTest, MakesAndRemovesAFolderPerController) {
  {
    const auto cgroup = parent_.Create(name_, 64 << 20, 10);
    ASSERT_TRUE(cgroup.ok()) << cgroup.status();
    for (const std::string& folder : parent_.folders()) {
      EXPECT_TRUE(std::filesystem::exists(folder + "/" + name_));
    }
    EXPECT_FALSE(parent_.Create(name_, 64 << 20, 10).ok()) << "is there";
    EXPECT_EQ((*cgroup)->OutOfMemory(), 0);
    EXPECT_EQ((*cgroup)->RefusedProcesses(), 0);
  }
  for (const std::string& folder : parent_.folders()) {
    EXPECT_FALSE(std::filesystem::exists(folder + "/" + name_));
  }
}

TEST_F(RunCgroupTest, RemovesWhatOthersLeftWithItsProcesses) {
  auto cgroup = parent_.Create(name_, 64 << 20, 10);
  ASSERT_TRUE(cgroup.ok()) << cgroup.status();
  const pid_t stray = fork();
  if (stray == 0) {
    for (const UniqueFd& entrance : (*cgroup)->entrances()) {
      if (write(entrance.get(), "0", 1) != 1) _exit(1);
    }
    for (;;) pause();
  }
  const std::string procs =
      parent_.folders()[0] + "/" + name_ + "/cgroup.procs";
  const auto is_in = [&] {
    std::ifstream file(procs);
    pid_t pid = 0;
    return static_cast<bool>(file >> pid);
  };
  while (!is_in()) std::this_thread::yield();
  EXPECT_EQ(RemoveCgroups(parent_.folders()[0], "no-such-prefix"), 0);
  EXPECT_TRUE(is_in());
  std::thread reaper([&] { waitpid(stray, nullptr, 0); });
  for (const std::string& folder : parent_.folders()) {
    EXPECT_EQ(RemoveCgroups(folder, name_), 0);
    EXPECT_FALSE(std::filesystem::exists(folder + "/" + name_));
  }
  reaper.join();
}

}  // namespace
}  // namespace platform::execution
