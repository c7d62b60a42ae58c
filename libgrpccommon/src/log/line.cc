// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <utility>

#include "grpccommon/log/logger.h"
#include "log/json_text.h"

namespace grpccommon {
namespace {

void WriteTwoDigits(unsigned value, char* out) {
  out[0] = static_cast<char>('0' + value / 10);
  out[1] = static_cast<char>('0' + value % 10);
}

constexpr std::size_t kSecondSize = 19;  // 2026-01-01T00:00:00
constexpr std::size_t kTimeSize = kSecondSize + 8;

void WriteSecond(std::chrono::sys_seconds second, char* out) {
  const auto day = std::chrono::floor<std::chrono::days>(second);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(second - day);
  // 64-bit nanoseconds reach from 1677 to 2262.
  const auto year = static_cast<unsigned>(static_cast<int>(date.year()));
  std::memcpy(out, "0000-00-00T00:00:00", kSecondSize);
  WriteTwoDigits(year / 100, out);
  WriteTwoDigits(year % 100, out + 2);
  WriteTwoDigits(static_cast<unsigned>(date.month()), out + 5);
  WriteTwoDigits(static_cast<unsigned>(date.day()), out + 8);
  WriteTwoDigits(static_cast<unsigned>(time.hours().count()), out + 11);
  WriteTwoDigits(static_cast<unsigned>(time.minutes().count()), out + 14);
  WriteTwoDigits(static_cast<unsigned>(time.seconds().count()), out + 17);
}

void WriteTime(Clock::WallTime time, char* out) {
  // The calendar is worked out once a second in each thread.
  struct Rendered {
    std::int64_t second = std::numeric_limits<std::int64_t>::min();
    char text[kSecondSize];
  };
  static thread_local Rendered rendered;
  // Not std::chrono::floor, which overflows at the first second there is.
  constexpr std::int64_t kSecond = 1'000'000'000;
  const std::int64_t nanoseconds = time.time_since_epoch().count();
  std::int64_t second = nanoseconds / kSecond;
  std::int64_t rest = nanoseconds % kSecond;
  if (rest < 0) {
    --second;
    rest += kSecond;
  }
  if (second != rendered.second) {
    WriteSecond(std::chrono::sys_seconds(std::chrono::seconds(second)),
                rendered.text);
    rendered.second = second;
  }
  std::memcpy(out, rendered.text, kSecondSize);
  auto microseconds = static_cast<unsigned>(rest / 1000);
  out[kSecondSize] = '.';
  for (std::size_t digit = 6; digit > 0; --digit) {
    out[kSecondSize + digit] = static_cast<char>('0' + microseconds % 10);
    microseconds /= 10;
  }
  out[kSecondSize + 7] = 'Z';
}

}  // namespace

[[gnu::hot]] LogLine::LogLine() { own_[0] = '{'; }

void LogLine::Grow(std::size_t bytes) {
  const std::size_t capacity = std::max(capacity_ * 2, size_ + bytes);
  auto grown = std::make_unique_for_overwrite<char[]>(capacity);
  std::memcpy(grown.get(), text_, size_);
  grown_ = std::move(grown);
  text_ = grown_.get();
  capacity_ = capacity;
}

void LogLine::AppendRaw(std::string_view text) {
  EndAt(std::copy(text.begin(), text.end(), Reserve(text.size())));
}

[[gnu::hot]] char* LogLine::BeginField(std::string_view name,
                                       std::size_t value_bytes) {
  if (text_[size_ - 1] == '\n') size_ -= 2;  // was finished: "}\n"
  constexpr std::size_t kPunctuation = 4;
  char* out = Reserve(name.size() * internal::kLongestJsonEscape +
                      kPunctuation + value_bytes);
  if (size_ > 1) *out++ = ',';
  *out++ = '"';
  internal::WriteJsonText(name, name.size(), out);
  *out++ = '"';
  *out++ = ':';
  return out;
}

LogLine& LogLine::Add(std::string_view name, std::string_view text) {
  // Room for the worst case, but not for that of a huge text at once. A
  // character may straddle the end of its part: hence the three bytes more.
  constexpr std::size_t kPart = 128;
  const auto room = [](std::size_t part) {
    return (part + 3) * internal::kLongestJsonEscape + 2;
  };
  std::size_t part = std::min(text.size(), kPart);
  char* out = BeginField(name, room(part));
  *out++ = '"';
  while (true) {
    text.remove_prefix(internal::WriteJsonText(text, part, out));
    if (text.empty()) break;
    EndAt(out);
    part = std::min(text.size(), kPart);
    out = Reserve(room(part));
  }
  *out++ = '"';
  EndAt(out);
  return *this;
}

LogLine& LogLine::AddInteger(std::string_view name, std::int64_t value) {
  return Add(LogField(name, value));
}

LogLine& LogLine::Add(const LogField& field) {
  constexpr std::size_t kLongestNumber = 32;
  const auto number = [&](auto value) {
    char* const out = BeginField(field.name_, kLongestNumber);
    EndAt(std::to_chars(out, out + kLongestNumber, value).ptr);
  };
  switch (field.kind_) {
    case LogField::Kind::kText:
      return Add(field.name_, field.text_);
    case LogField::Kind::kBool:
      return AddJson(field.name_, field.integer_ != 0 ? "true" : "false");
    case LogField::Kind::kSigned:
      number(static_cast<std::int64_t>(field.integer_));
      break;
    case LogField::Kind::kUnsigned:
      number(field.integer_);
      break;
    case LogField::Kind::kReal:
      if (std::isfinite(field.real_)) {
        number(field.real_);
        break;
      }
      return Add(field.name_, std::isnan(field.real_) ? "nan"
                              : field.real_ > 0       ? "inf"
                                                      : "-inf");
  }
  return *this;
}

LogLine& LogLine::AddJson(std::string_view name, std::string_view json) {
  // Between the tokens of a JSON value, where alone they may be, line breaks
  // are white space.
  EndAt(std::replace_copy_if(
      json.begin(), json.end(), BeginField(name, json.size()),
      [](char c) { return c == '\n' || c == '\r'; }, ' '));
  return *this;
}

[[gnu::hot]] LogLine& LogLine::AddTime(std::string_view name,
                                       Clock::WallTime time) {
  char* const out = BeginField(name, kTimeSize + 2);
  out[0] = '"';
  WriteTime(time, out + 1);
  out[kTimeSize + 1] = '"';
  EndAt(out + kTimeSize + 2);
  return *this;
}

[[gnu::hot]] std::string_view LogLine::Finish() {
  if (text_[size_ - 1] != '\n') AppendRaw("}\n");
  return std::string_view(text_, size_);
}

}  // namespace grpccommon
