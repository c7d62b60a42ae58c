// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/auth/access_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "auth/reason_matcher.h"

namespace grpccommon {
namespace {

constexpr char kPath[] = "/shop.v1.OrderService/Refund";

const Principal kAnonymous;
const Principal kAlice{.subject = "alice", .issuer = "idp"};
const Principal kAdmin{
    .subject = "root", .issuer = "idp", .roles = {"user", "admin"}};
const Principal kReader{.subject = "r", .issuer = "idp", .scopes = {"read"}};

AccessDecision Decide(std::string_view policy, const AccessRule& contract,
                      const Principal& principal,
                      std::string_view path = kPath) {
  const absl::StatusOr<AccessPolicy> parsed = AccessPolicy::Parse(policy);
  EXPECT_THAT(parsed, IsOk());
  return parsed->Compile(path, contract).Decide(principal);
}

constexpr char kNoRules[] = R"({"rules":[]})";
const AccessRule kPublic{.kind = AccessRule::Kind::kPublic};
const AccessRule kAuthenticated{.kind = AccessRule::Kind::kAuthenticated};
const AccessRule kAdmins{.kind = AccessRule::Kind::kAnyOf,
                         .roles = {"admin", "owner"}};
const AccessRule kAdminsOrReaders{.kind = AccessRule::Kind::kAnyOf,
                                  .roles = {"admin"},
                                  .scopes = {"read", "all"}};

TEST(AccessPolicyTest, WithoutRulesTheContractHolds) {
  using enum AccessDecision;
  EXPECT_EQ(Decide(kNoRules, kPublic, kAnonymous), kAllowed);
  EXPECT_EQ(Decide(kNoRules, kAuthenticated, kAnonymous), kCredentialMissing);
  EXPECT_EQ(Decide(kNoRules, kAuthenticated, kAlice), kAllowed);
  EXPECT_EQ(Decide(kNoRules, kAdmins, kAnonymous), kCredentialMissing);
  EXPECT_EQ(Decide(kNoRules, kAdmins, kAlice), kRoleMissing);
  EXPECT_EQ(Decide(kNoRules, kAdmins, kAdmin), kAllowed);
  EXPECT_EQ(Decide(kNoRules, kAdminsOrReaders, kReader), kAllowed);
  EXPECT_EQ(Decide(kNoRules, kAdminsOrReaders, kAlice), kRoleMissing);
}

TEST(AccessPolicyTest, AnEmptyListOfRolesLetsNobodyIn) {
  EXPECT_EQ(Decide(kNoRules, {.kind = AccessRule::Kind::kAnyOf}, kAdmin),
            AccessDecision::kRoleMissing);
}

TEST(AccessPolicyTest, AllowAddsCallers) {
  using enum AccessDecision;
  constexpr char kRule[] =
      R"({"rules":[{"methods":["/shop.v1.*/Refund"],"subjects":["alice"]}]})";
  EXPECT_EQ(Decide(kRule, kAdmins, kAlice), kAllowed);
  EXPECT_EQ(Decide(kRule, kAdmins, kAdmin), kAllowed);
  EXPECT_EQ(Decide(kRule, kAdmins, kReader), kRoleMissing);
  EXPECT_EQ(Decide(kRule, kAdmins, kAlice, "/shop.v1.OrderService/Cancel"),
            kRoleMissing)
      << "another method";
}

TEST(AccessPolicyTest, OnlyReplacesTheContract) {
  using enum AccessDecision;
  constexpr char kRule[] =
      R"({"rules":[{"methods":["/**"],"effect":"only","scopes":["read"]}]})";
  EXPECT_EQ(Decide(kRule, kPublic, kAnonymous), kCredentialMissing);
  EXPECT_EQ(Decide(kRule, kPublic, kAdmin), kRoleMissing);
  EXPECT_EQ(Decide(kRule, kAdmins, kReader), kAllowed);
}

TEST(AccessPolicyTest, DenyWinsWhateverTheOrder) {
  using enum AccessDecision;
  for (const char* const rules : {R"({"rules":[
          {"methods":["/**"],"effect":"deny","subjects":["alice"]},
          {"methods":["/**"],"effect":"allow","anyone":true}]})",
                                  R"({"rules":[
          {"methods":["/**"],"effect":"allow","anyone":true},
          {"methods":["/**"],"effect":"deny","subjects":["alice"]}]})"}) {
    EXPECT_EQ(Decide(rules, kAdmins, kAlice), kDenied);
    EXPECT_EQ(Decide(rules, kAdmins, kAnonymous), kAllowed);
  }
  constexpr char kNobody[] =
      R"({"rules":[{"methods":["/**"],"effect":"deny","anyone":true}]})";
  EXPECT_EQ(Decide(kNobody, kPublic, kAnonymous), kDenied);
  EXPECT_EQ(Decide(kNobody, kPublic, kAdmin), kDenied);
}

TEST(AccessPolicyTest, DenyByRoleScopeAndAuthenticated) {
  using enum AccessDecision;
  EXPECT_EQ(Decide(R"({"rules":[{"methods":["/**"],"effect":"deny",
                     "roles":["user"]}]})",
                   kAuthenticated, kAdmin),
            kDenied);
  EXPECT_EQ(Decide(R"({"rules":[{"methods":["/**"],"effect":"deny",
                     "scopes":["read"]}]})",
                   kAuthenticated, kReader),
            kDenied);
  EXPECT_EQ(Decide(R"({"rules":[{"methods":["/**"],"effect":"deny",
                     "authenticated":true}]})",
                   kPublic, kAnonymous),
            kAllowed);
}

TEST(AccessPolicyTest, IssuerNarrowsARule) {
  using enum AccessDecision;
  constexpr char kRule[] =
      R"({"rules":[{"methods":["/**"],"effect":"only","issuer":"idp",
         "subjects":["alice"]}]})";
  EXPECT_EQ(Decide(kRule, kPublic, kAlice), kAllowed);
  EXPECT_EQ(Decide(kRule, kPublic, {.subject = "alice", .issuer = "api-key"}),
            kRoleMissing);
}

TEST(AccessPolicyTest, SubjectsArePatterns) {
  using enum AccessDecision;
  constexpr char kRule[] =
      R"({"rules":[{"methods":["/**"],"effect":"only",
         "subjects":["spiffe://prod/ns/shop/*"]}]})";
  EXPECT_EQ(Decide(kRule, kPublic, {.subject = "spiffe://prod/ns/shop/cart"}),
            kAllowed);
  EXPECT_EQ(Decide(kRule, kPublic, {.subject = "spiffe://prod/ns/shopx/cart"}),
            kRoleMissing);
}

TEST(AccessPolicyTest, AStarInASubjectEndsAtADot) {
  using enum AccessDecision;
  const auto decide = [](const std::string& pattern, const char* subject) {
    const std::string rule =
        R"({"rules":[{"methods":["/**"],"effect":"deny","subjects":[")" +
        pattern + "\"]}]}";
    return Decide(rule.c_str(), kPublic, {.subject = subject});
  };
  EXPECT_EQ(decide("*@evil.com", "john@evil.com"), kDenied);
  EXPECT_EQ(decide("*@evil.com", "john.doe@evil.com"), kAllowed);
  EXPECT_EQ(decide("**@evil.com", "john.doe@evil.com"), kDenied);
  EXPECT_EQ(decide("**@evil.com", "john.doe@evil.com.example"), kAllowed);
}

TEST(AccessPolicyTest, SaysWhichRolesAndScopesWouldDoAndNoSubjects) {
  const auto requirement = [](const char* rules, const AccessRule& contract) {
    return AccessPolicy::Parse(rules)->Compile(kPath, contract).requirement();
  };
  EXPECT_EQ(requirement(kNoRules, kAdmins),
            "needs one of the roles admin, owner");
  EXPECT_EQ(requirement(kNoRules, kAdminsOrReaders),
            "needs one of the roles admin or one of the scopes read, all");
  EXPECT_EQ(requirement(R"({"rules":[{"methods":["/**"],"effect":"only",
                          "subjects":["alice"]}]})",
                        kAdmins),
            "is not open to this caller");
  EXPECT_EQ(requirement(R"({"rules":[{"methods":["/**"],"effect":"only",
                          "scopes":["read"]}]})",
                        kAdmins),
            "needs one of the scopes read");
}

TEST(AccessPolicyTest, RefusesBrokenPoliciesNamingTheRule) {
  for (
      const auto& [text, place] :
      std::vector<std::pair<std::string, std::string>>{
          {"", "not JSON"},
          {"[]", "must be an object"},
          {"{}", "\"rules\" must be an array"},
          {R"({"rules":[],"rule":1})", "unknown member \"rule\""},
          {R"({"rules":[5]})", "rules[0]: must be an object"},
          {R"({"rules":[{"anyone":true}]})", "rules[0].methods"},
          {R"({"rules":[{"methods":[],"anyone":true}]})", "rules[0].methods"},
          {R"({"rules":[{"methods":"/**","anyone":true}]})",
           "rules[0].methods"},
          {R"({"rules":[{"methods":["shop"],"anyone":true}]})",
           "rules[0].methods: \"shop\""},
          // Fit no method's path, so they would never hold.
          {R"({"rules":[{"methods":["/shop.v1.OrderService"],"anyone":true}]})",
           "\"/shop.v1.OrderService\" must be a pattern like"},
          {R"({"rules":[{"methods":["/shop.v1.*/"],"anyone":true}]})",
           "rules[0].methods"},
          {R"({"rules":[{"methods":["//Refund"],"anyone":true}]})",
           "rules[0].methods"},
          {R"({"rules":[{"methods":["/shop/v1/Refund"],"anyone":true}]})",
           "rules[0].methods"},
          {R"({"rules":[{"methods":["/**"]}]})", "rules[0]: needs"},
          {R"({"rules":[{"methods":["/**"],"roles":[]}]})", "rules[0]: needs"},
          {R"({"rules":[{"methods":["/**"],"role":["a"]}]})",
           "rules[0]: unknown member \"role\""},
          {R"({"rules":[{"methods":["/**"],"anyone":true},
                         {"methods":["/**"],"effect":"permit","anyone":true}]})",
           "rules[1].effect"},
          {R"({"rules":[{"methods":["/**"],"effect":1,"anyone":true}]})",
           "rules[0].effect"},
          {R"({"rules":[{"methods":["/**"],"anyone":false}]})",
           "rules[0].anyone"},
          {R"({"rules":[{"methods":["/**"],"authenticated":"yes"}]})",
           "rules[0].authenticated"},
          {R"({"rules":[{"methods":["/**"],"roles":[""]}]})", "rules[0].roles"},
          {R"({"rules":[{"methods":["/**"],"anyone":true,"issuer":"x"}]})",
           "anyone has no issuer"},
          {R"({"rules":[{"methods":["/**"],"anyone":true,"anyone":true}]})",
           "\"anyone\" appears twice"},
      }) {
    EXPECT_THAT(AccessPolicy::Parse(text),
                FailsWith(absl::StatusCode::kInvalidArgument, place))
        << text;
  }
}

}  // namespace
}  // namespace grpccommon
