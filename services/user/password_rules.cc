// SPDX-License-Identifier: Apache-2.0
#include "services/user/password_rules.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "grpccommon/base/string_view.h"

namespace platform::user {
namespace {

using grpccommon::ToAbsl;

// Characters that a common word or the user's name must have beside it to make
// a password.
constexpr std::size_t kMinAddition = 8;

// What lists of leaked passwords begin with, in order: as they are typed, or as
// the word to which digits and signs are added. In small letters.
constexpr std::string_view kCommon[] = {
    "1q2w3e4r",     "1q2w3e4r5t", "1q2w3e4r5t6y",  "1qaz2wsx",
    "1qaz2wsx3edc", "abc",        "abcd",          "abcde",
    "access",       "admin",      "administrator", "amanda",
    "andrew",       "anthony",    "apple",         "asdf",
    "asdfasdf",     "asdfgh",     "asdfghjk",      "asdfghjkl",
    "ashley",       "asshole",    "austin",        "autumn",
    "azerty",       "azertyuiop", "babygirl",      "bailey",
    "banana",       "baseball",   "basketball",    "batman",
    "biteme",       "blink",      "buster",        "butterfly",
    "changeit",     "changeme",   "charlie",       "cheese",
    "chelsea",      "chocolate",  "computer",      "cookie",
    "dallas",       "daniel",     "default",       "donald",
    "dragon",       "eminem",     "family",        "february",
    "flower",       "football",   "freedom",       "friends",
    "fuckoff",      "fuckyou",    "george",        "ginger",
    "google",       "guest",      "hannah",        "hello",
    "helloworld",   "hockey",     "hunter",        "iloveu",
    "iloveyou",     "internet",   "jennifer",      "jessica",
    "jesus",        "jordan",     "joshua",        "justin",
    "killer",       "letmein",    "letmeinnow",    "liverpool",
    "login",        "london",     "love",          "lovely",
    "loveme",       "maggie",     "manchester",    "master",
    "matrix",       "matthew",    "merlin",        "michael",
    "michelle",     "monday",     "monkey",        "mustang",
    "mypassword",   "naruto",     "nicole",        "ninja",
    "november",     "october",    "opensesame",    "orange",
    "pass",         "passpass",   "passphrase",    "password",
    "passwords",    "passwort",   "patrick",       "peanut",
    "pepper",       "pokemon",    "princess",      "purple",
    "q1w2e3r4",     "q1w2e3r4t5", "qazwsx",        "qazwsxedc",
    "qwer",         "qwert",      "qwerty",        "qwertyu",
    "qwertyui",     "qwertyuiop", "qwertz",        "qwertzuiop",
    "ranger",       "robert",     "root",          "samantha",
    "samsung",      "secret",     "september",     "server",
    "shadow",       "silver",     "slipknot",      "snoopy",
    "soccer",       "sophie",     "spiderman",     "spring",
    "starwars",     "summer",     "sunday",        "sunshine",
    "superman",     "superuser",  "system",        "taylor",
    "temp",         "temporary",  "test",          "testing",
    "testpassword", "testtest",   "thomas",        "thunder",
    "tigger",       "trustno",    "user",          "welcome",
    "welcomeback",  "whatever",   "william",       "winter",
    "yankees",      "zaq12wsx",   "zxcv",          "zxcvb",
    "zxcvbn",       "zxcvbnm"};

bool IsCommon(std::string_view text) {
  return std::binary_search(std::begin(kCommon), std::end(kCommon), text);
}

std::string Lower(std::string_view text) {
  return absl::AsciiStrToLower(ToAbsl(text));
}

std::size_t CountCodePoints(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (c & '\xc0') != '\x80'; }));
}

// The letter that a digit or sign is often written for.
char AsLetter(char c) {
  switch (c) {
    case '0':
      return 'o';
    case '1':
    case '!':
      return 'i';
    case '3':
      return 'e';
    case '4':
    case '@':
      return 'a';
    case '5':
    case '$':
      return 's';
    case '7':
      return 't';
    default:
      return c;
  }
}

bool IsCommonWithLittleAdded(std::string_view lower) {
  if (IsCommon(lower)) return true;
  const auto is_letter = [](char c) {
    return absl::ascii_isalpha(static_cast<unsigned char>(c)) ||
           (c & '\x80') != 0;
  };
  const auto begin = std::find_if(lower.begin(), lower.end(), is_letter);
  const auto end =
      std::find_if(lower.rbegin(), std::make_reverse_iterator(begin), is_letter)
          .base();
  std::string word(begin, end);
  if (lower.size() - word.size() >= kMinAddition) return false;
  std::transform(word.begin(), word.end(), word.begin(), AsLetter);
  return IsCommon(word);
}

bool IsNameWithLittleAdded(std::string_view lower, std::string_view name) {
  const std::string part = Lower(name);
  return !part.empty() && lower.find(part) != std::string_view::npos &&
         lower.size() - part.size() < kMinAddition;
}

// At most two runs of equal or neighbouring characters ("aaaaabbbbb",
// "1234567890", "abcdefg321"), or a short text again and again.
bool IsSequence(std::string_view text) {
  int runs = 1;
  bool has_step = false;
  for (std::size_t i = 1; i < text.size(); ++i) {
    const int step = text[i] - text[i - 1];
    if (step >= -1 && step <= 1 &&
        (!has_step || step == text[i - 1] - text[i - 2])) {
      has_step = true;
    } else {
      ++runs;
      has_step = false;
    }
  }
  if (runs <= 2) return true;
  for (std::size_t period = 1;
       period < kMinPasswordLength && 2 * period <= text.size(); ++period) {
    if (text.substr(period) == text.substr(0, text.size() - period)) {
      return true;
    }
  }
  return false;
}

}  // namespace

std::vector<std::string> PasswordFaults(std::string_view password,
                                        std::string_view username,
                                        std::string_view email) {
  std::vector<std::string> faults;
  const std::size_t length = CountCodePoints(password);
  if (length < kMinPasswordLength) {
    faults.push_back(
        absl::StrCat("must have at least ", kMinPasswordLength, " characters"));
  }
  if (length > kMaxPasswordLength) {
    faults.push_back(
        absl::StrCat("must have at most ", kMaxPasswordLength, " characters"));
    return faults;
  }
  const std::string lower = Lower(password);
  if (IsSequence(lower)) {
    faults.emplace_back("must not be a sequence or a repetition");
  }
  if (IsCommonWithLittleAdded(lower)) {
    faults.emplace_back(
        "must not be one of the most common passwords, nor one with little "
        "added");
  }
  if (IsNameWithLittleAdded(lower, username) ||
      IsNameWithLittleAdded(lower, email.substr(0, email.find('@'))) ||
      IsNameWithLittleAdded(lower, email)) {
    faults.emplace_back(
        "must not be the user name or the address, nor one with little added");
  }
  return faults;
}

}  // namespace platform::user
