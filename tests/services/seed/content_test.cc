// SPDX-License-Identifier: Apache-2.0
#include "services/seed/content.h"

#include <filesystem>
#include <fstream>
#include <set>

#include "gmock/gmock.h"
#include "grpccommon/testing/certificates.h"
#include "grpccommon/testing/status_matchers.h"
#include "gtest/gtest.h"

namespace platform::seed {
namespace {

namespace fs = std::filesystem;
using grpccommon::testing::IsOk;
using ::testing::HasSubstr;

TEST(ContentTest, EachProblemHasSamplesHiddenTestsAndEachLanguage) {
  const auto content = LoadContent(CONTENT);
  ASSERT_THAT(content, IsOk());
  EXPECT_GE(content->problems.size(), 4u);
  for (const ProblemContent& problem : content->problems) {
    SCOPED_TRACE(problem.problem.slug());
    EXPECT_FALSE(problem.problem.title().empty());
    EXPECT_FALSE(problem.problem.statement().empty());
    int samples = 0;
    for (const auto& test : problem.test_cases) samples += test.sample();
    EXPECT_EQ(samples, 2);
    EXPECT_GE(problem.test_cases.size(), 5u);
    EXPECT_TRUE(problem.test_cases[0].sample());
    std::set<std::string> solved_in;
    bool refused = false;
    for (const Solution& solution : problem.solutions) {
      EXPECT_FALSE(solution.source.empty());
      if (solution.accepted()) solved_in.insert(solution.language);
      refused = refused || !solution.accepted();
    }
    EXPECT_THAT(solved_in,
                ::testing::ElementsAre("c", "cpp", "javascript", "python"));
    EXPECT_TRUE(refused);
  }
  for (const Solution& attack : content->hostile) {
    EXPECT_FALSE(attack.accepted()) << attack.name;
    EXPECT_EQ(attack.verdicts.count(execution::v1::VERDICT_INTERNAL), 0u);
  }
  EXPECT_NE(content->FindHostile("fork_bomb.c"), nullptr);
  EXPECT_EQ(content->FindHostile("right.c"), nullptr);
  const ProblemContent* const sum = content->Find("sum-of-two");
  ASSERT_NE(sum, nullptr);
  EXPECT_TRUE(sum->Find("right.py")->accepted());
  EXPECT_EQ(content->Find("nothing"), nullptr);
}

class BrokenContentTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::copy(CONTENT, folder_.path() + "/content", fs::copy_options::recursive);
  }
  std::string Path(const std::string& name) const {
    return folder_.path() + "/content/" + name;
  }
  std::string Error() const {
    return std::string(
        LoadContent(folder_.path() + "/content").status().message());
  }

  grpccommon::testing::TemporaryFolder folder_;
};

TEST_F(BrokenContentTest, IsRefusedByTheFileThatIsWrong) {
  EXPECT_THAT(LoadContent(folder_.path() + "/content"), IsOk());
  const std::string problem = "problems/sum-of-two/";
  const auto broken_by = [this](const std::string& name,
                                const std::string& text) {
    const std::string backup = Path("backup");
    const bool existed = fs::exists(Path(name));
    if (existed) fs::rename(Path(name), backup);
    std::ofstream(Path(name)) << text;
    std::string error = Error();
    fs::remove(Path(name));
    if (existed) fs::rename(backup, Path(name));
    return error;
  };
  EXPECT_THAT(broken_by(problem + "problem.json", R"({"titel": ""})"),
              HasSubstr("problem.json"));
  EXPECT_THAT(broken_by(problem + "solutions/right.py", "print(1)\n"),
              HasSubstr("right.py"));
  EXPECT_THAT(broken_by(problem + "solutions/right.py", "# verdict: MAYBE\n"),
              HasSubstr("MAYBE"));
  EXPECT_THAT(broken_by(problem + "solutions/right.bas", "10 END\n"),
              HasSubstr("right.bas"));
  EXPECT_THAT(broken_by(problem + "tests/07.input", "1 2\n"),
              HasSubstr("07.output"));
  std::ofstream(Path(problem + "tests/07.output")) << "3\n";
  EXPECT_THAT(broken_by(problem + "tests/07.input", "1 2\n"),
              HasSubstr("neither a sample nor hidden"));
  fs::remove_all(Path(problem + "tests"));
  EXPECT_THAT(Error(), HasSubstr("tests"));
}

TEST(ContentTest, AFolderThatIsNotThereIsAnError) {
  EXPECT_THAT(
      LoadContent("/nonexistent"),
      grpccommon::testing::StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace platform::seed
