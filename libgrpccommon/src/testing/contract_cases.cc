// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/testing/contract_cases.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "grpccommon/auth/reasons.h"
#include "grpccommon/base/string_view.h"
#include "grpccommon/base/utf8.h"
#include "grpccommon/v1/options.pb.h"
#include "re2/re2.h"
#include "testing/pattern_sampler.h"

namespace grpccommon::testing {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::MessageFactory;
using google::protobuf::MethodDescriptor;
using google::protobuf::Reflection;

// A role that no contract has.
constexpr char kOtherRole[] = "contract-check-stranger";

// Messages within messages that a valid one may need.
constexpr int kMaxDepth = 32;

// Seconds and nanoseconds.
struct DurationValue {
  std::int64_t seconds = 0;
  std::int32_t nanos = 0;
};

using Value = std::variant<std::string, std::int64_t, std::uint64_t, double,
                           bool, DurationValue>;

// A value that breaks one rule.
struct Broken {
  std::string label;
  Value value;
};

// Where one value is: a field, or an element of a repeated one.
struct Place {
  Message* message;
  const FieldDescriptor* field;
  int index = -1;
};

bool IsWrapper(const Descriptor& type) {
  switch (type.well_known_type()) {
    case Descriptor::WELLKNOWNTYPE_DOUBLEVALUE:
    case Descriptor::WELLKNOWNTYPE_FLOATVALUE:
    case Descriptor::WELLKNOWNTYPE_INT64VALUE:
    case Descriptor::WELLKNOWNTYPE_UINT64VALUE:
    case Descriptor::WELLKNOWNTYPE_INT32VALUE:
    case Descriptor::WELLKNOWNTYPE_UINT32VALUE:
    case Descriptor::WELLKNOWNTYPE_STRINGVALUE:
    case Descriptor::WELLKNOWNTYPE_BYTESVALUE:
    case Descriptor::WELLKNOWNTYPE_BOOLVALUE:
      return true;
    default:
      return false;
  }
}

// A field, its rules, and what they are about.
struct Field {
  explicit Field(const FieldDescriptor& f)
      : descriptor(&f), contract(&f.options().GetExtension(v1::field)) {
    value = &f;
    if (f.is_map()) value = f.message_type()->map_value();
    if (value->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      if (IsWrapper(*value->message_type())) {
        wrapper = true;
        value = value->message_type()->FindFieldByNumber(1);
      } else if (!contract->has_duration()) {
        message = value->message_type();
      }
    }
    implicit = !f.is_repeated() && !f.has_presence();
  }

  const FieldDescriptor* descriptor;
  const v1::FieldContract* contract;
  // What holds the value: the field, a map's value, a wrapper's.
  const FieldDescriptor* value;
  bool wrapper = false;
  // Of a message that is looked into.
  const Descriptor* message = nullptr;
  // Not set when it is empty or zero.
  bool implicit = false;

