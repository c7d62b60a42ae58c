// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/validate/validator.h"

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/memory/memory.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/base/utf8.h"
#include "grpccommon/base/uuid.h"
#include "grpccommon/status/details.h"
#include "grpccommon/v1/options.pb.h"
#include "re2/re2.h"
#include "re2/stringpiece.h"
#include "validate/formats.h"
#include "validate/wrapper_type.h"

namespace grpccommon {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// ---- What a contract compiles to. ----

struct MessageRules;

enum class Format { kAny, kEmail, kUuid, kUri, kHostname };

struct StringRule {
  std::size_t min_length = 0;
  std::size_t max_length = 0;  // 0: no bound
  std::unique_ptr<const RE2> pattern;
  std::vector<std::string> one_of;
  Format format = Format::kAny;
  std::string pattern_text;
  std::string one_of_text;
};

struct BytesRule {
  std::size_t min_length = 0;
  std::size_t max_length = 0;  // 0: no bound
};

template <typename Integer>
struct IntegerRule {
  Integer minimum;
  Integer maximum;
  std::string text;
};

struct FloatingRule {
  std::optional<double> minimum;
  std::optional<double> maximum;
  bool exclusive_minimum = false;
  bool exclusive_maximum = false;
  std::string text;
};

struct EnumRule {
  const EnumDescriptor* type;
  bool zero_allowed;
};

// Seconds and nanoseconds of the same sign, which order as pairs.
using DurationParts = std::pair<std::int64_t, std::int32_t>;

struct DurationRule {
  const FieldDescriptor* seconds;
  const FieldDescriptor* nanos;
  std::optional<DurationParts> minimum;
  std::optional<DurationParts> maximum;
};

using ValueRule =
    std::variant<std::monostate, StringRule, BytesRule,
                 IntegerRule<std::int64_t>, IntegerRule<std::uint64_t>,
                 FloatingRule, EnumRule, DurationRule, const MessageRules*>;

struct FieldRules {
  const FieldDescriptor* field;
  bool required = false;
  bool secret = false;
  bool unique = false;
  // A singular text or integer that is not set when it is empty or zero, so
  // that one look at it tells all.
  bool implicit = false;
  int min_items = 0;
  int max_items = std::numeric_limits<int>::max();
  // Holds for the value, for each element, or for the value of each entry.
  ValueRule value;
  // The `value` field of a wrapper message or of a map entry.
  const FieldDescriptor* wrapped = nullptr;
  const FieldDescriptor* entry_value = nullptr;

