// SPDX-License-Identifier: Apache-2.0
#include "auth/glob.h"

#include <cstddef>

namespace grpccommon::internal {
namespace {

// Where to go on if what follows a wildcard does not fit: with the wildcard
// taking one character more.
struct Retry {
  std::size_t pattern = std::string_view::npos;  // after the wildcard
  std::size_t text = 0;
};

}  // namespace

bool GlobMatch(std::string_view pattern, std::string_view text) {
  const char separator =
      pattern.find('/') != std::string_view::npos ? '/' : '.';
  Retry segment;   // latest `*`
  Retry anything;  // latest `**`
  std::size_t p = 0;
  std::size_t t = 0;
  while (true) {
    if (p < pattern.size() && pattern[p] == '*') {
      if (p + 1 < pattern.size() && pattern[p + 1] == '*') {
        p += 2;
        anything = {p, t};
        segment = Retry();
      } else {
        ++p;
        segment = {p, t};
      }
      continue;
    }
    if (p == pattern.size() && t == text.size()) return true;
    if (p < pattern.size() && t < text.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
      continue;
    }
    if (segment.pattern != std::string_view::npos &&
        segment.text < text.size() && text[segment.text] != separator) {
      p = segment.pattern;
      t = ++segment.text;
    } else if (anything.pattern != std::string_view::npos &&
               anything.text < text.size()) {
      p = anything.pattern;
      t = ++anything.text;
      segment = Retry();
    } else {
      return false;
    }
  }
}

}  // namespace grpccommon::internal
