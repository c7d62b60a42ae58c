// SPDX-License-Identifier: Apache-2.0
#include "testing/field_values.h"

#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/base/utf8.h"
#include "re2/re2.h"
#include "testing/pattern_sampler.h"
#include "validate/wrapper_type.h"

namespace grpccommon::testing::internal {
namespace {

using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;

// ---- Texts ----

std::size_t CharactersIn(std::string_view text) {
  std::size_t count = 0;
  while (!text.empty()) {
    text.remove_prefix(std::max<std::size_t>(1, Utf8CharacterSize(text)));
    ++count;
  }
  return count;
}

// The texts of one field.
class TextRules {
 public:
  static absl::StatusOr<TextRules> Create(const v1::StringRules& rules) {
    TextRules made(rules);
    if (rules.pattern().empty()) return made;
    RE2::Options options;
    options.set_log_errors(false);
    made.regex_ = std::make_shared<const RE2>(rules.pattern(), options);
    if (!made.regex_->ok()) {
      return absl::InvalidArgumentError(made.regex_->error());
    }
    absl::StatusOr<PatternSampler> sampler =
        PatternSampler::Create(rules.pattern());
    if (sampler.ok()) {
      made.sampler_ =
          std::make_shared<const PatternSampler>(*std::move(sampler));
    } else {
      made.unknown_ = sampler.status();
    }
    return made;
  }

  // `count` texts that keep all rules, different ones while there are any.
  std::vector<std::string> Valid(std::size_t count,
                                 const std::string* example) const {
    std::vector<std::string> texts;
    if (example != nullptr) texts.push_back(*example);
    const std::size_t shortest = std::max<std::size_t>(1, rules_.min_length());
    for (std::size_t length = shortest;
         texts.size() < count && length < shortest + 8; ++length) {
      for (std::size_t variant = 0;
           texts.size() < count && variant < 4 * count + 4; ++variant) {
        std::optional<std::string> text = Text(length, Longest(), variant);
        if (text.has_value() &&
            std::find(texts.begin(), texts.end(), *text) == texts.end()) {
          texts.push_back(*std::move(text));
        }
      }
    }
    // A pattern may allow nothing but the empty text.
    if (texts.empty() && rules_.min_length() == 0 && Matches("")) {
      texts.emplace_back();
    }
    return texts;
  }

  // `empty_counts`: an empty text is a value like any other there.
  std::vector<Broken> Breaking(const std::string& valid, bool empty_counts,
                               std::vector<std::string>& unbreakable) const {
    std::vector<Broken> broken;
    const std::size_t minimum = rules_.min_length();
    if (minimum > 1 || (minimum == 1 && empty_counts)) {
      broken.push_back({"too short", Resized(valid, minimum - 1)});
    }
    if (rules_.max_length() > 0) {
      broken.push_back(
          {"too long", Resized(valid, std::size_t{rules_.max_length()} + 1)});
    }
    if (regex_ != nullptr) {
      const auto text = Mutated(valid, [this](const std::string& candidate) {
        return !Matches(candidate);
      });
      if (text.has_value()) {
        broken.push_back({"not of its pattern", *text});
      } else {
        unbreakable.emplace_back("not of its pattern (everything matches)");
      }
    }
    if (rules_.one_of_size() > 0) {
      const auto text = Mutated(valid, [this](const std::string& candidate) {
        return Matches(candidate) && !Listed(candidate);
      });
      broken.push_back({"not one of those", text.value_or(valid + "?")});
    }
    for (const char* const wrong : WrongFormats()) {
      if (!InBounds(wrong)) continue;
      broken.push_back({"not of its format", std::string(wrong)});
      break;
    }
    return broken;
  }

  const absl::Status& unknown() const { return unknown_; }

 private:
  explicit TextRules(const v1::StringRules& rules) : rules_(rules) {}

  std::size_t Longest() const {
    return rules_.max_length() > 0 ? rules_.max_length()
                                   : std::numeric_limits<std::size_t>::max();
  }
  bool Matches(const std::string& text) const {
    return regex_ == nullptr || RE2::FullMatch(text, *regex_);
  }
  bool Listed(const std::string& text) const {
    return std::find(rules_.one_of().begin(), rules_.one_of().end(), text) !=
           rules_.one_of().end();
  }
  bool InBounds(const std::string& text) const {
    const std::size_t length = CharactersIn(text);
    return length >= std::max<std::size_t>(1, rules_.min_length()) &&
           length <= Longest();
  }