  bool has_value_rule() const { return value.index() != 0; }
  bool has_own_rule() const {
    return required || unique || min_items > 0 ||
           max_items < std::numeric_limits<int>::max() ||
           (has_value_rule() &&
            !std::holds_alternative<const MessageRules*>(value));
  }
};

struct MessageRules {
  std::vector<FieldRules> fields;
  bool needed = false;
};

// ---- Texts. ----

// Contracts may hold long patterns and lists; an error quotes their beginning.
std::string Shorten(std::string text, std::size_t longest = 96) {
  if (text.size() <= longest) return text;
  text.resize(TruncateUtf8(text, longest).size());
  return text + "...";
}

std::string Number(double value) {
  if (std::trunc(value) == value && std::abs(value) < 1e15) {
    return absl::StrCat(static_cast<std::int64_t>(value));
  }
  std::array<char, 32> buffer;
  const auto [end, error] =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return error == std::errc() ? std::string(buffer.data(), end) : "a number";
}

std::string BoundsText(const v1::NumberRules& rules) {
  std::string text = "must be ";
  if (rules.has_minimum()) {
    absl::StrAppend(&text,
                    rules.exclusive_minimum() ? "greater than " : "at least ",
                    Number(rules.minimum()));
  }
  if (rules.has_minimum() && rules.has_maximum()) text += " and ";
  if (rules.has_maximum()) {
    absl::StrAppend(&text,
                    rules.exclusive_maximum() ? "less than " : "at most ",
                    Number(rules.maximum()));
  }
  return rules.has_minimum() || rules.has_maximum() ? text : "must be a number";
}

std::string DurationText(const DurationParts& parts) {
  return absl::StrCat(
      Number(static_cast<double>(parts.first) + parts.second * 1e-9), "s");
}

std::string Plural(std::size_t count, std::string_view noun) {
  return absl::StrCat(count, " ", ToAbsl(noun), count == 1 ? "" : "s");
}

// ---- Checks of single values; each returns what is wrong, or nothing. ----

bool MatchesFormat(Format format, std::string_view text) {
  switch (format) {
    case Format::kAny:
      return true;
    case Format::kEmail:
      return internal::IsEmail(text);
    case Format::kUuid:
      return IsUuid(text);
    case Format::kUri:
      return internal::IsUri(text);
    case Format::kHostname:
      return internal::IsHostname(text);
  }
  return true;
}

// The code points of the shortest and of the longest text of a format; no
// longest: 0.
std::pair<std::size_t, std::size_t> LengthsOf(Format format) {
  switch (format) {
    case Format::kAny:
      return {0, 0};
    case Format::kEmail:
      return {3, 0};  // "a@b"
    case Format::kUuid:
      return {36, 36};
    case Format::kUri:
      return {5, 0};  // "a://b"
    case Format::kHostname:
      return {1, 253};
  }
  return {0, 0};
}

const char* FormatText(Format format) {
  switch (format) {
    case Format::kAny:
      return "";
    case Format::kEmail:
      return "must be an e-mail address";
    case Format::kUuid:
      return "must be a UUID";
    case Format::kUri:
      return "must be an absolute URI with an authority";
    case Format::kHostname:
      return "must be a host name";
  }
  return "";
}

// What a value breaks: empty if nothing. `got` may only be shown of a value
// that is not secret.
struct Complaint {
  std::string rule;
  std::string got;
};
using Verdict = std::optional<Complaint>;

[[gnu::hot]] Verdict CheckLength(std::size_t length, std::size_t minimum,
                                 std::size_t maximum, std::string_view unit) {
  if (length < minimum) {
    return Complaint{"must have at least " + Plural(minimum, unit),
                     absl::StrCat(length)};
  }
  if (maximum != 0 && length > maximum) {
    return Complaint{"must have at most " + Plural(maximum, unit),
                     absl::StrCat(length)};
  }
  return std::nullopt;
}

[[gnu::hot]] Verdict CheckString(const StringRule& rule,
                                 std::string_view value) {
  const std::optional<std::size_t> length = internal::CountCodePoints(value);
  if (!length.has_value()) return Complaint{"must be valid UTF-8", ""};
  Verdict verdict =
      CheckLength(*length, rule.min_length, rule.max_length, "character");
  if (verdict.has_value()) return verdict;
  if (!MatchesFormat(rule.format, value)) {
    return Complaint{FormatText(rule.format), ""};
  }
  if (rule.pattern != nullptr &&
      !RE2::FullMatch(re2::StringPiece(value.data(), value.size()),
                      *rule.pattern)) {
    return Complaint{rule.pattern_text, ""};
  }
  if (!rule.one_of.empty()) {
    for (const std::string& one : rule.one_of) {
      if (one == value) return std::nullopt;
    }
    return Complaint{rule.one_of_text, ""};
  }
  return std::nullopt;
}

template <typename Integer>
Verdict CheckInteger(const IntegerRule<Integer>& rule, Integer value) {
  if (value >= rule.minimum && value <= rule.maximum) return std::nullopt;
  return Complaint{rule.text, absl::StrCat(value)};
}

Verdict CheckFloating(const FloatingRule& rule, double value) {
  // Written so that NaN fails, with bounds and without.
  const bool above =
      !rule.minimum.has_value() ||
      (rule.exclusive_minimum ? value > *rule.minimum : value >= *rule.minimum);
  const bool below =
      !rule.maximum.has_value() ||
      (rule.exclusive_maximum ? value < *rule.maximum : value <= *rule.maximum);
  if (above && below && !std::isnan(value)) return std::nullopt;
  return Complaint{rule.text, Number(value)};
}

Verdict CheckEnum(const EnumRule& rule, int value) {
  if (value == 0 && !rule.zero_allowed) {
    return Complaint{"must not be unspecified", ""};
  }
  if (rule.type->FindValueByNumber(value) != nullptr) return std::nullopt;
  return Complaint{absl::StrCat("must be a declared value of ",
                                ToAbsl(ToStd(rule.type->full_name()))),
                   absl::StrCat(value)};
}

// google/protobuf/duration.proto: at most 10,000 years, one sign.
bool IsDuration(const DurationParts& parts) {
  const auto [seconds, nanos] = parts;
  return std::abs(static_cast<double>(seconds)) <= 315'576'000'000.0 &&
         nanos > -1'000'000'000 && nanos < 1'000'000'000 &&
         !(seconds > 0 && nanos < 0) && !(seconds < 0 && nanos > 0);
}

Verdict CheckDuration(const DurationRule& rule, const DurationParts& value) {
  if (!IsDuration(value)) return Complaint{"must be a valid duration", ""};
  if (rule.minimum.has_value() && value < *rule.minimum) {
    return Complaint{"must be at least " + DurationText(*rule.minimum),
                     DurationText(value)};
  }
  if (rule.maximum.has_value() && value > *rule.maximum) {
    return Complaint{"must be at most " + DurationText(*rule.maximum),
                     DurationText(value)};
  }
  return std::nullopt;
}

// ---- Compilation. ----

// The smallest and largest integers on the right side of a bound; none if there
// is no such number.
template <typename Integer>
std::optional<Integer> SmallestFrom(double bound, bool exclusive) {
  using Limits = std::numeric_limits<Integer>;
  const double end = std::ldexp(1.0, Limits::digits);
  if (bound < static_cast<double>(Limits::min())) return Limits::min();
  const double up = std::ceil(bound);
  if (!(up < end)) return std::nullopt;
  const auto value = static_cast<Integer>(up);
  if (!exclusive || up != bound) return value;
  return value == Limits::max() ? std::nullopt
                                : std::optional<Integer>(value + 1);
}

template <typename Integer>
std::optional<Integer> LargestTo(double bound, bool exclusive) {
  using Limits = std::numeric_limits<Integer>;
  const double end = std::ldexp(1.0, Limits::digits);
  if (bound >= end) return Limits::max();
  const double down = std::floor(bound);
  if (!(down >= static_cast<double>(Limits::min()))) return std::nullopt;
  const auto value = static_cast<Integer>(down);
  if (!exclusive || down != bound) return value;
  return value == Limits::min() ? std::nullopt
                                : std::optional<Integer>(value - 1);
}

// A float field is compared with the bound as a float, or 0.1f would be above a
// maximum of 0.1.
double ToFloat(double bound) {
  constexpr double kLargest = std::numeric_limits<float>::max();
  return std::abs(bound) <= kLargest ? static_cast<float>(bound) : bound;
}

absl::Status Contradiction(std::string_view text) {
  return absl::InvalidArgumentError(ToAbsl(text));
}

absl::StatusOr<StringRule> CompileString(const v1::StringRules& rules) {
  StringRule rule;
  rule.min_length = rules.min_length();
  rule.max_length = rules.max_length();
  if (rule.max_length != 0 && rule.min_length > rule.max_length) {
    return Contradiction(absl::StrCat("string.min_length ", rule.min_length,
                                      " is above string.max_length ",
                                      rule.max_length));
  }
  bool stated = true;
  switch (rules.format_case()) {
    case v1::StringRules::kEmail:
      rule.format = Format::kEmail;
      stated = rules.email();
      break;
    case v1::StringRules::kUuid:
      rule.format = Format::kUuid;
      stated = rules.uuid();
      break;
    case v1::StringRules::kUri:
      rule.format = Format::kUri;
      stated = rules.uri();
      break;
    case v1::StringRules::kHostname:
      rule.format = Format::kHostname;
      stated = rules.hostname();
      break;
    case v1::StringRules::FORMAT_NOT_SET:
      break;
  }
  if (!stated) {
    return Contradiction("a string format must be `true` or left out");
  }
  const auto [shortest, longest] = LengthsOf(rule.format);
  if ((rule.max_length != 0 && rule.max_length < shortest) ||
      (longest != 0 && rule.min_length > longest)) {
    return Contradiction(absl::StrCat("string: no length is in range for what ",
                                      FormatText(rule.format)));
  }
  if (!rules.pattern().empty()) {
    if (!internal::CountCodePoints(rules.pattern()).has_value()) {
      return Contradiction("string.pattern is not valid UTF-8");
    }
    RE2::Options options;
    options.set_log_errors(false);
    auto pattern = std::make_unique<const RE2>(rules.pattern(), options);
    if (!pattern->ok()) {
      return Contradiction(absl::StrCat(
          "string.pattern ", Shorten(rules.pattern()), ": ", pattern->error()));
    }
    rule.pattern = std::move(pattern);
    rule.pattern_text = "must match " + Shorten(rules.pattern());
  }
  // Each of the values must itself keep the other rules, else nobody could
  // ever send it.
  for (const std::string& one : rules.one_of()) {
    const Verdict verdict = CheckString(rule, one);
    if (verdict.has_value()) {
      return Contradiction(absl::StrCat("string.one_of \"",
                                        absl::CHexEscape(Shorten(one)), "\" ",
                                        verdict->rule));
    }
  }
  rule.one_of.assign(rules.one_of().begin(), rules.one_of().end());
  std::string list;
  for (const std::string& one : rule.one_of) {
    absl::StrAppend(&list, list.empty() ? "\"" : ", \"", one, "\"");
  }
  rule.one_of_text = "must be one of " + Shorten(std::move(list));
  return rule;
}

template <typename Integer>
absl::StatusOr<ValueRule> CompileInteger(const v1::NumberRules& rules,
                                         Integer type_minimum,
                                         Integer type_maximum) {
  std::optional<Integer> minimum = type_minimum;
  std::optional<Integer> maximum = type_maximum;
  if (rules.has_minimum()) {
    minimum = SmallestFrom<Integer>(rules.minimum(), rules.exclusive_minimum());
  }
  if (rules.has_maximum()) {
    maximum = LargestTo<Integer>(rules.maximum(), rules.exclusive_maximum());
  }
  if (!minimum.has_value() || !maximum.has_value() ||
      std::max(*minimum, type_minimum) > std::min(*maximum, type_maximum)) {
    return Contradiction("number: no value of the field's type is in range");
  }
  return ValueRule(IntegerRule<Integer>{*minimum, *maximum, BoundsText(rules)});
}

absl::StatusOr<ValueRule> CompileFloating(const v1::NumberRules& rules,
                                          bool is_float) {
  FloatingRule rule;
  rule.exclusive_minimum = rules.exclusive_minimum();
  rule.exclusive_maximum = rules.exclusive_maximum();
  if (rules.has_minimum()) {
    rule.minimum = is_float ? ToFloat(rules.minimum()) : rules.minimum();
  }
  if (rules.has_maximum()) {
    rule.maximum = is_float ? ToFloat(rules.maximum()) : rules.maximum();
  }
  if (rule.minimum.has_value() && rule.maximum.has_value() &&
      (*rule.minimum > *rule.maximum ||
       (*rule.minimum == *rule.maximum &&
        (rule.exclusive_minimum || rule.exclusive_maximum)))) {
    return Contradiction("number: no value is in range");
  }
  rule.text = BoundsText(rules);
  return ValueRule(std::move(rule));
}

absl::StatusOr<ValueRule> CompileNumber(const v1::NumberRules& rules,
                                        FieldDescriptor::CppType type) {
  if (std::isnan(rules.minimum()) || std::isnan(rules.maximum())) {
    return Contradiction("number: a bound is not a number");
  }
  if ((rules.exclusive_minimum() && !rules.has_minimum()) ||
      (rules.exclusive_maximum() && !rules.has_maximum())) {
    return Contradiction("number: exclusive, but there is no bound");
  }
  switch (type) {
    case FieldDescriptor::CPPTYPE_INT32:
      return CompileInteger<std::int64_t>(
          rules, std::numeric_limits<std::int32_t>::min(),
          std::numeric_limits<std::int32_t>::max());
    case FieldDescriptor::CPPTYPE_INT64:
      return CompileInteger<std::int64_t>(
          rules, std::numeric_limits<std::int64_t>::min(),
          std::numeric_limits<std::int64_t>::max());
    case FieldDescriptor::CPPTYPE_UINT32:
      return CompileInteger<std::uint64_t>(
          rules, 0, std::numeric_limits<std::uint32_t>::max());
    case FieldDescriptor::CPPTYPE_UINT64:
      return CompileInteger<std::uint64_t>(
          rules, 0, std::numeric_limits<std::uint64_t>::max());
    case FieldDescriptor::CPPTYPE_FLOAT:
      return CompileFloating(rules, true);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return CompileFloating(rules, false);
    default:
      return Contradiction("number: the field is not a number");
  }
}

absl::StatusOr<ValueRule> CompileDuration(const v1::DurationRules& rules,
                                          const Descriptor& type) {
  DurationRule rule;
  rule.seconds = type.FindFieldByNumber(1);
  rule.nanos = type.FindFieldByNumber(2);
  if (rules.has_minimum()) {
    rule.minimum.emplace(rules.minimum().seconds(), rules.minimum().nanos());
  }
  if (rules.has_maximum()) {
    rule.maximum.emplace(rules.maximum().seconds(), rules.maximum().nanos());
  }
  if ((rule.minimum.has_value() && !IsDuration(*rule.minimum)) ||
      (rule.maximum.has_value() && !IsDuration(*rule.maximum))) {
    return Contradiction("duration: a bound is not a valid duration");
  }
  if (rule.minimum.has_value() && rule.maximum.has_value() &&
      *rule.minimum > *rule.maximum) {
    return Contradiction("duration.minimum is above duration.maximum");
  }
  return ValueRule(std::move(rule));
}

// Compiles a type and every type that lies in it, each one once, so that
// recursive types end.
class Compiler {
 public:
  absl::StatusOr<const MessageRules*> Compile(const Descriptor& type) {
    std::vector<const Descriptor*> pending;
    const MessageRules* const root = RulesOf(type, pending);
    while (!pending.empty()) {
      const Descriptor* const next = pending.back();
      pending.pop_back();
      MessageRules& rules = *rules_.at(next);
      for (int i = 0; i < next->field_count(); ++i) {
        absl::StatusOr<FieldRules> field =
            CompileField(*next->field(i), pending);
        if (!field.ok()) {
          return absl::Status(
              field.status().code(),
              absl::StrCat("contract of ",
                           ToAbsl(ToStd(next->field(i)->full_name())), ": ",
                           field.status().message()));
        }
        if (field->has_own_rule() || field->has_value_rule()) {
          rules.fields.push_back(*std::move(field));
        }
      }
      const absl::Status oneofs = CheckOneofs(*next, rules);
      if (!oneofs.ok()) return oneofs;
    }
    Prune();
    return root;
  }