  bool repeated() const { return descriptor->is_repeated(); }
  // How many elements it needs to be valid.
  int needed() const {
    const int minimum = static_cast<int>(contract->items().min());
    return contract->required() ? std::max(minimum, 1) : minimum;
  }
};

void Set(const Place& place, const Value& value) {
  Message& message = *place.message;
  const Reflection& reflection = *message.GetReflection();
  const FieldDescriptor* const field = place.field;
  const int i = place.index;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: {
      const auto number = static_cast<std::int32_t>(std::get<1>(value));
      i < 0 ? reflection.SetInt32(&message, field, number)
            : reflection.SetRepeatedInt32(&message, field, i, number);
      break;
    }
    case FieldDescriptor::CPPTYPE_INT64: {
      const std::int64_t number = std::get<1>(value);
      i < 0 ? reflection.SetInt64(&message, field, number)
            : reflection.SetRepeatedInt64(&message, field, i, number);
      break;
    }
    case FieldDescriptor::CPPTYPE_UINT32: {
      const auto number = static_cast<std::uint32_t>(std::get<2>(value));
      i < 0 ? reflection.SetUInt32(&message, field, number)
            : reflection.SetRepeatedUInt32(&message, field, i, number);
      break;
    }
    case FieldDescriptor::CPPTYPE_UINT64: {
      const std::uint64_t number = std::get<2>(value);
      i < 0 ? reflection.SetUInt64(&message, field, number)
            : reflection.SetRepeatedUInt64(&message, field, i, number);
      break;
    }
    case FieldDescriptor::CPPTYPE_FLOAT: {
      const auto number = static_cast<float>(std::get<double>(value));
      i < 0 ? reflection.SetFloat(&message, field, number)
            : reflection.SetRepeatedFloat(&message, field, i, number);
      break;
    }
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      const double number = std::get<double>(value);
      i < 0 ? reflection.SetDouble(&message, field, number)
            : reflection.SetRepeatedDouble(&message, field, i, number);
      break;
    }
    case FieldDescriptor::CPPTYPE_BOOL: {
      const bool truth = std::get<bool>(value);
      i < 0 ? reflection.SetBool(&message, field, truth)
            : reflection.SetRepeatedBool(&message, field, i, truth);
      break;
    }
    case FieldDescriptor::CPPTYPE_ENUM: {
      const auto number = static_cast<int>(std::get<1>(value));
      i < 0 ? reflection.SetEnumValue(&message, field, number)
            : reflection.SetRepeatedEnumValue(&message, field, i, number);
      break;
    }
    case FieldDescriptor::CPPTYPE_STRING: {
      const std::string& text = std::get<std::string>(value);
      i < 0 ? reflection.SetString(&message, field, text)
            : reflection.SetRepeatedString(&message, field, i, text);
      break;
    }
    case FieldDescriptor::CPPTYPE_MESSAGE: {
      const DurationValue& duration = std::get<DurationValue>(value);
      Message& parts =
          i < 0 ? *reflection.MutableMessage(&message, field)
                : *reflection.MutableRepeatedMessage(&message, field, i);
      const Descriptor& type = *parts.GetDescriptor();
      parts.GetReflection()->SetInt64(&parts, type.FindFieldByNumber(1),
                                      duration.seconds);
      parts.GetReflection()->SetInt32(&parts, type.FindFieldByNumber(2),
                                      duration.nanos);
      break;
    }
  }
}

// Adds an element, empty but for the key of a map's entry, which `index` gives.
void Append(Message& message, const FieldDescriptor& field, int index) {
  const Reflection& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection.AddInt32(&message, &field, 0);
    case FieldDescriptor::CPPTYPE_INT64:
      return reflection.AddInt64(&message, &field, 0);
    case FieldDescriptor::CPPTYPE_UINT32:
      return reflection.AddUInt32(&message, &field, 0);
    case FieldDescriptor::CPPTYPE_UINT64:
      return reflection.AddUInt64(&message, &field, 0);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return reflection.AddFloat(&message, &field, 0);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return reflection.AddDouble(&message, &field, 0);
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection.AddBool(&message, &field, false);
    case FieldDescriptor::CPPTYPE_ENUM:
      return reflection.AddEnumValue(&message, &field, 0);
    case FieldDescriptor::CPPTYPE_STRING:
      return reflection.AddString(&message, &field, std::string());
    case FieldDescriptor::CPPTYPE_MESSAGE:
      break;
  }
  Message* const element = reflection.AddMessage(&message, &field);
  if (!field.is_map()) return;
  const FieldDescriptor* const key = field.message_type()->map_key();
  Value value;
  switch (key->cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      value = absl::StrCat("k", index);
      break;
    case FieldDescriptor::CPPTYPE_BOOL:
      value = index % 2 == 1;
      break;
    case FieldDescriptor::CPPTYPE_UINT32:
    case FieldDescriptor::CPPTYPE_UINT64:
      value = static_cast<std::uint64_t>(index);
      break;
    default:
      value = std::int64_t{index};
  }
  Set({.message = element, .field = key}, value);
}

