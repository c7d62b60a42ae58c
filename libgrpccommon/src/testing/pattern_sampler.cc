// SPDX-License-Identifier: Apache-2.0
#include "testing/pattern_sampler.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/base/utf8.h"

namespace grpccommon::testing {
namespace {

constexpr std::size_t kNoBound = std::numeric_limits<std::size_t>::max();

// RE2 refuses more.
constexpr std::size_t kMaxRepeat = 1000;

constexpr int kMaxGroups = 100;

using Range = std::pair<char32_t, char32_t>;

// A set of characters; `negated` is all but those.
struct CharacterSet {
  std::vector<Range> ranges;
  bool negated = false;

  bool Contains(char32_t c) const {
    const bool listed =
        std::any_of(ranges.begin(), ranges.end(), [c](const Range& range) {
          return c >= range.first && c <= range.second;
        });
    return listed != negated;
  }
};

// Some members of a set, the plainest first.
std::vector<char32_t> MembersOf(const CharacterSet& set) {
  std::vector<char32_t> members;
  const auto take = [&](char32_t first, char32_t last) {
    for (char32_t c = first; c <= last; ++c) {
      if (set.Contains(c) &&
          std::find(members.begin(), members.end(), c) == members.end()) {
        members.push_back(c);
      }
    }
  };
  take('a', 'z');
  take('0', '9');
  take('A', 'Z');
  take(' ', '~');
  if (members.empty()) take(0, 0x17f);
  for (const Range& range : set.ranges) {
    if (members.empty() && !set.negated) members.push_back(range.first);
  }
  return members;
}

void AppendUtf8(char32_t c, std::string& text) {
  if (c < 0x80) {
    text.push_back(static_cast<char>(c));
  } else if (c < 0x800) {
    text.push_back(static_cast<char>(0xc0 | c >> 6));
    text.push_back(static_cast<char>(0x80 | (c & 0x3f)));
  } else if (c < 0x10000) {
    text.push_back(static_cast<char>(0xe0 | c >> 12));
    text.push_back(static_cast<char>(0x80 | (c >> 6 & 0x3f)));
    text.push_back(static_cast<char>(0x80 | (c & 0x3f)));
  } else {
    text.push_back(static_cast<char>(0xf0 | c >> 18));
    text.push_back(static_cast<char>(0x80 | (c >> 12 & 0x3f)));
    text.push_back(static_cast<char>(0x80 | (c >> 6 & 0x3f)));
    text.push_back(static_cast<char>(0x80 | (c & 0x3f)));
  }
}

// \d and its like, and the same as [:digit:] and \p{Nd}; empty for others. Of
// the Unicode classes, a part will do.
std::vector<Range> NamedRanges(std::string_view name) {
  if (name == "d" || name == "digit" || name == "N" || name == "Nd") {
    return {{'0', '9'}};
  }
  if (name == "w" || name == "word") {
    return {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
  }
  if (name == "s" || name == "space") {
    return {{'\t', '\n'}, {'\f', '\r'}, {' ', ' '}};
  }
  if (name == "alpha" || name == "L") return {{'A', 'Z'}, {'a', 'z'}};
  if (name == "lower" || name == "Ll") return {{'a', 'z'}};
  if (name == "upper" || name == "Lu") return {{'A', 'Z'}};
  if (name == "alnum") return {{'0', '9'}, {'A', 'Z'}, {'a', 'z'}};
  if (name == "punct") return {{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}};
  if (name == "print") return {{' ', '~'}};
  if (name == "graph") return {{'!', '~'}};
  if (name == "xdigit") return {{'0', '9'}, {'A', 'F'}, {'a', 'f'}};
  return {};
}

}  // namespace

// By recursive descent; throws nothing, keeps the first thing that went wrong.
class PatternParser {
 public:
  using Node = PatternSampler::Node;

  explicit PatternParser(std::string_view pattern) : rest_(pattern) {}

  absl::StatusOr<Node> Parse() {
    Node node = Alternatives(0);
    if (status_.ok() && !rest_.empty()) Fail("an unexpected ')'");
    if (!status_.ok()) return status_;
    return node;
  }

 private:
  Node Alternatives(int depth) {
    Node node{.kind = Node::Kind::kAlternatives};
    if (depth > kMaxGroups) {
      Fail("groups nested too deeply");
      return node;
    }
    do {
      node.children.push_back(Sequence(depth));
    } while (Take("|"));
    if (node.children.size() == 1) return std::move(node.children.front());
    return node;
  }

  Node Sequence(int depth) {
    Node node{.kind = Node::Kind::kSequence};
    while (status_.ok() && !rest_.empty() && !rest_.starts_with('|') &&
           !rest_.starts_with(')')) {
      Node next = Repeated(Single(depth));
      if (next.kind != Node::Kind::kEmpty) {
        node.children.push_back(std::move(next));
      }
    }
    return node;
  }