  std::vector<std::unique_ptr<MessageRules>> Take() {
    std::vector<std::unique_ptr<MessageRules>> all;
    for (auto& [type, rules] : rules_) all.push_back(std::move(rules));
    return all;
  }

 private:
  // The rules of `type`, which are still to be filled in if they are new.
  const MessageRules* RulesOf(const Descriptor& type,
                              std::vector<const Descriptor*>& pending) {
    const auto [place, fresh] = rules_.try_emplace(&type);
    if (fresh) {
      place->second = std::make_unique<MessageRules>();
      pending.push_back(&type);
    }
    return place->second.get();
  }

  absl::StatusOr<FieldRules> CompileField(
      const FieldDescriptor& field, std::vector<const Descriptor*>& pending) {
    const v1::FieldContract& contract = field.options().GetExtension(v1::field);
    FieldRules rules{.field = &field};
    rules.required = contract.required();
    rules.secret = contract.secret();
    if (contract.has_items()) {
      const absl::Status valid = CompileItems(contract.items(), rules);
      if (!valid.ok()) return valid;
    }

    const FieldDescriptor* value = &field;
    if (field.is_map()) {
      value = rules.entry_value = field.message_type()->map_value();
    }
    const Descriptor* const message =
        value->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE
            ? value->message_type()
            : nullptr;
    if (message != nullptr && internal::IsWrapper(*message)) {
      value = rules.wrapped = message->FindFieldByNumber(1);
    }

    const int kinds = contract.has_string() + contract.has_bytes() +
                      contract.has_number() + contract.has_duration() +
                      contract.defined_only();
    if (kinds > 1) {
      return Contradiction("rules for more than one type of value");
    }
    if (contract.has_string()) {
      if (value->type() != FieldDescriptor::TYPE_STRING) {
        return Contradiction("string: the field is not a string");
      }
      absl::StatusOr<StringRule> rule = CompileString(contract.string());
      if (!rule.ok()) return rule.status();
      if (NeverApplies(rules, rule->min_length)) {
        return Contradiction(
            "string.min_length 1 never applies, since an empty string counts "
            "as not set: say `required: true`");
      }
      rules.value = *std::move(rule);
    } else if (contract.has_bytes()) {
      if (value->type() != FieldDescriptor::TYPE_BYTES) {
        return Contradiction("bytes: the field is not bytes");
      }
      const BytesRule rule = {contract.bytes().min_length(),
                              contract.bytes().max_length()};
      if (rule.max_length != 0 && rule.min_length > rule.max_length) {
        return Contradiction("bytes.min_length is above bytes.max_length");
      }
      if (NeverApplies(rules, rule.min_length)) {
        return Contradiction(
            "bytes.min_length 1 never applies, since empty bytes count as not "
            "set: say `required: true`");
      }
      rules.value = rule;
    } else if (contract.has_number()) {
      absl::StatusOr<ValueRule> rule =
          CompileNumber(contract.number(), value->cpp_type());
      if (!rule.ok()) return rule.status();
      if (rules.required && !field.is_repeated() && !field.has_presence() &&
          OnlyZero(*rule)) {
        return Contradiction(
            "number: only 0 is in range, which counts as not set, and the "
            "field is required");
      }
      rules.value = *std::move(rule);
    } else if (contract.has_duration()) {
      if (message == nullptr ||
          message->well_known_type() != Descriptor::WELLKNOWNTYPE_DURATION) {
        return Contradiction(
            "duration: the field is not a google.protobuf.Duration");
      }
      absl::StatusOr<ValueRule> rule =
          CompileDuration(contract.duration(), *message);
      if (!rule.ok()) return rule.status();
      rules.value = *std::move(rule);
    } else if (contract.defined_only()) {
      if (value->cpp_type() != FieldDescriptor::CPPTYPE_ENUM) {
        return Contradiction("defined_only: the field is not an enum");
      }
      rules.value = EnumRule{value->enum_type(), !contract.required()};
    } else if (message != nullptr && rules.wrapped == nullptr) {
      rules.value = RulesOf(*message, pending);
    }
    rules.implicit =
        !field.is_repeated() && !field.has_presence() &&
        (std::holds_alternative<StringRule>(rules.value) ||
         std::holds_alternative<IntegerRule<std::int64_t>>(rules.value) ||
         std::holds_alternative<IntegerRule<std::uint64_t>>(rules.value));
    return rules;
  }

