// SPDX-License-Identifier: Apache-2.0
#include "services/user/password_rules.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace platform::user {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

std::vector<std::string> Faults(std::string_view password) {
  return PasswordFaults(password, "ada.lovelace", "countess@example.org");
}

TEST(PasswordRulesTest, TakesGoodPasswordsOfEveryKind) {
  for (const std::string password :
       {"correct horse battery staple", "mooncalf-7-trees", "TgR4!kpQ0z",
        "zwiebelkuchen", "пароль-на-завтра",
        "🐎🔋📎✅🐋🌲🍎🚲🎈🧦", "the summer of 1977 was hot",
        "      spaces      around it", "I was in Liverpool with Michael",
        "'; DROP TABLE users; --", "%s%n%x%p and more",
        "my dog ada ate it all up"}) {
    EXPECT_THAT(Faults(password), IsEmpty()) << password;
  }
  EXPECT_THAT(Faults(std::string("nul\0is a character", 18)), IsEmpty());
}

TEST(PasswordRulesTest, CountsCharactersNotBytes) {
  EXPECT_THAT(Faults("Käseglöck"),
              ElementsAre("must have at least 10 characters"));
  EXPECT_THAT(Faults("Käseglöcke"), IsEmpty());
  EXPECT_THAT(Faults("🐎🔋📎✅🐋🌲🍎🚲🎈"), Not(IsEmpty()));
  std::string longest;
  for (int i = 0; i < 100; ++i) longest += i % 3 == 0 ? "äx" : "ßö";
  EXPECT_THAT(Faults(longest), IsEmpty());
  EXPECT_THAT(Faults(longest + "!"),
              ElementsAre("must have at most 200 characters"));
}

TEST(PasswordRulesTest, RefusesCommonOnesWithLittleAdded) {
  for (const std::string password :
       {"password12", "Password123!", "P@ssw0rd2024", "!!password!!",
        "passwordpassword", "qwertyuiop", "QwertyUiop1", "1q2w3e4r5t",
        "iloveyou123", "Welcome2024!", "letmein2023", "administrator",
        "123password456", "L1verp00l99"}) {
    EXPECT_THAT(Faults(password), Not(IsEmpty())) << password;
  }
  EXPECT_THAT(Faults("password12"), ElementsAre(HasSubstr("most common")));
}

TEST(PasswordRulesTest, RefusesSequencesAndRepetitions) {
  for (const std::string password :
       {"1234567890", "0987654321", "0123456789", "abcdefghijkl", "zyxwvutsrqp",
        "aaaaaaaaaa", "aaaaabbbbb", "abcdefg123", "abcabcabcabc",
        "hahahahahaha", "..........", "🐎🐎🐎🐎🐎🐎🐎🐎🐎🐎", "12345678910",
        "ABCDefghijk"}) {
    EXPECT_THAT(Faults(password), ElementsAre(HasSubstr("sequence")))
        << password;
  }
}

TEST(PasswordRulesTest, RefusesTheUsersNameAndAddress) {
  for (const std::string password :
       {"ada.lovelace", "Ada.Lovelace", "ADA.LOVELACE1", "ada.lovelace2024",
        "xada.lovelacex", "countess@example.org", "Countess@Example.org1",
        "countess12", "1countess1"}) {
    EXPECT_THAT(Faults(password), ElementsAre(HasSubstr("user name")))
        << password;
  }
  // Enough beside it.
  EXPECT_THAT(Faults("ada.lovelace wrote programs"), IsEmpty());
}

TEST(PasswordRulesTest, NamesEveryFault) {
  EXPECT_THAT(Faults("12345"),
              ElementsAre(HasSubstr("10 characters"), HasSubstr("sequence")));
  EXPECT_THAT(Faults(""), Not(IsEmpty()));
  EXPECT_THAT(PasswordFaults("monkey", "monkey", "monkey@x"),
              ElementsAre(HasSubstr("10 characters"), HasSubstr("common"),
                          HasSubstr("user name")));
}

TEST(PasswordRulesTest, RepeatsNothingOfThePassword) {
  for (const std::string password :
       {"ada.lovelace", "zyxwvutsrqp", "letmein1"}) {
    for (const std::string& fault : Faults(password)) {
      EXPECT_THAT(fault, Not(HasSubstr(password)));
    }
  }
}

}  // namespace
}  // namespace platform::user