  // A text of at least `shortest` and at most `longest` characters that keeps
  // the other rules.
  std::optional<std::string> Text(std::size_t shortest, std::size_t longest,
                                  std::size_t variant) const {
    std::string text;
    if (rules_.one_of_size() > 0) {
      if (variant >= static_cast<std::size_t>(rules_.one_of_size())) return {};
      text = rules_.one_of(static_cast<int>(variant));
    } else if (rules_.format_case() != v1::StringRules::FORMAT_NOT_SET) {
      text = Formatted(shortest, variant);
    } else if (sampler_ != nullptr) {
      text = Sampled(shortest, variant);
    } else if (regex_ == nullptr) {
      text = Plain(shortest, variant);
    } else {
      return {};
    }
    const std::size_t length = CharactersIn(text);
    if (length < shortest || length > longest || !Matches(text)) return {};
    return text;
  }

  static std::string Plain(std::size_t length, std::size_t variant) {
    constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz";
    std::string text;
    do {
      text.push_back(kLetters[variant % kLetters.size()]);
      variant /= kLetters.size();
    } while (variant > 0);
    if (text.size() < length) text.append(length - text.size(), 'a');
    return text;
  }

  std::string Formatted(std::size_t length, std::size_t variant) const {
    const std::string name = Plain(1, variant);
    switch (rules_.format_case()) {
      case v1::StringRules::kEmail: {
        const std::string domain = "@example.com";
        return Plain(length - std::min(length, domain.size()), variant) +
               domain;
      }
      case v1::StringRules::kUuid: {
        std::string digits = absl::StrCat(variant);
        return std::string("00000000-0000-4000-8000-000000000000")
            .replace(36 - digits.size(), digits.size(), digits);
      }
      case v1::StringRules::kUri: {
        const std::string start = "https://example.com/";
        return start + Plain(length - std::min(length, start.size()), variant);
      }
      default: {
        std::string host = name + ".example";
        while (host.size() < length) host.insert(0, "a.");
        return host;
      }
    }
  }

  // As few repetitions as give `length` characters.
  std::string Sampled(std::size_t length, std::size_t variant) const {
    std::size_t enough = length + 1;
    std::size_t too_few = 0;
    std::string text = sampler_->Sample(variant, too_few);
    if (CharactersIn(text) >= length) return text;
    while (enough - too_few > 1) {
      const std::size_t middle = too_few + (enough - too_few) / 2;
      if (CharactersIn(sampler_->Sample(variant, middle)) >= length) {
        enough = middle;
      } else {
        too_few = middle;
      }
    }
    return sampler_->Sample(variant, enough);
  }

  // Of exactly, or just beyond, `length` characters, and else as the rules have
  // it where they allow that.
  std::string Resized(const std::string& valid, std::size_t length) const {
    const bool longer = length > rules_.min_length();
    std::optional<std::string> text = Text(
        length, longer ? std::numeric_limits<std::size_t>::max() : length, 0);
    if (text.has_value()) return *std::move(text);
    std::string cut = valid;
    const std::size_t is = CharactersIn(cut);
    if (is < length) return cut.append(length - is, 'a');
    while (CharactersIn(cut) > length) {
      cut = TruncateUtf8(cut, cut.size() - 1);
    }
    return cut;
  }

  // `valid` with little changed, so that it is wanted and of a good length.
  std::optional<std::string> Mutated(
      const std::string& valid,
      const std::function<bool(const std::string&)>& wanted) const {
    constexpr std::string_view kCharacters("!~ a0A-_/\n\x01\0", 12);
    std::vector<std::string> candidates;
    for (const char c : kCharacters) {
      if (!valid.empty()) {
        candidates.push_back(valid);
        candidates.back().back() = c;
        candidates.push_back(valid);
        candidates.back().front() = c;
      }
      candidates.push_back(valid + c);
      candidates.emplace_back(std::max<std::size_t>(1, valid.size()), c);
    }
    candidates.push_back(valid + "\u00e9");
    for (const std::string& candidate : candidates) {
      if (IsUtf8(candidate) && InBounds(candidate) && wanted(candidate)) {
        return candidate;
      }
    }
    return {};
  }