  static absl::Status CompileItems(const v1::ItemRules& items,
                                   FieldRules& rules) {
    const FieldDescriptor& field = *rules.field;
    if (!field.is_repeated()) {
      return Contradiction("items: the field is not repeated");
    }
    constexpr std::uint32_t kMost = std::numeric_limits<int>::max();
    rules.min_items = static_cast<int>(std::min(items.min(), kMost));
    if (items.max() != 0) {
      rules.max_items = static_cast<int>(std::min(items.max(), kMost));
    }
    if (rules.min_items > rules.max_items) {
      return Contradiction(absl::StrCat("items.min ", items.min(),
                                        " is above items.max ", items.max()));
    }
    rules.unique = items.unique();
    if (rules.unique && field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      return Contradiction("items.unique is for scalars, strings and enums");
    }
    return absl::OkStatus();
  }

  // Whether a shortest length of one is already what "set" means.
  static bool NeverApplies(const FieldRules& rules, std::size_t min_length) {
    return min_length == 1 && !rules.required && !rules.field->is_repeated() &&
           !rules.field->has_presence();
  }

  // Whether nothing but zero keeps a rule for numbers.
  static bool OnlyZero(const ValueRule& rule) {
    if (const auto* const number =
            std::get_if<IntegerRule<std::int64_t>>(&rule)) {
      return number->minimum == 0 && number->maximum == 0;
    }
    if (const auto* const number =
            std::get_if<IntegerRule<std::uint64_t>>(&rule)) {
      return number->maximum == 0;
    }
    const auto& number = std::get<FloatingRule>(rule);
    return number.minimum == 0.0 && number.maximum == 0.0;
  }

