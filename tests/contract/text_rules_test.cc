// SPDX-License-Identifier: Apache-2.0
// What people are shown of others' texts: no control characters, which
// terminals and logs obey, and nothing that turns the order of what stands
// beside it (Unicode Technical Report 36, section 2.11).

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "grpccommon/testing/status_matchers.h"
#include "grpccommon/validate/validator.h"
#include "platform/contest/v1/contest_service.pb.h"
#include "platform/problem/v1/problem_service.pb.h"
#include "platform/user/v1/user_service.pb.h"

namespace grpccommon::testing {
namespace {

constexpr char kId[] = "00000000-0000-4000-8000-000000000000";

struct Field {
  std::string name;
  // Whether it may have lines.
  bool lines;
  std::function<std::unique_ptr<google::protobuf::Message>(std::string)> with;
};

// A request that has `text` in the field, and else what it needs.
template <typename Request>
Field Of(const std::string& name, bool lines,
         std::function<void(Request&, std::string)> set) {
  return {name, lines, [set](std::string text) {
            auto request = std::make_unique<Request>();
            set(*request, std::move(text));
            return request;
          }};
}

std::vector<Field> Fields() {
  namespace contest = platform::contest::v1;
  namespace problem = platform::problem::v1;
  namespace user = platform::user::v1;
  return {Of<user::RegisterRequest>("a new user's display name", false,
                                    [](auto& request, std::string text) {
                                      request.set_username("ada");
                                      request.set_email("ada@example.org");
                                      request.set_password("correct horse");
                                      request.set_display_name(std::move(text));
                                    }),
          Of<user::UpdateUserRequest>(
              "a user's display name", false,
              [](auto& request, std::string text) {
                request.mutable_user()->set_display_name(std::move(text));
                request.mutable_update_mask()->add_paths("display_name");
              }),
          Of<problem::CreateProblemRequest>(
              "a problem's title", false,
              [](auto& request, std::string text) {
                request.mutable_problem()->set_title(std::move(text));
              }),
          Of<problem::CreateProblemRequest>(
              "a problem's statement", true,
              [](auto& request, std::string text) {
                request.mutable_problem()->set_statement(std::move(text));
              }),
          Of<contest::CreateContestRequest>(
              "a contest's title", false,
              [](auto& request, std::string text) {
                request.mutable_contest()->set_title(std::move(text));
              }),
          Of<contest::CreateContestRequest>(
              "a contest's description", true,
              [](auto& request, std::string text) {
                request.mutable_contest()->set_description(std::move(text));
              }),
          Of<contest::RegisterForContestRequest>(
              "a team's name", false,
              [](auto& request, std::string text) {
                request.set_contest_id(kId);
                request.set_team_name(std::move(text));
              }),
          Of<contest::CreateAnnouncementRequest>(
              "an announcement", true, [](auto& request, std::string text) {
                request.set_contest_id(kId);
                request.set_text(std::move(text));
              })};
}

absl::Status Check(const Field& field, const std::string& text) {
  const auto request = field.with(text);
  const auto validator = Validator::Create(*request->GetDescriptor());
  return validator.ok() ? (*validator)->Validate(*request) : validator.status();
}

TEST(TextRulesTest, TakeEveryLanguage) {
  for (const Field& field : Fields()) {
    for (const std::string text :
         {"Ada", "Zo\u00eb \U0001f9ee", "\u05e9\u05dc\u05d5\u05dd",
          "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627", "<b>'; %s",
          "\U0001f469\u200d\U0001f467", "a\u200eb\u200f", "\u00ad\ufeff"}) {
      EXPECT_THAT(Check(field, text), IsOk()) << field.name << ": " << text;
    }
  }
}

TEST(TextRulesTest, RefuseWhatIsObeyedRatherThanShown) {
  for (const Field& field : Fields()) {
    for (const std::string& text :
         {std::string(1, '\0'), std::string("\x01"), std::string("\x08"),
          std::string("\x0b"), std::string("\x0c"), std::string("\x1b[31m"),
          std::string("\x1f"), std::string("\x7f"), std::string("\u0080"),
          std::string("\u0085"), std::string("\u009b"), std::string("\u2028"),
          std::string("\u2029"), std::string("\u202a"), std::string("\u202d"),
          std::string("\u202e"), std::string("\u2066"),
          std::string("\u2069")}) {
      for (const std::string& whole :
           {text, "a" + text, text + "b", "a" + text + "b"}) {
        EXPECT_THAT(Check(field, whole),
                    StatusIs(absl::StatusCode::kInvalidArgument))
            << field.name << ": " << ::testing::PrintToString(whole);
      }
    }
  }
}

TEST(TextRulesTest, LinesAreForTextsOfSeveral) {
  for (const Field& field : Fields()) {
    for (const std::string text : {"a\nb", "a\r\nb", "\ta"}) {
      if (field.lines) {
        EXPECT_THAT(Check(field, text), IsOk()) << field.name;
      } else {
        EXPECT_THAT(Check(field, text),
                    StatusIs(absl::StatusCode::kInvalidArgument))
            << field.name;
      }
    }
  }
}

}  // namespace
}  // namespace grpccommon::testing
