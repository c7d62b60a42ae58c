// SPDX-License-Identifier: Apache-2.0
// What the sandbox says of itself, when it is whole and when it is not: a
// program in bubblewrap's place leaves out one protection or another.

#include "services/execution/sandbox/probe.h"
#include "services/execution/sandbox_fixture.h"

namespace platform::execution {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class SandboxProtectionsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (access("/usr/bin/bwrap", X_OK) != 0) {
      GTEST_SKIP() << "no bubblewrap on this machine";
    }
  }
  void TearDown() override { EXPECT_THAT(Strays(), IsEmpty()); }

  // A script that has bwrap's arguments and changes them.
  void Replace(const std::string& script) {
    options_.bwrap_path = folder_.path() + "/bwrap";
    std::ofstream(options_.bwrap_path) << "#!/bin/sh\n" << script << "\n";
    chmod(options_.bwrap_path.c_str(), 0755);
  }
  void LeaveOut(const std::string& arguments) {
    Replace("for a; do shift; case $a in " + arguments +
            ") ;; *) set -- \"$@\" \"$a\";; esac; done\n"
            "exec /usr/bin/bwrap \"$@\"");
  }
  static bool InForce(const Sandbox& sandbox, const std::string& name) {
    for (const SandboxProtection& each : sandbox.protections()) {
      if (each.name == name) return each.in_force;
    }
    ADD_FAILURE() << "nothing is said about " << name;
    return false;
  }

  const StateFolderForTest folder_;
  SandboxOptions options_ = TestOptions(folder_.path() + "/state");
};

TEST_F(SandboxProtectionsTest, AreAllInForceHere) {
  const auto sandbox = Sandbox::Create(options_);
  ASSERT_TRUE(sandbox.ok()) << sandbox.status();
  std::vector<std::string> essential;
  for (const SandboxProtection& each : (*sandbox)->protections()) {
    // These two depend on the machine and the user.
    if (each.name != "exact_accounting" && each.name != "user_of_its_own") {
      EXPECT_TRUE(each.in_force) << each.name << ": " << each.detail;
    }
    EXPECT_FALSE(each.detail.empty() && each.in_force) << each.name;
    if (each.essential) essential.push_back(each.name);
  }
  EXPECT_THAT(essential, testing::UnorderedElementsAre(
                             "file_system", "pid_namespace", "no_network",
                             "process_limit", "memory_limit", "seccomp"));
}

TEST_F(SandboxProtectionsTest, SayWhetherCgroupsHoldTheLimits) {
  options_.use_cgroups = false;
  const auto sandbox = Sandbox::Create(options_);
  ASSERT_TRUE(sandbox.ok()) << sandbox.status();
  EXPECT_FALSE(InForce(**sandbox, "exact_accounting"));
  EXPECT_TRUE(InForce(**sandbox, "memory_limit"));
  EXPECT_TRUE(InForce(**sandbox, "process_limit"));
}

TEST_F(SandboxProtectionsTest, AreRequiredUnlessTheyMayBeMissing) {
  LeaveOut("--unshare-net");
  const absl::Status refused = Sandbox::Create(options_).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("no_network"));
  EXPECT_THAT(std::string(refused.message()), Not(HasSubstr("seccomp")));

  options_.allow_missing = {"no_network"};
  const auto sandbox = Sandbox::Create(options_);
  ASSERT_TRUE(sandbox.ok()) << sandbox.status();
  EXPECT_FALSE(InForce(**sandbox, "no_network"));
  EXPECT_TRUE(InForce(**sandbox, "file_system"));
}

TEST_F(SandboxProtectionsTest, NoticeAFolderThatCanBeWrittenTo) {
  const std::string open = folder_.path() + "/open";
  std::filesystem::create_directory(open);
  chmod(open.c_str(), 0777);
  Replace("for a; do shift; [ \"$a\" = -- ] && set -- \"$@\" --bind " + open +
          " /program; set -- \"$@\" \"$a\"; done; exec /usr/bin/bwrap \"$@\"");
  const absl::Status refused = Sandbox::Create(options_).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("file_system"));
}

TEST_F(SandboxProtectionsTest, NoticeAFileThatCanBeSeen) {
  // The whole machine, in a place where programs have something else.
  Replace(
      "for a; do shift; [ \"$a\" = -- ] && set -- \"$@\" --ro-bind / "
      "/program; set -- \"$@\" \"$a\"; done; exec /usr/bin/bwrap \"$@\"");
  const absl::Status refused = Sandbox::Create(options_).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("file_system"));
}

TEST_F(SandboxProtectionsTest, MayBeMissingIfTheyAreNotEssential) {
  LeaveOut("--unshare-ipc");
  const auto sandbox = Sandbox::Create(options_);
  ASSERT_TRUE(sandbox.ok()) << sandbox.status();
  EXPECT_FALSE(InForce(**sandbox, "private_ipc"));
  EXPECT_TRUE(InForce(**sandbox, "private_host_name"));
}

TEST_F(SandboxProtectionsTest, AlwaysNeedTheirPidNamespace) {
  LeaveOut("--unshare-pid|--as-pid-1");
  options_.allow_missing = {"pid_namespace"};
  const absl::Status refused = Sandbox::Create(options_).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("pid namespace"));
}

TEST_F(SandboxProtectionsTest, NeedBubblewrap) {
  options_.bwrap_path = "/nonexistent/bwrap";
  const absl::Status refused = Sandbox::Create(options_).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()),
              AllOf(HasSubstr("bubblewrap"), HasSubstr("/nonexistent/bwrap")));
}

TEST_F(SandboxProtectionsTest, PassOnWhatBubblewrapSays) {
  Replace("echo 'bwrap: the kernel says no' >&2; exit 1");
  const absl::Status refused = Sandbox::Create(options_).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()),
              HasSubstr("bwrap: the kernel says no"));
}

TEST_F(SandboxProtectionsTest, DoNotWaitForASetUpForEver) {
  Replace("exec sleep 1000");
  options_.setup_timeout = 200ms;
  const auto start = std::chrono::steady_clock::now();
  const absl::Status refused = Sandbox::Create(options_).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()),
              HasSubstr("no end of it within 200 ms (stage: set-up; "
                        "bubblewrap: signal 9"));
  EXPECT_LT(std::chrono::steady_clock::now() - start, 30s);
}

TEST(CheckEssentialTest, NamesWhatIsMissing) {
  const std::vector<SandboxProtection> protections = {
      {.name = "a", .essential = true, .in_force = true, .detail = ""},
      {.name = "b", .essential = true, .in_force = false, .detail = "gone"},
      {.name = "c", .essential = false, .in_force = false, .detail = "away"},
      {.name = "d", .essential = true, .in_force = false, .detail = "lost"},
  };
  const absl::Status refused = CheckEssential(protections, {});
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(std::string(refused.message()),
            "essential protections are not in force: b (gone); d (lost)");
  EXPECT_EQ(std::string(CheckEssential(protections, {"b"}).message()),
            "essential protections are not in force: d (lost)");
  EXPECT_TRUE(CheckEssential(protections, {"b", "d"}).ok());
}

}  // namespace
}  // namespace platform::execution