  Node Single(int depth) {
    if (Take("(")) {
      if (rest_.starts_with("?P<") || rest_.starts_with("?<")) {
        rest_.remove_prefix(std::min(rest_.size(), rest_.find('>')));
        if (!Take(">")) Fail("a group's name that does not end");
      } else if (!Take("?:") && rest_.starts_with("?")) {
        Fail("flags in a group");
      }
      Node node = Alternatives(depth + 1);
      if (!Take(")")) Fail("a group that does not end");
      return node;
    }
    // They hold at the ends, which is where contracts write them.
    if (Take("^") || Take("$") || Take("\\A") || Take("\\z")) return {};
    CharacterSet set;
    if (Take("[")) {
      set = Class();
    } else if (Take(".")) {
      set = {.ranges = {{'\n', '\n'}}, .negated = true};
    } else if (rest_.starts_with('\\')) {
      set = Escape();
    } else {
      const char32_t c = Character();
      set.ranges.emplace_back(c, c);
    }
    Node node{.kind = Node::Kind::kCharacter, .characters = MembersOf(set)};
    if (status_.ok() && node.characters.empty()) {
      Fail("a class of which no member was found");
    }
    return node;
  }

  Node Repeated(Node node) {
    std::size_t minimum = 0;
    std::size_t maximum = kNoBound;
    if (Take("*")) {
    } else if (Take("+")) {
      minimum = 1;
    } else if (Take("?")) {
      maximum = 1;
    } else if (!Counts(minimum, maximum)) {
      return node;
    }
    Take("?");  // lazy, which makes no difference to what matches
    Node repeat{
        .kind = Node::Kind::kRepeat, .minimum = minimum, .maximum = maximum};
    repeat.children.push_back(std::move(node));
    return repeat;
  }

  // "{2}", "{2,}" or "{2,5}"; a brace that is none of these is a character.
  bool Counts(std::size_t& minimum, std::size_t& maximum) {
    const std::string_view before = rest_;
    if (!Take("{")) return false;
    const std::optional<std::size_t> first = Number();
    std::optional<std::size_t> last = first;
    if (Take(",")) {
      last = rest_.starts_with('}') ? kNoBound : Number();
    }
    if (!first.has_value() || !last.has_value() || !Take("}")) {
      rest_ = before;
      return false;
    }
    minimum = *first;
    maximum = *last;
    if (minimum > kMaxRepeat || maximum < minimum) Fail("a bad repetition");
    return true;
  }

  std::optional<std::size_t> Number() {
    std::size_t number = 0;
    std::size_t digits = 0;
    while (digits < rest_.size() && digits < 5 && rest_[digits] >= '0' &&
           rest_[digits] <= '9') {
      number = number * 10 + static_cast<std::size_t>(rest_[digits++] - '0');
    }
    rest_.remove_prefix(digits);
    return digits > 0 ? std::optional<std::size_t>(number) : std::nullopt;
  }

  // After the "[".
  CharacterSet Class() {
    CharacterSet set{.negated = Take("^")};
    bool first = true;
    while (status_.ok() && (first || !rest_.starts_with(']'))) {
      first = false;
      if (rest_.empty()) {
        Fail("a class that does not end");
        break;
      }
      if (Take("[:")) {
        const std::size_t end = rest_.find(":]");
        Add(NamedRanges(rest_.substr(0, end)), set);
        rest_.remove_prefix(std::min(rest_.size(), end));
        if (!Take(":]")) Fail("a class's name that does not end");
        continue;
      }
      CharacterSet member = Member();
      if (member.negated) Fail("a negated class within a class");
      const bool single = member.ranges.size() == 1 &&
                          member.ranges[0].first == member.ranges[0].second;
      if (single && rest_.size() > 1 && rest_[0] == '-' && rest_[1] != ']') {
        rest_.remove_prefix(1);
        const CharacterSet end = Member();
        if (end.ranges.size() != 1) Fail("a range without an end");
        if (status_.ok()) member.ranges[0].second = end.ranges[0].second;
      }
      Add(member.ranges, set);
    }
    Take("]");
    return set;
  }

  CharacterSet Member() {
    if (rest_.starts_with('\\')) return Escape();
    const char32_t c = Character();
    return {.ranges = {{c, c}}};
  }

