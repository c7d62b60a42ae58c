// SPDX-License-Identifier: Apache-2.0
#include <sys/wait.h>

#include <cstring>
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
    EXPECT_EQ((*cgroup)->KilledForMemory(), 0);
    EXPECT_FALSE((*cgroup)->RanOutOfMemory());
    EXPECT_EQ((*cgroup)->RefusedProcesses(), 0);
    EXPECT_FALSE((*cgroup)->RanOutOfProcesses());
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

TEST_F(RunCgroupTest, TellsItsOwnLimitOfProcessesFromTheServices) {
  std::string service;
  for (const std::string& folder : parent_.folders()) {
    if (std::filesystem::exists(folder + "/cgroup.procs") &&
        folder.find("pids") != std::string::npos) {
      service = folder + "/" + name_;
    }
  }
  if (service.empty()) GTEST_SKIP() << "no pids hierarchy of version 1";
  ASSERT_EQ(mkdir(service.c_str(), 0755), 0) << std::strerror(errno);
  const auto limit_service = [&](const char* most) {
    std::ofstream(service + "/pids.max") << most << std::flush;
  };
  const CgroupParent parent = CgroupParent::Find(
      {.mountinfo = "31 28 0:27 / " + service +
                    " rw,relatime shared:9 - cgroup cgroup rw,pids\n",
       .own = "8:pids:/\n"},
      "");
  ASSERT_EQ(parent.detail(), "cgroup v1: no memory, pids, no cpu");
  {
    auto run = *parent.Create("run", 64 << 20, 4);
    // A process of the run that tries to have so many more.
    const auto fork_in_run = [&run](int children) {
      const pid_t program = fork();
      if (program == 0) {
        if (write(run->entrances()[0].get(), "0", 1) != 1) _exit(1);
        std::vector<pid_t> all;
        for (int i = 0; i < children; ++i) {
          // Not by fork(), for which ThreadSanitizer starts a thread in it.
          const pid_t child = _Fork();
          if (child == 0) {
            for (;;) pause();
          }
          if (child > 0) all.push_back(child);
        }
        for (const pid_t child : all) {
          kill(child, SIGKILL);
          waitpid(child, nullptr, 0);
        }
        _exit(0);
      }
      int status = 0;
      waitpid(program, &status, 0);
      EXPECT_EQ(status, 0);
    };
    limit_service("2");
    fork_in_run(2);
    if (std::filesystem::exists(service + "/run/pids.peak")) {
      EXPECT_FALSE(run->RanOutOfProcesses());
    }
    EXPECT_EQ(run->RefusedProcesses(), 1);
    limit_service("max");
    fork_in_run(4);
    EXPECT_TRUE(run->RanOutOfProcesses());
  }
  EXPECT_EQ(rmdir(service.c_str()), 0) << std::strerror(errno);
}

// The kernel's own hierarchy of version 2, below a folder for this test. Its
// controllers are not there if version 1 has them.
class RealVersionTwoTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::istringstream lines(CgroupParent::OwnSource().mountinfo);
    for (std::string line; std::getline(lines, line);) {
      if (line.find(" - cgroup2 ") == std::string::npos) continue;
      std::istringstream words(line);
      std::string id, parent, device, root;
      words >> id >> parent >> device >> root >> mount_;
    }
    if (mount_.empty()) GTEST_SKIP() << "no cgroup v2 is mounted";
    if (access(mount_.c_str(), W_OK) != 0 || geteuid() != 0) {
      GTEST_SKIP() << "cannot make folders in " << mount_;
    }
    folder_ = mount_ + "/v2-test-" + std::to_string(getpid());
    ASSERT_EQ(mkdir(folder_.c_str(), 0755), 0) << std::strerror(errno);
  }
  void TearDown() override {
    if (folder_.empty()) return;
    EXPECT_EQ(RemoveCgroups(folder_, "run"), 0);
    EXPECT_EQ(RemoveCgroups(folder_, "service"), 0);
    EXPECT_EQ(RemoveCgroups(mount_, "v2-test-" + std::to_string(getpid())), 0);
  }

  bool HasControllers() const {
    const std::string has = Read(folder_ + "/cgroup.controllers");
    return has.find("memory") != std::string::npos &&
           has.find("pids") != std::string::npos;
  }
  static std::string Read(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static bool Enter(const std::string& folder) {
    std::ofstream file(folder + "/cgroup.procs");
    file << "0" << std::flush;
    return file.good();
  }
  // A process in `folder`, until it is killed.
  static pid_t StartIn(const std::string& folder) {
    const pid_t child = fork();
    if (child == 0) {
      if (!Enter(folder)) _exit(1);
      for (;;) pause();
    }
    while (Read(folder + "/cgroup.procs").empty() &&
           waitpid(child, nullptr, WNOHANG) == 0) {
      std::this_thread::yield();
    }
    return child;
  }

  std::string mount_;
  std::string folder_;
};

TEST_F(RealVersionTwoTest, RemovesFoldersWithAllTheirProcesses) {
  const std::string run = folder_ + "/run-1";
  ASSERT_EQ(mkdir(run.c_str(), 0755), 0);
  const pid_t stray = StartIn(run);
  EXPECT_EQ(Read(run + "/cgroup.procs"), std::to_string(stray) + "\n");
  EXPECT_EQ(RemoveCgroups(folder_, "other"), 0);
  EXPECT_TRUE(std::filesystem::exists(run));
  int status = 0;
  std::thread reaper([&] { waitpid(stray, &status, 0); });
  EXPECT_EQ(RemoveCgroups(folder_, "run-"), 0);
  reaper.join();
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  EXPECT_FALSE(std::filesystem::exists(run));
}

TEST_F(RealVersionTwoTest, DoesNotDivideAFolderThatOthersAreIn) {
  if (!HasControllers()) GTEST_SKIP() << "version 1 has the controllers";
  const pid_t other = StartIn(folder_);
  const CgroupParent parent = CgroupParent::Find({}, folder_);
  EXPECT_FALSE(parent.memory() || parent.pids());
  EXPECT_THAT(parent.detail(), HasSubstr("other processes are in " + folder_));
  EXPECT_EQ(Read(folder_ + "/cgroup.subtree_control"), "");
  kill(other, SIGKILL);
  waitpid(other, nullptr, 0);
}

TEST_F(RealVersionTwoTest, MovesIntoALeafAndFindsItsPlaceAgain) {
  if (!HasControllers()) GTEST_SKIP() << "version 1 has the controllers";
  const pid_t service = fork();
  if (service == 0) {
    if (!Enter(folder_)) _exit(1);
    for (int i = 0; i < 2; ++i) {
      const CgroupParent parent =
          CgroupParent::Find(CgroupParent::OwnSource(), "");
      if (parent.folders() != std::vector<std::string>{folder_}) _exit(2);
      if (parent.detail() != "cgroup v2: memory, pids, cpu") _exit(3);
      const auto run = parent.Create("run", 64 << 20, 3);
      if (!run.ok()) _exit(4);
      const pid_t program = fork();
      if (program == 0) {
        const int fd = (*run)->entrances()[0].get();
        _exit(write(fd, "0", 1) == 1 ? 0 : 1);
      }
      int status = 0;
      waitpid(program, &status, 0);
      if (status != 0) _exit(5);
    }
    _exit(0);
  }
  int status = 0;
  waitpid(service, &status, 0);
  EXPECT_EQ(status, 0) << "code " << WEXITSTATUS(status);
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/service"));
}

}  // namespace
}  // namespace platform::execution
