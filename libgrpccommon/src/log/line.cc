// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "grpccommon/base/utf8.h"
#include "grpccommon/log/logger.h"

namespace grpccommon {
namespace {

constexpr std::size_t kFirstBytes = 2048;
// A thread gives a larger buffer back after use.
constexpr std::size_t kKeepBytes = 64 << 10;

// What LogLine is built in, one per thread. Lines are also written while a
// thread ends, by destructors that run after this one's; hence the marks
// outside, which are never destroyed.
thread_local bool buffer_destroyed = false;
thread_local bool buffer_in_use = false;
struct ThreadBuffer {
  ~ThreadBuffer() { buffer_destroyed = true; }
  std::string text = std::string(kFirstBytes, '\0');
};
thread_local ThreadBuffer thread_buffer;

std::string& TakeBuffer() {
  if (buffer_destroyed || buffer_in_use) {
    return *new std::string(kFirstBytes, '\0');
  }
  buffer_in_use = true;
  return thread_buffer.text;
}

bool NeedsCare(unsigned char byte) {
  return byte < 0x20 || byte >= 0x7f || byte == '"' || byte == '\\';
}

// The same for eight bytes at once (may err towards true). A subtraction
// borrows into the high bit of a byte that is smaller than what is taken off.
bool AnyNeedsCare(std::uint64_t bytes) {
  constexpr std::uint64_t kOnes = 0x0101010101010101;
  constexpr std::uint64_t kHighs = 0x8080808080808080;
  const auto equals = [bytes](std::uint64_t byte) {
    const std::uint64_t zero_where_equal = bytes ^ (kOnes * byte);
    return (zero_where_equal - kOnes) & ~zero_where_equal;
  };
  const std::uint64_t control = (bytes - kOnes * 0x20) & ~bytes;
  return ((control | bytes | equals('"') | equals('\\') | equals(0x7f)) &
          kHighs) != 0;
}

constexpr char kHexDigits[] = "0123456789abcdef";
constexpr std::size_t kLongestEscape = 6;  // \u001f

char* WriteUnicodeEscape(unsigned char code, char* out) {
  std::memcpy(out, "\\u00", 4);
  out[4] = kHexDigits[code >> 4];
  out[5] = kHexDigits[code & 0xf];
  return out + 6;
}

// Writes the character that `text` begins with and removes it.
char* WriteCarefully(std::string_view& text, char* out) {
  const auto first = static_cast<unsigned char>(text.front());
  if (first >= 0x80) {
    const std::size_t size = Utf8CharacterSize(text);
    if (size == 2 && first == 0xc2 &&
        static_cast<unsigned char>(text[1]) < 0xa0) {
      // A C1 control character, which terminals obey as well.
      out = WriteUnicodeEscape(static_cast<unsigned char>(text[1]), out);
      text.remove_prefix(2);
      return out;
    }
    const std::string_view written =
        size != 0 ? text.substr(0, size) : kReplacementCharacter;
    std::memcpy(out, written.data(), written.size());
    text.remove_prefix(size != 0 ? size : 1);
    return out + written.size();
  }
  text.remove_prefix(1);
  if (!NeedsCare(first)) {
    *out = static_cast<char>(first);
    return out + 1;
  }
  char letter = 0;
  switch (first) {
    case '"':
    case '\\':
      letter = static_cast<char>(first);
      break;
    case '\b':
      letter = 'b';
      break;
    case '\f':
      letter = 'f';
      break;
    case '\n':
      letter = 'n';
      break;
    case '\r':
      letter = 'r';
      break;
    case '\t':
      letter = 't';
      break;
    default:
      return WriteUnicodeEscape(first, out);
  }
  out[0] = '\\';
  out[1] = letter;
  return out + 2;
}

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
    std::chrono::sys_seconds second{std::chrono::seconds::min()};
    char text[kSecondSize];
  };
  static thread_local Rendered rendered;
  const auto second = std::chrono::floor<std::chrono::seconds>(time);
  if (second != rendered.second) {
    WriteSecond(second, rendered.text);
    rendered.second = second;
  }
  std::memcpy(out, rendered.text, kSecondSize);
  auto microseconds = static_cast<unsigned>(
      std::chrono::duration_cast<std::chrono::microseconds>(time - second)
          .count());
  out[kSecondSize] = '.';
  for (std::size_t digit = 6; digit > 0; --digit) {
    out[kSecondSize + digit] = static_cast<char>('0' + microseconds % 10);
    microseconds /= 10;
  }
  out[kSecondSize + 7] = 'Z';
}

}  // namespace

