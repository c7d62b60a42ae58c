// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "gtest/gtest.h"
#include "services/execution/sandbox/workspace.h"
#include "services/execution/sandbox_fixture.h"

namespace platform::execution {
namespace {

class WorkspaceTest : public ::testing::Test {
 protected:
  std::string Read(const std::string& path) const {
    std::ifstream file(folder_.path() + "/w/" + path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  absl::StatusCode Add(const std::string& path, const std::string& content) {
    return workspace_->Add({.path = path, .content = content}).code();
  }

  const StateFolderForTest folder_;
  std::shared_ptr<FolderWorkspace> workspace_ = *FolderWorkspace::Create(
      folder_.path() + "/w", 100, 5, static_cast<gid_t>(-1));
};

TEST_F(WorkspaceTest, HoldsFilesInFolders) {
  EXPECT_EQ(Add("a", "1"), absl::StatusCode::kOk);
  EXPECT_EQ(Add("b/c/d", "2"), absl::StatusCode::kOk);
  EXPECT_EQ(Read("a"), "1");
  EXPECT_EQ(Read("b/c/d"), "2");
}

TEST_F(WorkspaceTest, ReplacesAFileWhileTheOldOneIsRead) {
  EXPECT_EQ(Add("a", "old"), absl::StatusCode::kOk);
  std::ifstream old(folder_.path() + "/w/a");
  EXPECT_EQ(Add("a", "new"), absl::StatusCode::kOk);
  std::string text;
  old >> text;
  EXPECT_EQ(text, "old");
  EXPECT_EQ(Read("a"), "new");
}

TEST_F(WorkspaceTest, MakesFilesThatNobodyWritesToAndSomeThatRun) {
  ASSERT_TRUE(workspace_->Add({.path = "x", .executable = true}).ok());
  ASSERT_TRUE(workspace_->Add({.path = "y"}).ok());
  struct stat info;
  ASSERT_EQ(stat((workspace_->folder() + "/x").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0500U);
  ASSERT_EQ(stat((workspace_->folder() + "/y").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0400U);
}

TEST_F(WorkspaceTest, BoundsItsBytes) {
  EXPECT_EQ(Add("a", std::string(60, 'x')), absl::StatusCode::kOk);
  EXPECT_EQ(Add("b", std::string(41, 'x')),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Add("b", std::string(40, 'x')), absl::StatusCode::kOk);
  // One that is replaced makes room.
  EXPECT_EQ(Add("a", std::string(61, 'x')),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Add("a", std::string(10, 'x')), absl::StatusCode::kOk);
  EXPECT_EQ(Add("c", std::string(50, 'x')), absl::StatusCode::kOk);
}

TEST_F(WorkspaceTest, BoundsItsFilesAndFolders) {
  EXPECT_EQ(Add("a/b/c", ""), absl::StatusCode::kOk);
  EXPECT_EQ(Add("a/b/d", ""), absl::StatusCode::kOk);
  EXPECT_EQ(Add("a/b/e", ""), absl::StatusCode::kOk);
  EXPECT_EQ(Add("a/b/f", ""), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Add("g/h", ""), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Add("a/b/c", "again"), absl::StatusCode::kOk);
}

TEST_F(WorkspaceTest, TellsFilesFromFolders) {
  EXPECT_EQ(Add("a/b", ""), absl::StatusCode::kOk);
  EXPECT_EQ(Add("a", ""), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Add("a/b/c", ""), absl::StatusCode::kInvalidArgument);
}

TEST_F(WorkspaceTest, RefusesPathsThatLeadElsewhere) {
  for (const std::string& path :
       {std::string(), std::string("/a"), std::string("a/"), std::string("."),
        std::string(".."), std::string("../a"), std::string("a/../b"),
        std::string("a/./b"), std::string("a//b"), std::string("a b"),
        std::string("a\nb"), std::string("a~"), std::string("a\\b"),
        std::string("a\0b", 3), std::string("\xc3\xa4"),
        std::string(241, 'a')}) {
    EXPECT_EQ(Add(path, ""), absl::StatusCode::kInvalidArgument) << path;
  }
  EXPECT_EQ(Add("..a/...", ""), absl::StatusCode::kOk);
  EXPECT_EQ(Add(std::string(240, 'a'), ""), absl::StatusCode::kOk);
}

TEST_F(WorkspaceTest, GoesWithItsFolder) {
  EXPECT_EQ(Add("a/b", ""), absl::StatusCode::kOk);
  const std::string folder = workspace_->folder();
  workspace_.reset();
  EXPECT_FALSE(std::filesystem::exists(folder));
}

}  // namespace
}  // namespace platform::execution