  CharacterSet Escape() {
    rest_.remove_prefix(1);
    if (rest_.empty()) {
      Fail("a backslash at the end");
      return {};
    }
    const char c = rest_.front();
    rest_.remove_prefix(1);
    const auto just = [](char32_t one) {
      return CharacterSet{.ranges = {{one, one}}};
    };
    switch (c) {
      case 'd':
      case 'w':
      case 's':
        return {.ranges = NamedRanges(std::string_view(&c, 1))};
      case 'D':
        return {.ranges = NamedRanges("d"), .negated = true};
      case 'W':
        return {.ranges = NamedRanges("w"), .negated = true};
      case 'S':
        return {.ranges = NamedRanges("s"), .negated = true};
      case 'p': {
        std::string_view name = rest_.substr(0, 1);
        if (Take("{")) {
          name = rest_.substr(0, rest_.find('}'));
          rest_.remove_prefix(std::min(rest_.size(), name.size() + 1));
        } else {
          rest_.remove_prefix(std::min<std::size_t>(rest_.size(), 1));
        }
        CharacterSet set;
        Add(NamedRanges(name), set);
        return set;
      }
      case 't':
        return just('\t');
      case 'n':
        return just('\n');
      case 'v':
        return just('\v');
      case 'f':
        return just('\f');
      case 'r':
        return just('\r');
      case 'x':
        return just(Hexadecimal());
      default:
        // Punctuation stands for itself.
        if (CharacterSet{.ranges = NamedRanges("w")}.Contains(
                static_cast<unsigned char>(c))) {
          Fail(absl::StrCat("the escape \\", std::string(1, c)));
        }
        return just(static_cast<unsigned char>(c));
    }
  }

  // "1f" or "{1f600}".
  char32_t Hexadecimal() {
    std::size_t length = 2;
    const bool braces = Take("{");
    if (braces) length = std::min(rest_.find('}'), rest_.size());
    char32_t value = 0;
    for (const char c : rest_.substr(0, length)) {
      char32_t digit = 16;
      if (c >= '0' && c <= '9') digit = static_cast<char32_t>(c - '0');
      if (c >= 'a' && c <= 'f') digit = static_cast<char32_t>(c - 'a' + 10);
      if (c >= 'A' && c <= 'F') digit = static_cast<char32_t>(c - 'A' + 10);
      if (digit == 16 || value > 0x10ffff) Fail("a bad escape \\x");
      value = value * 16 + digit;
    }
    if (rest_.size() < length) Fail("a bad escape \\x");
    rest_.remove_prefix(std::min(rest_.size(), length));
    if (braces) Take("}");
    return value;
  }

  char32_t Character() {
    const std::size_t size = Utf8CharacterSize(rest_);
    if (size == 0) {
      Fail("text that is not UTF-8");
      rest_ = {};
      return 0;
    }
    char32_t c = static_cast<unsigned char>(rest_[0]);
    if (size > 1) c &= 0xffu >> (size + 1);
    for (std::size_t i = 1; i < size; ++i) {
      c = c << 6 | (static_cast<unsigned char>(rest_[i]) & 0x3fu);
    }
    rest_.remove_prefix(size);
    return c;
  }

  void Add(const std::vector<Range>& ranges, CharacterSet& set) {
    if (ranges.empty()) Fail("a class by a name");
    set.ranges.insert(set.ranges.end(), ranges.begin(), ranges.end());
  }

  bool Take(std::string_view text) {
    if (!rest_.starts_with(text)) return false;
    rest_.remove_prefix(text.size());
    return true;
  }

  void Fail(std::string_view what) {
    if (status_.ok()) {
      status_ = absl::UnimplementedError(
          absl::StrCat("the pattern has ", ToAbsl(what)));
    }
  }

  std::string_view rest_;
  absl::Status status_;
};

absl::StatusOr<PatternSampler> PatternSampler::Create(
    std::string_view pattern) {
  absl::StatusOr<Node> root = PatternParser(pattern).Parse();
  if (!root.ok()) return root.status();
  PatternSampler sampler;
  sampler.root_ = *std::move(root);
  return sampler;
}

std::string PatternSampler::Sample(std::size_t variant,
                                   std::size_t extra) const {
  std::string text;
  Emit(root_, variant, extra, text);
  return text;
}

void PatternSampler::Emit(const Node& node, std::size_t& variant,
                          std::size_t extra, std::string& text) {
  switch (node.kind) {
    case Node::Kind::kEmpty:
      break;
    case Node::Kind::kCharacter:
      AppendUtf8(node.characters[variant % node.characters.size()], text);
      variant /= node.characters.size();
      break;
    case Node::Kind::kSequence:
      for (const Node& child : node.children) {
        Emit(child, variant, extra, text);
      }
      break;
    case Node::Kind::kAlternatives: {
      const std::size_t chosen = variant % node.children.size();
      variant /= node.children.size();
      Emit(node.children[chosen], variant, extra, text);
      break;
    }
    case Node::Kind::kRepeat: {
      const std::size_t times =
          node.minimum + std::min(extra, node.maximum - node.minimum);
      // Only the outermost: with repetitions in it, a text would grow squared.
      for (std::size_t i = 0; i < times; ++i) {
        Emit(node.children.front(), variant, 0, text);
      }
      break;
    }
  }
}

}  // namespace grpccommon::testing