  static absl::Status CheckOneofs(const Descriptor& type,
                                  const MessageRules& rules) {
    const FieldDescriptor* required = nullptr;
    for (int i = 0; i < type.real_oneof_decl_count(); ++i) {
      required = nullptr;
      for (const FieldRules& field : rules.fields) {
        if (!field.required || field.field->containing_oneof() == nullptr ||
            field.field->containing_oneof()->index() != i) {
          continue;
        }
        if (required != nullptr) {
          return absl::InvalidArgumentError(absl::StrCat(
              "contract of ", ToAbsl(ToStd(field.field->full_name())),
              ": required, but so is ", ToAbsl(ToStd(required->name())),
              " of the same oneof"));
        }
        required = field.field;
      }
    }
    return absl::OkStatus();
  }

  // Leaves out the fields that lead to no rule, so that no call goes there.
  void Prune() {
    bool changed = true;
    while (changed) {
      changed = false;
      for (auto& [type, rules] : rules_) {
        if (rules->needed) continue;
        for (const FieldRules& field : rules->fields) {
          const auto* const inner =
              std::get_if<const MessageRules*>(&field.value);
          if (field.has_own_rule() || (inner != nullptr && (*inner)->needed)) {
            rules->needed = changed = true;
            break;
          }
        }
      }
    }
    for (auto& [type, rules] : rules_) {
      for (FieldRules& field : rules->fields) {
        const auto* const inner =
            std::get_if<const MessageRules*>(&field.value);
        if (inner != nullptr && !(*inner)->needed) {
          field.value = std::monostate();
        }
      }
      std::erase_if(rules->fields, [](const FieldRules& field) {
        return !field.has_own_rule() && !field.has_value_rule();
      });
    }
  }

