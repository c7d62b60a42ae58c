// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/auth/mtls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "auth/reason_matcher.h"
#include "grpccommon/auth/reasons.h"

namespace grpccommon {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

absl::StatusOr<std::shared_ptr<const Principal>> Identify(
    const CertificateIdentityOptions& options,
    const PeerCertificate& certificate) {
  return CertificateIdentity::Create(options)->Identify(certificate);
}

TEST(CertificateIdentityTest, TakesTheSpiffeIdFirst) {
  const auto principal = Identify({}, {.uris = {"spiffe://prod/ns/a/sa/b"},
                                       .dns_names = {"b.a.svc"},
                                       .common_name = "b"});
  ASSERT_THAT(principal, IsOk());
  EXPECT_EQ((*principal)->subject, "spiffe://prod/ns/a/sa/b");
  EXPECT_EQ((*principal)->issuer, "mtls");
  EXPECT_THAT((*principal)->roles, IsEmpty());
  EXPECT_THAT((*principal)->attributes,
              ElementsAre(Pair("common_name", "b"), Pair("dns", "b.a.svc")));
}

TEST(CertificateIdentityTest, TakesADnsNameInLowerCaseElse) {
  EXPECT_EQ((*Identify({}, {.uris = {"https://other"},
                            .dns_names = {"A.Example", "b.example"}}))
                ->subject,
            "a.example");
}

TEST(CertificateIdentityTest, TakesTheDnsNameThatARuleFits) {
  EXPECT_EQ((*Identify({.rules = {{.pattern = "B.example"}}},
                       {.dns_names = {"a.example", "b.EXAMPLE"}}))
                ->subject,
            "b.example");
}

TEST(CertificateIdentityTest, TakesTheCommonNameOnlyIfToldSo) {
  EXPECT_THAT(Identify({}, {.common_name = "a"}),
              HasReason(auth_reason::kCertificateNotAllowed));
  EXPECT_EQ(
      (*Identify({.use_common_name = true}, {.common_name = "Alice"}))->subject,
      "Alice");
  EXPECT_THAT(
      Identify({.rules = {{.pattern = "alice"}}, .use_common_name = true},
               {.dns_names = {"mallory"}, .common_name = "alice"}),
      HasReason(auth_reason::kCertificateNotAllowed))
      << "the common name counts only where there is no other";
}

TEST(CertificateIdentityTest, ASpiffeIdIsTheOnlyUri) {
  EXPECT_THAT(Identify({}, {.uris = {"spiffe://a/b", "spiffe://a/c"}}),
              HasReason(auth_reason::kCertificateNotAllowed));
  EXPECT_THAT(Identify({}, {.uris = {"https://x", "spiffe://a/b"}}),
              HasReason(auth_reason::kCertificateNotAllowed));
}

TEST(CertificateIdentityTest, ASpiffeIdThatNoRuleFitsIsNotReplacedByADnsName) {
  EXPECT_THAT(Identify({.rules = {{.pattern = "a.example"}}},
                       {.uris = {"spiffe://x/y"}, .dns_names = {"a.example"}}),
              HasReason(auth_reason::kCertificateNotAllowed));
}

TEST(CertificateIdentityTest, GivesTheRolesOfAllRulesThatFit) {
  const CertificateIdentityOptions options = {
      .rules = {{.pattern = "spiffe://prod/ns/*/sa/*", .roles = {"service"}},
                {.pattern = "spiffe://prod/ns/shop/**",
                 .roles = {"shop"},
                 .scopes = {"orders"}},
                {.pattern = "spiffe://prod/ns/*", .roles = {"not this"}}}};
  const auto principal =
      Identify(options, {.uris = {"spiffe://prod/ns/shop/sa/cart"}});
  ASSERT_THAT(principal, IsOk());
  EXPECT_THAT((*principal)->roles, ElementsAre("service", "shop"));
  EXPECT_THAT((*principal)->scopes, ElementsAre("orders"));
  EXPECT_THAT(Identify(options, {.uris = {"spiffe://test/ns/shop/sa/cart"}}),
              HasReason(auth_reason::kCertificateNotAllowed));
  EXPECT_THAT(
      Identify(options, {.uris = {"spiffe://prod.evil/ns/shop/sa/cart"}}),
      HasReason(auth_reason::kCertificateNotAllowed));
}

TEST(CertificateIdentityTest, AStarIsOneLabelOfADnsName) {
  const CertificateIdentityOptions options = {
      .rules = {{.pattern = "*.shop.example"}}};
  EXPECT_THAT(Identify(options, {.dns_names = {"cart.shop.example"}}), IsOk());
  for (const char* const name :
       {"a.b.shop.example", "shop.example", "cart.shop.example.evil",
        "cartshop.example"}) {
    EXPECT_THAT(Identify(options, {.dns_names = {name}}),
                HasReason(auth_reason::kCertificateNotAllowed))
        << name;
  }
}

TEST(CertificateIdentityTest, RefusesANamelessCertificateAndAnEmptyPattern) {
  EXPECT_THAT(Identify({}, {}), HasReason(auth_reason::kCertificateNotAllowed));
  EXPECT_THAT(CertificateIdentity::Create({.rules = {{.pattern = ""}}}),
              FailsWith(absl::StatusCode::kInvalidArgument, "pattern"));
}

}  // namespace
}  // namespace grpccommon