  std::vector<const char*> WrongFormats() const {
    switch (rules_.format_case()) {
      case v1::StringRules::kEmail:
        return {"no-at-sign.example.com", "@b", "a@", "a"};
      case v1::StringRules::kUuid:
        return {"00000000-0000-4000-8000-00000000000g", "not-a-uuid", "x"};
      case v1::StringRules::kUri:
        return {"no-scheme.example.com/path", "x"};
      case v1::StringRules::kHostname:
        return {"-not-a-host-.example", "-"};
      case v1::StringRules::FORMAT_NOT_SET:
        break;
    }
    return {};
  }

  v1::StringRules rules_;
  std::shared_ptr<const RE2> regex_;
  std::shared_ptr<const PatternSampler> sampler_;
  absl::Status unknown_;
};

// ---- Numbers ----

template <typename Integer>
struct IntegerBounds {
  IntegerBounds(const v1::NumberRules& rules, Integer smallest, Integer largest)
      : lowest(smallest), highest(largest) {
    const double end = std::ldexp(1.0, std::numeric_limits<Integer>::digits);
    if (rules.has_minimum() &&
        rules.minimum() >= static_cast<double>(smallest) &&
        rules.minimum() < end) {
      const double up = std::ceil(rules.minimum());
      lowest = static_cast<Integer>(up);
      if (rules.exclusive_minimum() && up == rules.minimum()) ++lowest;
    }
    if (rules.has_maximum() && rules.maximum() < end &&
        rules.maximum() >= static_cast<double>(smallest)) {
      const double down = std::floor(rules.maximum());
      highest = std::min(largest, static_cast<Integer>(down));
      if (rules.exclusive_maximum() && down == rules.maximum()) --highest;
    }
    below = lowest > smallest;
    above = highest < largest;
  }

