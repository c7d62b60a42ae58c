// SPDX-License-Identifier: Apache-2.0
#include "services/seed/content.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <string_view>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "google/protobuf/util/json_util.h"
#include "grpccommon/base/file.h"
#include "grpccommon/base/string_view.h"

namespace platform::seed {
namespace {

namespace fs = std::filesystem;
using execution::v1::Verdict;
using grpccommon::ReadFile;

absl::Status Invalid(const fs::path& path, std::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat(path.string(), ": ", grpccommon::ToAbsl(what)));
}

absl::StatusOr<std::vector<fs::path>> List(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> paths;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    paths.push_back(entry->path());
  }
  if (error) return Invalid(folder, error.message());
  std::sort(paths.begin(), paths.end());
  return paths;
}

absl::StatusOr<std::set<Verdict>> VerdictsOf(const fs::path& path,
                                             const std::string& source) {
  constexpr std::string_view kMark = " verdict: ";
  const std::size_t place = source.find(kMark);
  if (place == std::string::npos) return Invalid(path, "says no verdict");
  const std::size_t begin = place + kMark.size();
  std::set<Verdict> verdicts;
  for (const std::string& name : std::vector<std::string>(absl::StrSplit(
           source.substr(begin, source.find('\n', begin) - begin), ", "))) {
    Verdict verdict = execution::v1::VERDICT_UNSPECIFIED;
    if (!execution::v1::Verdict_Parse("VERDICT_" + name, &verdict)) {
      return Invalid(path, "no verdict: " + name);
    }
    verdicts.insert(verdict);
  }
  return verdicts;
}

absl::StatusOr<std::vector<Solution>> LoadSolutions(const fs::path& folder) {
  static const std::map<std::string, std::string> kLanguages = {
      {".c", "c"}, {".cpp", "cpp"}, {".js", "javascript"}, {".py", "python"}};
  const auto paths = List(folder);
  if (!paths.ok()) return paths.status();
  std::vector<Solution> solutions;
  for (const fs::path& path : *paths) {
    const auto language = kLanguages.find(path.extension().string());
    if (language == kLanguages.end()) return Invalid(path, "no known language");
    auto source = ReadFile(path.string());
    if (!source.ok()) return source.status();
    auto verdicts = VerdictsOf(path, *source);
    if (!verdicts.ok()) return verdicts.status();
    solutions.push_back({.name = path.filename().string(),
                         .language = language->second,
                         .source = *std::move(source),
                         .verdicts = *std::move(verdicts)});
  }
  return solutions;
}

absl::StatusOr<std::vector<problem::v1::TestCase>> LoadTests(
    const fs::path& folder) {
  const auto paths = List(folder);
  if (!paths.ok()) return paths.status();
  std::vector<problem::v1::TestCase> tests;
  for (const fs::path& path : *paths) {
    if (path.extension() != ".input") continue;
    auto input = ReadFile(path.string());
    if (!input.ok()) return input.status();
    auto output =
        ReadFile(fs::path(path).replace_extension(".output").string());
    if (!output.ok()) return output.status();
    const std::string name = path.stem().string();
    const bool sample = absl::EndsWith(name, "-sample");
    if (!sample && !absl::EndsWith(name, "-hidden")) {
      return Invalid(path, "is neither a sample nor hidden");
    }
    problem::v1::TestCase& test = tests.emplace_back();
    test.set_sample(sample);
    test.set_input(*std::move(input));
    test.set_expected_output(*std::move(output));
  }
  if (tests.empty()) return Invalid(folder, "has no tests");
  return tests;
}

absl::StatusOr<ProblemContent> LoadProblem(const fs::path& folder) {
  const auto json = ReadFile((folder / "problem.json").string());
  if (!json.ok()) return json.status();
  ProblemContent content;
  const auto parsed =
      google::protobuf::util::JsonStringToMessage(*json, &content.problem);
  if (!parsed.ok()) return Invalid(folder / "problem.json", parsed.ToString());
  content.problem.set_slug(folder.filename().string());
  content.problem.set_published(true);
  auto statement = ReadFile((folder / "statement.md").string());
  if (!statement.ok()) return statement.status();
  content.problem.set_statement(*std::move(statement));
  auto tests = LoadTests(folder / "tests");
  if (!tests.ok()) return tests.status();
  content.test_cases = *std::move(tests);
  auto solutions = LoadSolutions(folder / "solutions");
  if (!solutions.ok()) return solutions.status();
  content.solutions = *std::move(solutions);
  return content;
}

const Solution* FindIn(const std::vector<Solution>& solutions,
                       const std::string& name) {
  for (const Solution& solution : solutions) {
    if (solution.name == name) return &solution;
  }
  return nullptr;
}

}  // namespace

const Solution* ProblemContent::Find(const std::string& name) const {
  return FindIn(solutions, name);
}

const ProblemContent* Content::Find(const std::string& slug) const {
  for (const ProblemContent& content : problems) {
    if (content.problem.slug() == slug) return &content;
  }
  return nullptr;
}

const Solution* Content::FindHostile(const std::string& name) const {
  return FindIn(hostile, name);
}

absl::StatusOr<Content> LoadContent(const std::string& folder) {
  Content content;
  const auto problems = List(fs::path(folder) / "problems");
  if (!problems.ok()) return problems.status();
  for (const fs::path& path : *problems) {
    auto problem = LoadProblem(path);
    if (!problem.ok()) return problem.status();
    content.problems.push_back(*std::move(problem));
  }
  auto hostile = LoadSolutions(fs::path(folder) / "hostile");
  if (!hostile.ok()) return hostile.status();
  content.hostile = *std::move(hostile);
  return content;
}

}  // namespace platform::seed