LogLine::LogLine()
    : buffer_(TakeBuffer()),
      owned_(buffer_destroyed || &buffer_ != &thread_buffer.text) {
  buffer_[0] = '{';
  size_ = 1;
}

LogLine::~LogLine() {
  if (owned_) {
    delete &buffer_;
    return;
  }
  if (buffer_.size() > kKeepBytes) {
    buffer_.resize(kFirstBytes);
    buffer_.shrink_to_fit();
  }
  buffer_in_use = false;
}

char* LogLine::Reserve(std::size_t bytes) {
  if (buffer_.size() - size_ < bytes) {
    buffer_.resize(std::max(buffer_.size() * 2, size_ + bytes));
  }
  return buffer_.data() + size_;
}

void LogLine::AppendRaw(std::string_view text) {
  std::memcpy(Reserve(text.size()), text.data(), text.size());
  size_ += text.size();
}

void LogLine::AppendText(std::string_view text) {
  *Reserve(1) = '"';
  ++size_;
  while (!text.empty()) {
    // Room for the worst case, but not for that of a huge text at once. A
    // character may straddle the end of its part: hence the three bytes more.
    constexpr std::size_t kPart = 512;
    const std::size_t part = std::min(text.size(), kPart);
    char* const begin = Reserve((part + 3) * kLongestEscape);
    char* out = begin;
    const std::size_t rest = text.size() - part;
    while (text.size() > rest) {
      std::uint64_t bytes;
      if (text.size() - rest >= sizeof bytes) {
        std::memcpy(&bytes, text.data(), sizeof bytes);
        if (!AnyNeedsCare(bytes)) {
          std::memcpy(out, &bytes, sizeof bytes);
          out += sizeof bytes;
          text.remove_prefix(sizeof bytes);
          continue;
        }
      }
      out = WriteCarefully(text, out);
    }
    size_ += static_cast<std::size_t>(out - begin);
  }
  *Reserve(1) = '"';
  ++size_;
}

void LogLine::AppendName(std::string_view name) {
  if (buffer_[size_ - 1] == '\n') size_ -= 2;  // was finished: "}\n"
  if (size_ > 1) AppendRaw(",");
  AppendText(name);
  AppendRaw(":");
}

LogLine& LogLine::Add(std::string_view name, std::string_view text) {
  AppendName(name);
  AppendText(text);
  return *this;
}

LogLine& LogLine::AddInteger(std::string_view name, std::int64_t value) {
  return Add(LogField(name, value));
}

LogLine& LogLine::Add(const LogField& field) {
  AppendName(field.name_);
  constexpr std::size_t kLongestNumber = 32;
  const auto number = [this](auto value) {
    char* const begin = Reserve(kLongestNumber);
    size_ += static_cast<std::size_t>(
        std::to_chars(begin, begin + kLongestNumber, value).ptr - begin);
  };
  switch (field.kind_) {
    case LogField::Kind::kText:
      AppendText(field.text_);
      break;
    case LogField::Kind::kBool:
      AppendRaw(field.integer_ != 0 ? "true" : "false");
      break;
    case LogField::Kind::kSigned:
      number(static_cast<std::int64_t>(field.integer_));
      break;
    case LogField::Kind::kUnsigned:
      number(field.integer_);
      break;
    case LogField::Kind::kReal:
      if (std::isfinite(field.real_)) {
        number(field.real_);
      } else {
        AppendText(std::isnan(field.real_) ? "nan"
                   : field.real_ > 0       ? "inf"
                                           : "-inf");
      }
      break;
  }
  return *this;
}

LogLine& LogLine::AddJson(std::string_view name, std::string_view json) {
  AppendName(name);
  char* const out = Reserve(json.size());
  // Between the tokens of a JSON value, where alone they may be, line breaks
  // are white space.
  std::replace_copy_if(
      json.begin(), json.end(), out,
      [](char c) { return c == '\n' || c == '\r'; }, ' ');
  size_ += json.size();
  return *this;
}

LogLine& LogLine::AddTime(std::string_view name, Clock::WallTime time) {
  AppendName(name);
  char* const out = Reserve(kTimeSize + 2);
  out[0] = '"';
  WriteTime(time, out + 1);
  out[kTimeSize + 1] = '"';
  size_ += kTimeSize + 2;
  return *this;
}

std::string_view LogLine::Finish() {
  if (buffer_[size_ - 1] != '\n') AppendRaw("}\n");
  return std::string_view(buffer_.data(), size_);
}

}  // namespace grpccommon