  std::unordered_map<const Descriptor*, std::unique_ptr<MessageRules>> rules_;
};

// ---- The walk through one message. ----

// Where the walk is; on the stack, so that a path costs nothing until it is
// needed.
struct Place {
  const Place* parent;
  const FieldDescriptor* field;
  bool secret;
  int index = -1;
  const Message* entry = nullptr;
};

void AppendKey(const Message& entry, std::string& path) {
  const FieldDescriptor& key = *entry.GetDescriptor()->map_key();
  const Reflection& reflection = *entry.GetReflection();
  switch (key.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      absl::StrAppend(&path, reflection.GetInt32(entry, &key));
      return;
    case FieldDescriptor::CPPTYPE_INT64:
      absl::StrAppend(&path, reflection.GetInt64(entry, &key));
      return;
    case FieldDescriptor::CPPTYPE_UINT32:
      absl::StrAppend(&path, reflection.GetUInt32(entry, &key));
      return;
    case FieldDescriptor::CPPTYPE_UINT64:
      absl::StrAppend(&path, reflection.GetUInt64(entry, &key));
      return;
    case FieldDescriptor::CPPTYPE_BOOL:
      path += reflection.GetBool(entry, &key) ? "true" : "false";
      return;
    default: {
      const std::string text = reflection.GetString(entry, &key);
      // The key comes from outside and goes into a proto string and into logs.
      const std::string escaped = internal::CountCodePoints(text).has_value()
                                      ? absl::Utf8SafeCEscape(text)
                                      : absl::CHexEscape(text);
      absl::StrAppend(&path, "\"", Shorten(escaped, 64), "\"");
    }
  }
}

void AppendPath(const Place& place, std::string& path) {
  if (place.parent != nullptr) {
    AppendPath(*place.parent, path);
    path += '.';
  }
  path += ToStd(place.field->name());
  if (place.entry == nullptr && place.index < 0) return;
  path += '[';
  if (place.entry == nullptr) {
    absl::StrAppend(&path, place.index);
  } else if (place.secret) {
    path += '?';
  } else {
    AppendKey(*place.entry, path);
  }
  path += ']';
}

class Walk {
 public:
  [[gnu::hot]] void CheckMessage(const MessageRules& rules,
                                 const Message& message, const Place* parent,
                                 int depth) {
    const Reflection& reflection = *message.GetReflection();
    const bool secret = parent != nullptr && parent->secret;
    for (const FieldRules& field : rules.fields) {
      Place place = {parent, field.field, secret || field.secret};
      if (field.implicit) {
        CheckImplicit(field, message, reflection, place);
      } else if (field.field->is_repeated()) {
        CheckRepeated(field, message, reflection, place, depth);
      } else if (reflection.HasField(message, field.field)) {
        if (field.has_value_rule()) {
          CheckValue(field, message, reflection, *field.field, place, depth);
        }
      } else if (field.required) {
        Report(place, Complaint{"is required", ""});
      }
      if (full_) return;
    }
  }

  absl::Status Result() && {
    return violations_.empty() ? absl::OkStatus() : InvalidFields(violations_);
  }

 private:
  void CheckImplicit(const FieldRules& rules, const Message& message,
                     const Reflection& reflection, const Place& place) {
    bool set = false;
    Verdict verdict;
    if (const auto* const text = std::get_if<StringRule>(&rules.value)) {
      std::string scratch;
      const std::string& value =
          GetString(message, reflection, *rules.field, -1, scratch);
      set = !value.empty();
      if (set) verdict = CheckString(*text, value);
    } else if (const auto* const number =
                   std::get_if<IntegerRule<std::int64_t>>(&rules.value)) {
      const std::int64_t value =
          GetSigned(message, reflection, *rules.field, -1);
      set = value != 0;
      if (set) verdict = CheckInteger(*number, value);
    } else {
      const std::uint64_t value =
          GetUnsigned(message, reflection, *rules.field, -1);
      set = value != 0;
      if (set) {
        verdict = CheckInteger(
            std::get<IntegerRule<std::uint64_t>>(rules.value), value);
      }
    }
    if (!set && rules.required) verdict = Complaint{"is required", ""};
    if (verdict.has_value()) Report(place, *std::move(verdict));
  }

  void CheckRepeated(const FieldRules& rules, const Message& message,
                     const Reflection& reflection, Place& place, int depth) {
    const int size = reflection.FieldSize(message, rules.field);
    if (size == 0 && rules.required) {
      return Report(place, Complaint{"is required", ""});
    }
    if (size < rules.min_items) {
      return Report(
          place, Complaint{"must have at least " +
                               Plural(static_cast<std::size_t>(rules.min_items),
                                      "item"),
                           absl::StrCat(size)});
    }
    // Neither are the elements of a list looked at that is too long anyway.
    if (size > rules.max_items) {
      return Report(
          place, Complaint{"must have at most " +
                               Plural(static_cast<std::size_t>(rules.max_items),
                                      "item"),
                           absl::StrCat(size)});
    }
    if (rules.has_value_rule()) {
      for (int i = 0; i < size && !full_; ++i) {
        place.index = i;
        if (rules.entry_value == nullptr) {
          CheckValue(rules, message, reflection, *rules.field, place, depth);
          continue;
        }
        const Message& entry =
            reflection.GetRepeatedMessage(message, rules.field, i);
        place.entry = &entry;
        place.index = -1;
        CheckValue(rules, entry, *entry.GetReflection(), *rules.entry_value,
                   place, depth);
      }
    }
    if (rules.unique && !full_) {
      CheckUnique(*rules.field, message, reflection, size, place);
    }
  }