  Integer lowest;
  Integer highest;
  // Whether the type has numbers below and above.
  bool below;
  bool above;
};

template <typename Integer>
std::vector<Value> ValidIntegers(const IntegerBounds<Integer>& bounds,
                                 std::size_t count) {
  std::vector<Value> values;
  // From 1, since 0 may be the same as nothing.
  Integer number = std::clamp<Integer>(1, bounds.lowest, bounds.highest);
  if (number == 0 && bounds.lowest < 0) --number;
  while (values.size() < count) {
    values.emplace_back(number);
    if (number == bounds.highest) break;
    ++number;
  }
  return values;
}

template <typename Integer>
std::vector<Broken> BrokenIntegers(const IntegerBounds<Integer>& bounds,
                                   bool zero_is_nothing,
                                   std::vector<std::string>& unbreakable) {
  std::vector<Broken> broken;
  if (bounds.below) {
    Integer number = static_cast<Integer>(bounds.lowest - 1);
    if (number == 0 && zero_is_nothing) --number;
    if (number < bounds.lowest) {
      broken.push_back({"too small", number});
    } else {
      unbreakable.emplace_back("too small (zero counts as not set)");
    }
  }
  if (bounds.above) {
    Integer number = static_cast<Integer>(bounds.highest + 1);
    if (number == 0 && zero_is_nothing) ++number;
    broken.push_back({"too large", number});
  }
  return broken;
}

std::vector<Value> ValidFloatings(const v1::NumberRules& rules,
                                  std::size_t count) {
  const double low = rules.has_minimum()   ? rules.minimum()
                     : rules.has_maximum() ? rules.maximum() - 1
                                           : -1;
  const double high = rules.has_maximum() ? rules.maximum() : low + 2;
  std::vector<Value> values;
  // Inside the bounds, and none of them zero.
  for (std::size_t i = 0; i < count; ++i) {
    const double part =
        (static_cast<double>(i) + 1) / (static_cast<double>(count) + 1.5);
    const double number = low + (high - low) * part;
    values.emplace_back(number == 0 ? high / 2 : number);
  }
  if (low == high) values.assign(1, low);
  return values;
}

std::vector<Broken> BrokenFloatings(const v1::NumberRules& rules) {
  std::vector<Broken> broken;
  const auto beyond = [](double bound) { return std::abs(bound) + 1; };
  if (rules.has_minimum()) {
    broken.push_back({"too small", rules.minimum() - beyond(rules.minimum())});
    if (rules.exclusive_minimum() && rules.minimum() != 0) {
      broken.push_back({"at its excluded minimum", rules.minimum()});
    }
  }
  if (rules.has_maximum()) {
    broken.push_back({"too large", rules.maximum() + beyond(rules.maximum())});
    if (rules.exclusive_maximum() && rules.maximum() != 0) {
      broken.push_back({"at its excluded maximum", rules.maximum()});
    }
  }
  broken.push_back({"not a number", std::numeric_limits<double>::quiet_NaN()});
  return broken;
}

// ---- Enums, bytes, durations ----

std::vector<Value> ValidEnums(const EnumDescriptor& type, std::size_t count) {
  std::vector<Value> values;
  for (int i = 0; i < type.value_count() && values.size() < count; ++i) {
    const int number = type.value(i)->number();
    if (number != 0) values.emplace_back(std::int64_t{number});
  }
  if (values.size() < count) values.emplace_back(std::int64_t{0});
  return values;
}

int UndeclaredNumber(const EnumDescriptor& type) {
  int number = 1;
  while (type.FindValueByNumber(number) != nullptr) ++number;
  return number;
}

std::vector<Value> ValidBytes(const v1::BytesRules& rules, std::size_t count) {
  std::vector<Value> values;
  for (std::size_t i = 0; i < count; ++i) {
    std::string bytes;
    for (std::size_t rest = i; bytes.empty() || rest > 0; rest /= 255) {
      bytes.push_back(static_cast<char>(1 + rest % 255));
    }
    if (bytes.size() < rules.min_length()) {
      bytes.append(rules.min_length() - bytes.size(), 'x');
    }
    values.emplace_back(std::move(bytes));
  }
  return values;
}

DurationValue FromContract(const google::protobuf::Duration& duration) {
  return {duration.seconds(), duration.nanos()};
}

DurationValue ValidDuration(const v1::DurationRules& rules) {
  if (rules.has_minimum()) return FromContract(rules.minimum());
  if (rules.has_maximum()) return FromContract(rules.maximum());
  return {.seconds = 1};
}

std::vector<Broken> BrokenDurations(const v1::DurationRules& rules) {
  std::vector<Broken> broken;
  if (rules.has_minimum()) {
    DurationValue less = FromContract(rules.minimum());
    // A nanosecond less, of one sign.
    if (less.nanos > 0 || (less.seconds <= 0 && less.nanos > -999'999'999)) {
      --less.nanos;
    } else {
      --less.seconds;
      less.nanos = less.seconds < 0 ? 0 : 999'999'999;
    }
    broken.push_back({"too short a time", less});
  }
  if (rules.has_maximum()) {
    DurationValue more = FromContract(rules.maximum());
    if (more.nanos < 0 || (more.seconds >= 0 && more.nanos < 999'999'999)) {
      ++more.nanos;
    } else {
      ++more.seconds;
      more.nanos = 0;
    }
    broken.push_back({"too long a time", more});
  }
  broken.push_back(
      {"not a duration", DurationValue{.seconds = 1, .nanos = -1}});
  return broken;
}
IntegerBounds<std::int64_t> SignedBounds(const Field& field) {
  if (field.value->cpp_type() == FieldDescriptor::CPPTYPE_INT32) {
    return {field.contract->number(), std::numeric_limits<std::int32_t>::min(),
            std::numeric_limits<std::int32_t>::max()};
  }
  return {field.contract->number(), std::numeric_limits<std::int64_t>::min(),
          std::numeric_limits<std::int64_t>::max()};
}
IntegerBounds<std::uint64_t> UnsignedBounds(const Field& field) {
  if (field.value->cpp_type() == FieldDescriptor::CPPTYPE_UINT32) {
    return {field.contract->number(), 0,
            std::numeric_limits<std::uint32_t>::max()};
  }
  return {field.contract->number(), 0,
          std::numeric_limits<std::uint64_t>::max()};
}
absl::StatusOr<TextRules> TextRulesOf(const Field& field) {
  absl::StatusOr<TextRules> rules = TextRules::Create(field.contract->string());
  if (!rules.ok()) {
    return absl::Status(
        rules.status().code(),
        absl::StrCat(ToAbsl(ToStd(field.descriptor->full_name())), ": ",
                     rules.status().message()));
  }
  return rules;
}

}  // namespace

Field::Field(const FieldDescriptor& f)
    : descriptor(&f), contract(&f.options().GetExtension(v1::field)) {
  value = &f;
  if (f.is_map()) value = f.message_type()->map_value();
  if (value->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    if (grpccommon::internal::IsWrapper(*value->message_type())) {
      wrapper = true;
      value = value->message_type()->FindFieldByNumber(1);
    } else if (!contract->has_duration()) {
      message = value->message_type();
    }
  }
  implicit = !f.is_repeated() && !f.has_presence();
}

absl::Status Underivable(const Field& field, std::string_view what) {
  return absl::UnimplementedError(absl::StrCat(
      "cannot derive ", ToAbsl(what), " for ",
      ToAbsl(ToStd(field.descriptor->full_name())), ": give an example"));
}

// At least one value that keeps the rules of `field`, and `count` different
// ones where there are so many.
absl::StatusOr<std::vector<Value>> ValidValues(const Field& field,
                                               std::size_t count,
                                               const std::string* example) {
  const v1::FieldContract& rules = *field.contract;
  std::vector<Value> values;
  switch (field.value->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64:
      values = ValidIntegers(SignedBounds(field), count);
      break;
    case FieldDescriptor::CPPTYPE_UINT32:
    case FieldDescriptor::CPPTYPE_UINT64:
      values = ValidIntegers(UnsignedBounds(field), count);
      break;
    case FieldDescriptor::CPPTYPE_FLOAT:
    case FieldDescriptor::CPPTYPE_DOUBLE:
      values = ValidFloatings(rules.number(), count);
      break;
    case FieldDescriptor::CPPTYPE_BOOL:
      values = {true};
      if (count > 1) values.emplace_back(false);
      break;
    case FieldDescriptor::CPPTYPE_ENUM:
      values = ValidEnums(*field.value->enum_type(), count);
      break;
    case FieldDescriptor::CPPTYPE_MESSAGE:
      values = {ValidDuration(rules.duration())};
      break;
    case FieldDescriptor::CPPTYPE_STRING:
      if (field.value->type() == FieldDescriptor::TYPE_BYTES) {
        values = ValidBytes(rules.bytes(), count);
        break;
      }
      const absl::StatusOr<TextRules> texts = TextRulesOf(field);
      if (!texts.ok()) return texts.status();
      for (std::string& text : texts->Valid(count, example)) {
        values.emplace_back(std::move(text));
      }
      if (values.empty()) {
        return Underivable(
            field, absl::StrCat("a value (", texts->unknown().message(), ")"));
      }
  }
  return values;
}

absl::StatusOr<std::vector<Broken>> BrokenValues(
    const Field& field, const std::string* example,
    std::vector<std::string>& unbreakable) {
  const v1::FieldContract& rules = *field.contract;
  std::vector<Broken> broken;
  if (rules.has_string()) {
    const absl::StatusOr<TextRules> texts = TextRulesOf(field);
    if (!texts.ok()) return texts.status();
    const absl::StatusOr<std::vector<Value>> valid =
        ValidValues(field, 1, example);
    if (!valid.ok()) return valid.status();
    return texts->Breaking(std::get<std::string>(valid->front()),
                           !field.implicit, unbreakable);
  }
  if (rules.has_bytes()) {
    const std::size_t minimum = rules.bytes().min_length();
    if (minimum > 1 || (minimum == 1 && !field.implicit)) {
      broken.push_back({"too short", std::string(minimum - 1, 'x')});
    }
    if (rules.bytes().max_length() > 0) {
      broken.push_back(
          {"too long", std::string(rules.bytes().max_length() + 1u, 'x')});
    }
  } else if (rules.has_number()) {
    switch (field.value->cpp_type()) {
      case FieldDescriptor::CPPTYPE_FLOAT:
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return BrokenFloatings(rules.number());
      case FieldDescriptor::CPPTYPE_UINT32:
      case FieldDescriptor::CPPTYPE_UINT64:
        return BrokenIntegers(UnsignedBounds(field), field.implicit,
                              unbreakable);
      default:
        return BrokenIntegers(SignedBounds(field), field.implicit, unbreakable);
    }
  } else if (rules.defined_only()) {
    broken.push_back({"not declared", std::int64_t{UndeclaredNumber(
                                          *field.value->enum_type())}});
    if (rules.required() && field.repeated()) {
      broken.push_back({"unspecified", std::int64_t{0}});
    }
  } else if (rules.has_duration()) {
    return BrokenDurations(rules.duration());
  }
  return broken;
}

}  // namespace grpccommon::testing::internal