// Its place in a path: "[0]", or "["k0"]" for a map.
std::string IndexText(const Field& field, bool secret) {
  if (!field.descriptor->is_map()) return "[0]";
  if (secret) return "[?]";
  switch (field.descriptor->message_type()->map_key()->cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return "[\"k0\"]";
    case FieldDescriptor::CPPTYPE_BOOL:
      return "[false]";
    default:
      return "[0]";
  }
}

Place PlaceOf(Message& parent, const Field& field, int index) {
  Place place = {.message = &parent,
                 .field = field.descriptor,
                 .index = field.repeated() ? index : -1};
  if (field.descriptor->is_map()) {
    place = {.message = parent.GetReflection()->MutableRepeatedMessage(
                 &parent, field.descriptor, index),
             .field = field.descriptor->message_type()->map_value()};
  }
  if (field.wrapper) {
    const Reflection& reflection = *place.message->GetReflection();
    place = {
        .message = place.index < 0
                       ? reflection.MutableMessage(place.message, place.field)
                       : reflection.MutableRepeatedMessage(
                             place.message, place.field, place.index),
        .field = field.value};
  }
  return place;
}

Message& MessageAt(const Place& place) {
  const Reflection& reflection = *place.message->GetReflection();
  return place.index < 0
             ? *reflection.MutableMessage(place.message, place.field)
             : *reflection.MutableRepeatedMessage(place.message, place.field,
                                                  place.index);
}

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
  const double low = rules.has_minimum() ? rules.minimum() : -1e6;
  const double high = rules.has_maximum() ? rules.maximum() : 1e6;
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

// ---- Messages ----

class Deriver {
 public:
  explicit Deriver(const ContractCaseOptions& options) : options_(options) {}

  absl::Status Derive(const MethodDescriptor& descriptor) {
    absl::StatusOr<MethodPolicy> policy = CompilePolicy(descriptor);
    if (!policy.ok()) return policy.status();
    method_ = MethodOf(descriptor, *std::move(policy));
    AccessRule& access = method_.policy.access;
    if (access.kind == AccessRule::Kind::kDefault) {
      access = options_.default_access;
    }
    prototype_ = MessageFactory::generated_factory()->GetPrototype(
        descriptor.input_type());
    if (prototype_ == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat(method_.path, ": its request is not compiled in"));
    }
    const absl::StatusOr<std::unique_ptr<Message>> valid = Valid();
    if (!valid.ok()) return valid.status();
    valid_ = (*valid)->SerializeAsString();