  // Checks `field` of `message`, or its element at the place's index.
  void CheckValue(const FieldRules& rules, const Message& message,
                  const Reflection& reflection, const FieldDescriptor& field,
                  const Place& place, int depth) {
    if (rules.wrapped != nullptr) {
      const Message& wrapper =
          GetMessage(message, reflection, field, place.index);
      Verdict verdict = CheckScalar(
          rules.value, wrapper, *wrapper.GetReflection(), *rules.wrapped, -1);
      if (verdict.has_value()) Report(place, *std::move(verdict));
      return;
    }
    if (const auto* const inner =
            std::get_if<const MessageRules*>(&rules.value)) {
      if (depth == Validator::kMaxDepth) {
        return Report(place,
                      Complaint{absl::StrCat("is nested deeper than ",
                                             Validator::kMaxDepth, " messages"),
                                ""});
      }
      return CheckMessage(**inner,
                          GetMessage(message, reflection, field, place.index),
                          &place, depth + 1);
    }
    Verdict verdict =
        CheckScalar(rules.value, message, reflection, field, place.index);
    if (verdict.has_value()) Report(place, *std::move(verdict));
  }

  static const Message& GetMessage(const Message& message,
                                   const Reflection& reflection,
                                   const FieldDescriptor& field, int index) {
    return index < 0 ? reflection.GetMessage(message, &field)
                     : reflection.GetRepeatedMessage(message, &field, index);
  }

  static const std::string& GetString(const Message& message,
                                      const Reflection& reflection,
                                      const FieldDescriptor& field, int index,
                                      std::string& scratch) {
    return index < 0 ? reflection.GetStringReference(message, &field, &scratch)
                     : reflection.GetRepeatedStringReference(message, &field,
                                                             index, &scratch);
  }

  static std::int64_t GetSigned(const Message& message,
                                const Reflection& reflection,
                                const FieldDescriptor& field, int index) {
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_INT32) {
      return index < 0 ? reflection.GetInt32(message, &field)
                       : reflection.GetRepeatedInt32(message, &field, index);
    }
    return index < 0 ? reflection.GetInt64(message, &field)
                     : reflection.GetRepeatedInt64(message, &field, index);
  }

