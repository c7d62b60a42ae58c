// SPDX-License-Identifier: Apache-2.0
// Tokens of another implementation, python3-jwcrypto, and ours at it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <sstream>

#include "auth/reason_matcher.h"
#include "grpccommon/auth/jwt.h"
#include "grpccommon/auth/jwt_signer.h"
#include "grpccommon/auth/reasons.h"
#include "grpccommon/testing/certificates.h"
#include "grpccommon/testing/fake_clock.h"
#include "nlohmann/json.hpp"

namespace grpccommon {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;

constexpr JwtAlgorithm kAll[] = {JwtAlgorithm::kHs256, JwtAlgorithm::kRs256,
                                 JwtAlgorithm::kPs256, JwtAlgorithm::kEs256,
                                 JwtAlgorithm::kEdDsa};

// Output lines of the peer, or nothing if it failed.
std::optional<std::vector<std::string>> RunPeer(const std::string& arguments) {
  const std::string command =
      "/usr/bin/python3 '" GRPCCOMMON_JWCRYPTO_PEER "' " + arguments;
  FILE* const pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return std::nullopt;
  std::string text;
  char buffer[4096];
  while (const std::size_t count = fread(buffer, 1, sizeof buffer, pipe)) {
    text.append(buffer, count);
  }
  if (pclose(pipe) != 0) return std::nullopt;
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

class JwcryptoTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!RunPeer("have 2>/dev/null").has_value()) {
      GTEST_SKIP() << "python3-jwcrypto is not installed";
    }
  }
  testing::FakeClock clock_;
};

TEST_F(JwcryptoTest, ItsTokensAreAcceptedAndTamperedOnesRefused) {
  const auto lines = RunPeer("make");
  ASSERT_TRUE(lines.has_value());
  ASSERT_EQ(lines->size(), std::size(kAll));
  for (const std::string& line : *lines) {
    const json made = json::parse(line);
    SCOPED_TRACE(made["alg"]);
    const auto keys = JwkSet::Parse(made["jwks"].dump());
    ASSERT_THAT(keys, IsOk());
    const auto source = CreateStaticKeySource(*keys);
    const auto verifier = *JwtVerifier::Create({}, *source);
    const std::string token = made["token"];
    const auto verified = verifier->Verify(token, clock_.WallNow());
    ASSERT_THAT(verified, IsOk());
    EXPECT_EQ(verified->principal->subject, "naïve ☃");
    EXPECT_THAT(verified->principal->roles, ElementsAre("a", "b"));
    for (std::size_t i = token.find('.') + 1; i < token.size(); i += 7) {
      std::string changed = token;
      changed[i] = changed[i] == 'Q' ? 'g' : 'Q';
      EXPECT_FALSE(verifier->Verify(changed, clock_.WallNow()).ok()) << i;
    }
  }
}

TEST_F(JwcryptoTest, ItAcceptsOurTokensAndRefusesTamperedOnes) {
  const testing::TemporaryFolder folder;
  std::string input;
  for (const JwtAlgorithm algorithm : kAll) {
    const JwtSigner signer = *JwtSigner::Generate(algorithm, "ours");
    const json key = algorithm == JwtAlgorithm::kHs256
                         ? json::parse(signer.PrivateJwk())
                         : json::parse(*signer.PublicJwks())["keys"][0];
    json line = {{"alg", std::string(JwtAlgorithmName(algorithm))},
                 {"kid", "ours"},
                 {"jwks", {{"keys", {key}}}},
                 {"token", *signer.Sign({.subject = "naïve ☃"})}};
    input += line.dump() + "\n";
    std::string changed = line["token"];
    char& character = changed[changed.rfind('.') + 5];
    character = character == 'A' ? 'B' : 'A';
    line["token"] = changed;
    input += line.dump() + "\n";
  }
  const auto verdicts =
      RunPeer("check < '" + folder.Write("tokens", input) + "'");
  ASSERT_TRUE(verdicts.has_value());
  EXPECT_THAT(*verdicts, ElementsAre("good", "bad", "good", "bad", "good",
                                     "bad", "good", "bad", "good", "bad"));
}

}  // namespace
}  // namespace grpccommon
