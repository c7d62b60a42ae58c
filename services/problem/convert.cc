// SPDX-License-Identifier: Apache-2.0
#include "services/problem/convert.h"

#include <algorithm>
#include <chrono>

namespace platform::problem {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;

// Both google.protobuf.Timestamp and Duration.
template <typename Proto>
void SetTime(nanoseconds time, Proto& proto) {
  const auto whole = std::chrono::floor<seconds>(time);
  proto.set_seconds(whole.count());
  proto.set_nanos(static_cast<int>((time - whole).count()));
}

}  // namespace

v1::Problem ToProto(const Content& content) {
  v1::Problem proto;
  proto.set_title(content.title);
  proto.set_statement(content.statement);
  proto.set_difficulty(static_cast<v1::Difficulty>(content.difficulty));
  proto.mutable_tags()->Add(content.tags.begin(), content.tags.end());
  if (content.limits != Limits()) {
    v1::Limits& limits = *proto.mutable_limits();
    if (content.limits.cpu_time > nanoseconds(0)) {
      SetTime(content.limits.cpu_time, *limits.mutable_cpu_time());
    }
    limits.set_memory_bytes(content.limits.memory_bytes);
    limits.set_output_bytes(content.limits.output_bytes);
  }
  if (content.checker != Checker()) {
    v1::Checker& checker = *proto.mutable_checker();
    checker.set_kind(static_cast<v1::Checker::Kind>(content.checker.kind));
    checker.set_tolerance(content.checker.tolerance);
  }
  proto.mutable_languages()->Add(content.languages.begin(),
                                 content.languages.end());
  proto.set_published(content.published);
  return proto;
}

v1::Problem ToProto(const Problem& problem) {
  v1::Problem proto = ToProto(problem.content);
  proto.set_id(problem.id);
  proto.set_slug(problem.slug);
  proto.set_author_id(problem.author_id);
  SetTime(problem.created_at.time_since_epoch(), *proto.mutable_created_at());
  SetTime(problem.updated_at.time_since_epoch(), *proto.mutable_updated_at());
  proto.set_version(problem.version);
  proto.set_tests_version(problem.tests_version);
  proto.set_test_count(static_cast<int>(problem.test_count));
  return proto;
}

v1::TestCase ToProto(const TestCase& test, std::int64_t tests_version) {
  v1::TestCase proto;
  proto.set_id(test.id);
  proto.set_sample(test.sample);
  proto.set_input(test.input);
  proto.set_expected_output(test.expected_output);
  proto.set_position(static_cast<int>(test.position));
  proto.set_tests_version(tests_version);
  return proto;
}

Content FromProto(const v1::Problem& problem) {
  const v1::Limits& limits = problem.limits();
  return {
      .title = problem.title(),
      .statement = problem.statement(),
      .difficulty = static_cast<Difficulty>(problem.difficulty()),
      .tags = {problem.tags().begin(), problem.tags().end()},
      .limits = {.cpu_time = seconds(limits.cpu_time().seconds()) +
                             nanoseconds(limits.cpu_time().nanos()),
                 .memory_bytes = limits.memory_bytes(),
                 .output_bytes = limits.output_bytes()},
      .checker = {.kind = static_cast<CheckerKind>(problem.checker().kind()),
                  .tolerance = problem.checker().tolerance()},
      .languages = {problem.languages().begin(), problem.languages().end()},
      .published = problem.published()};
}

TestCase FromProto(const v1::TestCase& test) {
  return {.sample = test.sample(),
          .input = test.input(),
          .expected_output = test.expected_output()};
}

Filter FromProto(const v1::ListProblemsRequest& request) {
  Filter filter{.difficulty = static_cast<Difficulty>(request.difficulty()),
                .tags = {request.tags().begin(), request.tags().end()},
                .text = request.text(),
                .bookmarked = request.bookmarked(),
                .author_id = request.author_id()};
  // In whatever order they are asked for, it is the same list.
  std::sort(filter.tags.begin(), filter.tags.end());
  filter.tags.erase(std::unique(filter.tags.begin(), filter.tags.end()),
                    filter.tags.end());
  return filter;
}

}  // namespace platform::problem
