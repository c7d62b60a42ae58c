// SPDX-License-Identifier: Apache-2.0
#include "services/execution/checker.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <functional>
#include <optional>
#include <system_error>

namespace platform::execution {
namespace {

constexpr bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
constexpr bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Takes the next word off `text`; empty at the end.
std::string_view TakeWord(std::string_view& text) {
  const auto begin = std::find_if_not(text.begin(), text.end(), IsSpace);
  const auto end = std::find_if(begin, text.end(), IsSpace);
  const std::string_view word(begin, static_cast<std::size_t>(end - begin));
  text.remove_prefix(static_cast<std::size_t>(end - text.begin()));
  return word;
}

// Takes the next line off `text`, without white space at its end.
std::string_view TakeLine(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  while (!line.empty() && IsSpace(line.back())) line.remove_suffix(1);
  return line;
}

std::string_view WithoutPlus(std::string_view word) {
  // "+-1" is no number.
  if (word.size() > 1 && word[0] == '+' && word[1] != '-') {
    word.remove_prefix(1);
  }
  return word;
}

std::optional<double> ParseNumber(std::string_view word) {
  word = WithoutPlus(word);
  double value = 0.0;
  const auto [end, error] =
      std::from_chars(word.data(), word.data() + word.size(), value);
  // What from_chars takes besides, "inf" and "nan", is compared as a word.
  if (error != std::errc() || end != word.data() + word.size() ||
      !std::isfinite(value)) {
    return std::nullopt;
  }
  return value;
}

struct WholeNumber {
  bool negative = false;
  // Without leading zeros; none for 0.
  std::string_view digits;

  bool operator==(const WholeNumber&) const = default;
};

std::optional<WholeNumber> ParseWholeNumber(std::string_view word) {
  word = WithoutPlus(word);
  WholeNumber number;
  number.negative = !word.empty() && word.front() == '-';
  if (number.negative) word.remove_prefix(1);
  if (word.empty() || !std::all_of(word.begin(), word.end(), IsDigit)) {
    return std::nullopt;
  }
  number.digits =
      word.substr(std::min(word.find_first_not_of('0'), word.size()));
  if (number.digits.empty()) number.negative = false;
  return number;
}

bool NumbersMatch(std::string_view word, std::string_view expected,
                  double tolerance) {
  if (word == expected) return true;
  if (tolerance == 0.0) {
    // A double cannot tell large ones apart.
    const auto whole = ParseWholeNumber(word);
    const auto expected_whole = ParseWholeNumber(expected);
    if (whole.has_value() && expected_whole.has_value()) {
      return *whole == *expected_whole;
    }
  }
  const auto number = ParseNumber(word);
  const auto expected_number = ParseNumber(expected);
  if (!number.has_value() || !expected_number.has_value()) return false;
  const double difference = std::abs(*number - *expected_number);
  return difference <= tolerance * std::max(1.0, std::abs(*expected_number));
}

template <typename Equal>
bool WordsMatch(std::string_view output, std::string_view expected,
                Equal equal) {
  for (;;) {
    const std::string_view word = TakeWord(output);
    const std::string_view expected_word = TakeWord(expected);
    if (word.empty() || expected_word.empty()) {
      return word.empty() && expected_word.empty();
    }
    if (!equal(word, expected_word)) return false;
  }
}

bool LinesMatch(std::string_view output, std::string_view expected) {
  while (!output.empty() || !expected.empty()) {
    // Beyond its end, a text has empty lines.
    if (TakeLine(output) != TakeLine(expected)) return false;
  }
  return true;
}

}  // namespace

bool Matches(const Checker& checker, std::string_view output,
             std::string_view expected) {
  switch (checker.kind) {
    case CheckerKind::kTokens:
      return WordsMatch(output, expected, std::equal_to<std::string_view>());
    case CheckerKind::kLines:
      return LinesMatch(output, expected);
    case CheckerKind::kExact:
      return output == expected;
    case CheckerKind::kNumbers:
      return WordsMatch(output, expected,
                        [&](std::string_view word, std::string_view wanted) {
                          return NumbersMatch(word, wanted, checker.tolerance);
                        });
  }
  return false;
}

}  // namespace platform::execution