  static std::uint64_t GetUnsigned(const Message& message,
                                   const Reflection& reflection,
                                   const FieldDescriptor& field, int index) {
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_UINT32) {
      return index < 0 ? reflection.GetUInt32(message, &field)
                       : reflection.GetRepeatedUInt32(message, &field, index);
    }
    return index < 0 ? reflection.GetUInt64(message, &field)
                     : reflection.GetRepeatedUInt64(message, &field, index);
  }

  static double GetFloating(const Message& message,
                            const Reflection& reflection,
                            const FieldDescriptor& field, int index) {
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_FLOAT) {
      return index < 0 ? reflection.GetFloat(message, &field)
                       : reflection.GetRepeatedFloat(message, &field, index);
    }
    return index < 0 ? reflection.GetDouble(message, &field)
                     : reflection.GetRepeatedDouble(message, &field, index);
  }

  static int GetEnum(const Message& message, const Reflection& reflection,
                     const FieldDescriptor& field, int index) {
    return index < 0 ? reflection.GetEnumValue(message, &field)
                     : reflection.GetRepeatedEnumValue(message, &field, index);
  }

  static Verdict CheckScalar(const ValueRule& rule, const Message& message,
                             const Reflection& reflection,
                             const FieldDescriptor& field, int index) {
    std::string scratch;
    if (const auto* const text = std::get_if<StringRule>(&rule)) {
      return CheckString(*text,
                         GetString(message, reflection, field, index, scratch));
    }
    if (const auto* const bytes = std::get_if<BytesRule>(&rule)) {
      return CheckLength(
          GetString(message, reflection, field, index, scratch).size(),
          bytes->min_length, bytes->max_length, "byte");
    }
    if (const auto* const number =
            std::get_if<IntegerRule<std::int64_t>>(&rule)) {
      return CheckInteger(*number,
                          GetSigned(message, reflection, field, index));
    }
    if (const auto* const number =
            std::get_if<IntegerRule<std::uint64_t>>(&rule)) {
      return CheckInteger(*number,
                          GetUnsigned(message, reflection, field, index));
    }
    if (const auto* const number = std::get_if<FloatingRule>(&rule)) {
      return CheckFloating(*number,
                           GetFloating(message, reflection, field, index));
    }
    if (const auto* const declared = std::get_if<EnumRule>(&rule)) {
      return CheckEnum(*declared, GetEnum(message, reflection, field, index));
    }
    if (const auto* const duration = std::get_if<DurationRule>(&rule)) {
      const Message& value = GetMessage(message, reflection, field, index);
      const Reflection& parts = *value.GetReflection();
      return CheckDuration(*duration, {parts.GetInt64(value, duration->seconds),
                                       parts.GetInt32(value, duration->nanos)});
    }
    return std::nullopt;
  }

  // An element as it is compared: text by its view, numbers by their bits.
  static std::uint64_t GetBits(const Message& message,
                               const Reflection& reflection,
                               const FieldDescriptor& field, int index) {
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_BOOL:
        return reflection.GetRepeatedBool(message, &field, index) ? 1 : 0;
      case FieldDescriptor::CPPTYPE_ENUM:
        return static_cast<std::uint64_t>(
            GetEnum(message, reflection, field, index));
      case FieldDescriptor::CPPTYPE_FLOAT:
      case FieldDescriptor::CPPTYPE_DOUBLE: {
        const double value = GetFloating(message, reflection, field, index);
        // Zero has two spellings, and they are equal.
        return value == 0 ? 0 : std::bit_cast<std::uint64_t>(value);
      }
      case FieldDescriptor::CPPTYPE_UINT32:
      case FieldDescriptor::CPPTYPE_UINT64:
        return GetUnsigned(message, reflection, field, index);
      default:
        return static_cast<std::uint64_t>(
            GetSigned(message, reflection, field, index));
    }
  }

  void CheckUnique(const FieldDescriptor& field, const Message& message,
                   const Reflection& reflection, int size, Place& place) {
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      std::array<std::string, 2> scratch;
      CheckUniqueBy(size, place, [&](int index, int which) {
        return std::string_view(
            GetString(message, reflection, field, index,
                      scratch[static_cast<std::size_t>(which)]));
      });
    } else {
      CheckUniqueBy(size, place, [&](int index, int /*which*/) {
        return GetBits(message, reflection, field, index);
      });
    }
  }

  // `get(index, which)` reads an element; two with different `which` may be
  // held at a time.
  template <typename Get>
  void CheckUniqueBy(int size, Place& place, Get get) {
    if (size <= Validator::kMaxPairwise) {
      for (int i = 1; i < size && !full_; ++i) {
        for (int j = 0; j < i; ++j) {
          if (get(i, 0) != get(j, 1)) continue;
          ReportRepeat(place, i);
          break;
        }
      }
      return;
    }
    // Longer lists would take a caller's time squared.
    using Value = decltype(get(0, 0));
    using Kept = std::conditional_t<std::is_same_v<Value, std::string_view>,
                                    std::string, Value>;
    absl::flat_hash_set<Kept> seen;
    seen.reserve(static_cast<std::size_t>(size));
    for (int i = 0; i < size && !full_; ++i) {
      if (!seen.insert(Kept(get(i, 0))).second) ReportRepeat(place, i);
    }
  }

  void ReportRepeat(Place& place, int index) {
    place.index = index;
    Report(place, Complaint{"must not repeat an earlier item", ""});
    place.index = -1;
  }

  void Report(const Place& place, Complaint complaint) {
    std::string path;
    AppendPath(place, path);
    // Both ends of a path say more than its middle.
    constexpr std::size_t kLongestPath = 256;
    if (path.size() > kLongestPath) {
      const std::size_t end = TruncateUtf8(path, path.size() - 120).size();
      path = absl::StrCat(ToAbsl(TruncateUtf8(path, 120)), "...",
                          path.substr(end));
    }
    std::string description = std::move(complaint.rule);
    if (!complaint.got.empty() && !place.secret) {
      absl::StrAppend(&description, ", got ", complaint.got);
    }
    bytes_ += path.size() + description.size();
    if (!violations_.empty() && bytes_ > Validator::kMaxViolationBytes) {
      full_ = true;
      return;
    }
    violations_.push_back({std::move(path), std::move(description)});
    full_ = violations_.size() == Validator::kMaxViolations;
  }

  std::vector<FieldViolation> violations_;
  std::size_t bytes_ = 0;
  bool full_ = false;
};

}  // namespace

struct Validator::Impl {
  const Descriptor* type;
  const MessageRules* root;
  std::vector<std::unique_ptr<MessageRules>> all;
};

absl::StatusOr<std::unique_ptr<Validator>> Validator::Create(
    const Descriptor& type) {
  Compiler compiler;
  const absl::StatusOr<const MessageRules*> root = compiler.Compile(type);
  if (!root.ok()) return root.status();
  auto impl = std::make_unique<Impl>();
  impl->type = &type;
  impl->root = *root;
  impl->all = compiler.Take();
  return absl::WrapUnique(new Validator(std::move(impl)));
}

Validator::Validator(std::unique_ptr<const Impl> impl)
    : impl_(std::move(impl)) {}

Validator::~Validator() = default;

bool Validator::has_rules() const { return impl_->root->needed; }

[[gnu::hot]] absl::Status Validator::Validate(const Message& message) const {
  if (message.GetDescriptor() != impl_->type) {
    return absl::InternalError(absl::StrCat(
        "the validator of ", ToAbsl(ToStd(impl_->type->full_name())),
        " was given a ", ToAbsl(ToStd(message.GetDescriptor()->full_name()))));
  }
  if (!impl_->root->needed) return absl::OkStatus();
  Walk walk;
  walk.CheckMessage(*impl_->root, message, nullptr, 0);
  return std::move(walk).Result();
}

}  // namespace grpccommon