    DeriveAccess();
    if (!method_.client_streams() || !method_.policy.handler_checks_messages) {
      const std::size_t first = result_.cases.size();
      const absl::Status status = DeriveFields(
          *descriptor.input_type(), "", false, {descriptor.input_type()},
          [](Message& root) -> absl::StatusOr<Message*> { return &root; });
      if (!status.ok()) return status;
      DeriveTooMany(first);
    } else {
      DeriveTooMany(result_.cases.size());
    }
    if (method_.policy.max_request_bytes.has_value()) DeriveTooLarge();
    return absl::OkStatus();
  }

  ContractCases Take() && { return std::move(result_); }

 private:
  // Makes a message's fields, so that a rule can be broken in one of them.
  using Reach = std::function<absl::StatusOr<Message*>(Message& root)>;

  static Method MethodOf(const MethodDescriptor& descriptor,
                         MethodPolicy policy) {
    Method method;
    method.service = ToStd(descriptor.service()->full_name());
    method.name = ToStd(descriptor.name());
    method.path = "/" + method.service + "/" + method.name;
    method.descriptor = &descriptor;
    method.policy = std::move(policy);
    if (descriptor.client_streaming()) {
      method.kind = descriptor.server_streaming() ? CallKind::kBidiStream
                                                  : CallKind::kClientStream;
    } else if (descriptor.server_streaming()) {
      method.kind = CallKind::kServerStream;
    }
    return method;
  }

  ContractCase Case(ContractCase::Kind kind, std::string name) const {
    const AccessRule& access = method_.policy.access;
    ContractCase one{.kind = kind,
                     .method = method_,
                     .name = std::move(name),
                     .request = valid_,
                     .anonymous = access.kind == AccessRule::Kind::kPublic};
    if (!access.roles.empty()) {
      one.roles = {access.roles.front()};
    } else if (!access.scopes.empty()) {
      one.scopes = {access.scopes.front()};
    }
    return one;
  }

  void DeriveAccess() {
    const AccessRule& access = method_.policy.access;
    using Kind = ContractCase::Kind;
    switch (access.kind) {
      case AccessRule::Kind::kPublic:
        result_.cases.push_back(Case(Kind::kValid, "valid, anonymous"));
        return;
      case AccessRule::Kind::kAnyOf:
        for (const std::string& role : access.roles) {
          ContractCase one = Case(Kind::kValid, "valid, as " + role);
          one.roles = {role};
          result_.cases.push_back(std::move(one));
        }
        for (const std::string& scope : access.scopes) {
          ContractCase one =
              Case(Kind::kValid, "valid, with the scope " + scope);
          one.roles.clear();
          one.scopes = {scope};
          result_.cases.push_back(std::move(one));
        }
        result_.cases.push_back(WrongRole(Kind::kWrongRole, "wrong role"));
        break;
      default:
        result_.cases.push_back(Case(Kind::kValid, "valid"));
        break;
    }
    ContractCase nobody = Case(Kind::kAnonymous, "anonymous");
    nobody.anonymous = true;
    nobody.roles.clear();
    nobody.scopes.clear();
    nobody.code = grpc::StatusCode::UNAUTHENTICATED;
    nobody.reason = auth_reason::kCredentialMissing;
    result_.cases.push_back(std::move(nobody));
  }

  ContractCase WrongRole(ContractCase::Kind kind, std::string name) const {
    ContractCase one = Case(kind, std::move(name));
    one.roles = {kOtherRole};
    one.scopes = {kOtherRole};
    one.code = grpc::StatusCode::PERMISSION_DENIED;
    one.reason = auth_reason::kRoleMissing;
    one.mentions = method_.policy.access.roles;
    one.mentions.insert(one.mentions.end(),
                        method_.policy.access.scopes.begin(),
                        method_.policy.access.scopes.end());
    return one;
  }

  // By calls that are refused for something else, where there is anything: a
  // rate limit counts those as well, and handlers are left alone.
  void DeriveTooMany(std::size_t first_field_case) {
    if (!method_.policy.rate_limit.has_value()) return;
    constexpr char kName[] = "too many";
    ContractCase one = Case(ContractCase::Kind::kTooMany, kName);
    if (method_.policy.access.kind == AccessRule::Kind::kAnyOf) {
      one = WrongRole(ContractCase::Kind::kTooMany, kName);
    } else if (first_field_case < result_.cases.size()) {
      one.request =
          std::min_element(result_.cases.begin() +
                               static_cast<std::ptrdiff_t>(first_field_case),
                           result_.cases.end(),
                           [](const ContractCase& a, const ContractCase& b) {
                             return a.request.size() < b.request.size();
                           })
              ->request;
    }
    one.burst = method_.policy.rate_limit->burst;
    one.code = grpc::StatusCode::RESOURCE_EXHAUSTED;
    one.reason = "RATE_LIMITED";
    one.mentions.clear();
    result_.cases.push_back(std::move(one));
  }

  // By a field that nobody knows, which changes nothing else.
  void DeriveTooLarge() {
    const std::size_t limit = *method_.policy.max_request_bytes;
    ContractCase one = Case(ContractCase::Kind::kTooLarge, "too large");
    // A field of the last number that there is, as few bytes as are too many.
    constexpr std::string_view kTag("\xfa\xff\xff\xff\x0f", 5);
    constexpr std::size_t kMaxVarint = 10;
    std::size_t padding = 1;
    const auto size = [&] {
      return valid_.size() + kTag.size() + Varint(padding).size() + padding;
    };
    if (size() + kMaxVarint <= limit) padding += limit - size() - kMaxVarint;
    while (size() <= limit) ++padding;
    one.request.append(kTag);
    one.request.append(Varint(padding));
    one.request.append(padding, 'x');
    if (one.request.size() > options_.max_receive_message_bytes) {
      // gRPC has the first word, and says this in its own way.
      one.code = grpc::StatusCode::RESOURCE_EXHAUSTED;
    } else {
      one.code = grpc::StatusCode::INVALID_ARGUMENT;
      one.reason = "REQUEST_TOO_LARGE";
    }
    result_.cases.push_back(std::move(one));
  }

  static std::string Varint(std::size_t number) {
    std::string bytes;
    for (; number > 0x7f; number >>= 7) {
      bytes.push_back(static_cast<char>(0x80 | (number & 0x7f)));
    }
    bytes.push_back(static_cast<char>(number));
    return bytes;
  }

  absl::StatusOr<std::unique_ptr<Message>> Valid() const {
    std::unique_ptr<Message> message(prototype_->New());
    const absl::Status status = Fill(*message, 0);
    if (!status.ok()) return status;
    return message;
  }

  // Adds what a message needs to be valid.
  absl::Status Fill(Message& message, int depth) const {
    const Descriptor& type = *message.GetDescriptor();
    if (depth > kMaxDepth) {
      return absl::InvalidArgumentError(absl::StrCat(
          ToAbsl(ToStd(type.full_name())), " needs itself without an end"));
    }
    for (int i = 0; i < type.field_count(); ++i) {
      const Field field(*type.field(i));
      if (!field.contract->required() && field.needed() == 0) continue;
      const absl::Status status =
          Provide(message, field, field.needed(), depth);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  // Sees to it that `field` is set and valid; a repeated one, with at least
  // `count` elements, all different if need be.
  absl::Status Provide(Message& message, const Field& field, int count,
                       int depth) const {
    const Reflection& reflection = *message.GetReflection();
    if (!field.repeated()) {
      if (reflection.HasField(message, field.descriptor)) {
        return absl::OkStatus();
      }
      count = 1;
    }
    const int is =
        field.repeated() ? reflection.FieldSize(message, field.descriptor) : 0;
    if (is >= count) return absl::OkStatus();
    std::vector<Value> values;
    if (field.message == nullptr) {
      absl::StatusOr<std::vector<Value>> made =
          ValidValues(field, static_cast<std::size_t>(count));
      if (!made.ok()) return made.status();
      values = *std::move(made);
      if (field.contract->items().unique() &&
          values.size() < static_cast<std::size_t>(count)) {
        return Underivable(field, absl::StrCat(count, " different values"));
      }
    }
    for (int i = is; i < count; ++i) {
      if (field.repeated()) Append(message, *field.descriptor, i);
      const Place place = PlaceOf(message, field, i);
      if (field.message == nullptr) {
        Set(place, values[static_cast<std::size_t>(i) % values.size()]);
        continue;
      }
      const absl::Status status = Fill(MessageAt(place), depth + 1);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  static absl::Status Underivable(const Field& field, std::string_view what) {
    return absl::UnimplementedError(absl::StrCat(
        "cannot derive ", ToAbsl(what), " for ",
        ToAbsl(ToStd(field.descriptor->full_name())), ": give an example"));
  }

  // At least one value that keeps the rules of `field`, and `count` different
  // ones where there are so many.
  absl::StatusOr<std::vector<Value>> ValidValues(const Field& field,
                                                 std::size_t count) const {
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
        const auto example =
            options_.examples.find(std::string(field.descriptor->full_name()));
        for (std::string& text : texts->Valid(
                 count, example != options_.examples.end() ? &example->second
                                                           : nullptr)) {
          values.emplace_back(std::move(text));
        }
        if (values.empty()) {
          return Underivable(
              field,
              absl::StrCat("a value (", texts->unknown().message(), ")"));
        }
    }
    return values;
  }

  static IntegerBounds<std::int64_t> SignedBounds(const Field& field) {
    if (field.value->cpp_type() == FieldDescriptor::CPPTYPE_INT32) {
      return {field.contract->number(),
              std::numeric_limits<std::int32_t>::min(),
              std::numeric_limits<std::int32_t>::max()};
    }
    return {field.contract->number(), std::numeric_limits<std::int64_t>::min(),
            std::numeric_limits<std::int64_t>::max()};
  }
  static IntegerBounds<std::uint64_t> UnsignedBounds(const Field& field) {
    if (field.value->cpp_type() == FieldDescriptor::CPPTYPE_UINT32) {
      return {field.contract->number(), 0,
              std::numeric_limits<std::uint32_t>::max()};
    }
    return {field.contract->number(), 0,
            std::numeric_limits<std::uint64_t>::max()};
  }
  static absl::StatusOr<TextRules> TextRulesOf(const Field& field) {
    absl::StatusOr<TextRules> rules =
        TextRules::Create(field.contract->string());
    if (!rules.ok()) {
      return absl::Status(
          rules.status().code(),
          absl::StrCat(ToAbsl(ToStd(field.descriptor->full_name())), ": ",
                       rules.status().message()));
    }
    return rules;
  }

  absl::StatusOr<std::vector<Broken>> BrokenValues(
      const Field& field, std::vector<std::string>& unbreakable) const {
    const v1::FieldContract& rules = *field.contract;
    std::vector<Broken> broken;
    if (rules.has_string()) {
      const absl::StatusOr<TextRules> texts = TextRulesOf(field);
      if (!texts.ok()) return texts.status();
      const absl::StatusOr<std::vector<Value>> valid = ValidValues(field, 1);
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
          return BrokenIntegers(SignedBounds(field), field.implicit,
                                unbreakable);
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

  absl::Status DeriveFields(const Descriptor& type, const std::string& prefix,
                            bool secret,
                            const std::set<const Descriptor*>& within,
                            const Reach& reach) {
    for (int i = 0; i < type.field_count(); ++i) {
      const Field field(*type.field(i));
      const std::string path =
          prefix + std::string(ToStd(type.field(i)->name()));
      const bool hidden = secret || field.contract->secret();
      if (HasRequiredSibling(*field.descriptor)) {
        LeaveOut(path, "another field of the same oneof is required");
        continue;
      }
      absl::Status status = DerivePresence(field, path, reach);
      if (status.ok()) status = DeriveItems(field, path, reach);
      if (status.ok()) status = DeriveValues(field, path, hidden, reach);
      if (!status.ok()) return status;
      if (field.message == nullptr || within.contains(field.message)) continue;
      std::set<const Descriptor*> deeper = within;
      deeper.insert(field.message);
      status = DeriveFields(
          *field.message,
          absl::StrCat(path, field.repeated() ? IndexText(field, hidden) : "",
                       "."),
          hidden, deeper,
          [this, &reach, &field](Message& root) -> absl::StatusOr<Message*> {
            const absl::StatusOr<Message*> parent = reach(root);
            if (!parent.ok()) return parent.status();
            const absl::Status made =
                Provide(**parent, field, std::max(1, field.needed()), 0);
            if (!made.ok()) return made;
            return &MessageAt(PlaceOf(**parent, field, 0));
          });
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  static bool HasRequiredSibling(const FieldDescriptor& field) {
    const auto* const oneof = field.real_containing_oneof();
    if (oneof == nullptr) return false;
    for (int i = 0; i < oneof->field_count(); ++i) {
      if (oneof->field(i) != &field &&
          Field(*oneof->field(i)).contract->required()) {
        return true;
      }
    }
    return false;
  }

  absl::Status DerivePresence(const Field& field, const std::string& path,
                              const Reach& reach) {
    if (!field.contract->required()) return absl::OkStatus();
    return Break(path, path, "missing", reach, [&field](Message& message) {
      message.GetReflection()->ClearField(&message, field.descriptor);
      return absl::OkStatus();
    });
  }

  absl::Status DeriveItems(const Field& field, const std::string& path,
                           const Reach& reach) {
    const v1::ItemRules& items = field.contract->items();
    const int minimum = static_cast<int>(items.min());
    absl::Status status;
    if (minimum > (field.contract->required() ? 1 : 0)) {
      status.Update(Break(
          path, path, "too few", reach,
          [this, &field, minimum](Message& message) {
            const absl::Status made = Provide(message, field, minimum, 0);
            const Reflection& reflection = *message.GetReflection();
            while (reflection.FieldSize(message, field.descriptor) >= minimum) {
              reflection.RemoveLast(&message, field.descriptor);
            }
            return made;
          }));
    }
    if (items.max() > 0) {
      status.Update(Break(path, path, "too many items", reach,
                          [this, &field, &items](Message& message) {
                            return Provide(message, field,
                                           static_cast<int>(items.max()) + 1,
                                           0);
                          }));
    }
    if (items.unique() && items.max() != 1) {
      status.Update(Break(path, path + "[1]", "repeated", reach,
                          [this, &field](Message& message) -> absl::Status {
                            absl::Status made = Provide(message, field, 2, 0);
                            const absl::StatusOr<std::vector<Value>> values =
                                ValidValues(field, 1);
                            if (!values.ok()) return values.status();
                            for (const int i : {0, 1}) {
                              Set(PlaceOf(message, field, i), values->front());
                            }
                            return made;
                          }));
    }
    return status;
  }

  absl::Status DeriveValues(const Field& field, const std::string& path,
                            bool secret, const Reach& reach) {
    std::vector<std::string> unbreakable;
    const absl::StatusOr<std::vector<Broken>> broken =
        BrokenValues(field, unbreakable);
    if (!broken.ok()) return broken.status();
    const std::string place =
        field.repeated() ? path + IndexText(field, secret) : path;
    for (const std::string& why : unbreakable) LeaveOut(place, why);
    absl::Status status;
    for (const Broken& one : *broken) {
      status.Update(Break(place, place, one.label, reach,
                          [this, &field, &one](Message& message) {
                            const absl::Status made = Provide(
                                message, field, std::max(1, field.needed()), 0);
                            if (made.ok()) {
                              Set(PlaceOf(message, field, 0), one.value);
                            }
                            return made;
                          }));
    }
    return status;
  }

  // A case with a message that is valid but for what `change` does to the part
  // of it that `reach` leads to.
  absl::Status Break(const std::string& path, const std::string& violation,
                     const std::string& label, const Reach& reach,
                     const std::function<absl::Status(Message&)>& change) {
    absl::StatusOr<std::unique_ptr<Message>> root = Valid();
    if (!root.ok()) return root.status();
    const absl::StatusOr<Message*> part = reach(**root);
    if (!part.ok()) return part.status();
    const absl::Status changed = change(**part);
    if (!changed.ok()) return changed;
    ContractCase one =
        Case(ContractCase::Kind::kField, absl::StrCat(path, ": ", label));
    one.request = (*root)->SerializeAsString();
    const std::size_t limit = method_.policy.max_request_bytes.value_or(
        std::numeric_limits<std::size_t>::max());
    if (one.request.size() >
        std::min(limit, options_.max_receive_message_bytes)) {
      LeaveOut(path, label + " (the request would be too large as a whole)");
      return absl::OkStatus();
    }
    one.code = grpc::StatusCode::INVALID_ARGUMENT;
    one.reason = "INVALID_FIELDS";
    one.field = violation;
    result_.cases.push_back(std::move(one));
    return absl::OkStatus();
  }

  void LeaveOut(const std::string& path, std::string_view why) {
    result_.left_out.push_back(
        absl::StrCat(method_.path, " ", path, ": ", ToAbsl(why)));
  }

  const ContractCaseOptions& options_;
  ContractCases result_;
  // Of the method at hand.
  Method method_;
  const Message* prototype_ = nullptr;
  std::string valid_;
};

}  // namespace

absl::StatusOr<ContractCases> DeriveContractCases(
    const google::protobuf::ServiceDescriptor& service,
    const ContractCaseOptions& options) {
  Deriver deriver(options);
  for (int i = 0; i < service.method_count(); ++i) {
    const absl::Status status = deriver.Derive(*service.method(i));
    if (!status.ok()) return status;
  }
  return std::move(deriver).Take();
}

}  // namespace grpccommon::testing
