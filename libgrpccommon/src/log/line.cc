// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
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

// Whether a byte can not be copied as it is.
constexpr std::array<bool, 256> kNeedsCare = [] {
  std::array<bool, 256> table{};
  for (std::size_t byte = 0; byte < table.size(); ++byte) {
    table[byte] = byte < 0x20 || byte >= 0x7f || byte == '"' || byte == '\\';
  }
  return table;
}();

bool NeedsCare(char c) { return kNeedsCare[static_cast<unsigned char>(c)]; }

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

// Writes the character that `text` begins with, which needs care, and returns
// how many bytes of `text` that was.
std::size_t WriteCarefully(std::string_view text, char*& out) {
  const auto first = static_cast<unsigned char>(text.front());
  if (first >= 0x80) {
    const std::size_t size = Utf8CharacterSize(text);
    if (size == 2 && first == 0xc2 &&
        static_cast<unsigned char>(text[1]) < 0xa0) {
      // A C1 control character, which terminals obey as well.
      out = WriteUnicodeEscape(static_cast<unsigned char>(text[1]), out);
      return 2;
    }
    const std::string_view written =
        size != 0 ? text.substr(0, size) : kReplacementCharacter;
    out = std::copy(written.begin(), written.end(), out);
    return size != 0 ? size : 1;
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
      out = WriteUnicodeEscape(first, out);
      return 1;
  }
  *out++ = '\\';
  *out++ = letter;
  return 1;
}

// Writes the last `count` bytes of a text that reaches from `begin` to `end` if
// none of them needs care; the texts of a log are short, so that their ends
// matter. Where the text is long enough, some bytes before them are written
// again, which costs less than looking at single bytes.
bool WriteEnd(const char* begin, const char* end, std::size_t count,
              char*& out) {
  const auto size = static_cast<std::size_t>(end - begin);
  std::uint64_t bytes = 0;
  if (size >= sizeof bytes) {
    std::memcpy(&bytes, end - sizeof bytes, sizeof bytes);
    if (AnyNeedsCare(bytes)) return false;
    out += count;
    std::memcpy(out - sizeof bytes, &bytes, sizeof bytes);
    return true;
  }
  constexpr std::size_t kHalf = sizeof bytes / 2;
  if (size < kHalf) return false;
  char halves[sizeof bytes];
  std::memcpy(halves, begin, kHalf);
  std::memcpy(halves + kHalf, end - kHalf, kHalf);
  std::memcpy(&bytes, halves, sizeof bytes);
  if (AnyNeedsCare(bytes)) return false;
  out += count;
  std::memcpy(out - size, halves, kHalf);
  std::memcpy(out - kHalf, halves + kHalf, kHalf);
  return true;
}

// Writes `text` up to `end` or, if a character straddles that, a little
// further; returns where it got to.
std::size_t WriteEscaped(std::string_view text, std::size_t end, char*& out) {
  const char* const data = text.data();
  std::size_t at = 0;
  while (at < end) {
    std::uint64_t bytes;
    for (; end - at >= sizeof bytes; at += sizeof bytes) {
      std::memcpy(&bytes, data + at, sizeof bytes);
      if (AnyNeedsCare(bytes)) break;
      std::memcpy(out, &bytes, sizeof bytes);
      out += sizeof bytes;
    }
    if (end - at < sizeof bytes &&
        (at == end || WriteEnd(data, data + end, end - at, out))) {
      return end;
    }
    while (at < end && !NeedsCare(data[at])) *out++ = data[at++];
    if (at < end) at += WriteCarefully(text.substr(at), out);
  }
  return at;
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

inline char* LogLine::Reserve(std::size_t bytes) {
  if (buffer_.size() - size_ < bytes) {
    buffer_.resize(std::max(buffer_.size() * 2, size_ + bytes));
  }
  return buffer_.data() + size_;
}

inline void LogLine::EndAt(const char* end) {
  size_ = static_cast<std::size_t>(end - buffer_.data());
}

void LogLine::AppendRaw(std::string_view text) {
  EndAt(std::copy(text.begin(), text.end(), Reserve(text.size())));
}

char* LogLine::BeginField(std::string_view name, std::size_t value_bytes) {
  if (buffer_[size_ - 1] == '\n') size_ -= 2;  // was finished: "}\n"
  constexpr std::size_t kPunctuation = 4;
  char* out =
      Reserve(name.size() * kLongestEscape + kPunctuation + value_bytes);
  if (size_ > 1) *out++ = ',';
  *out++ = '"';
  WriteEscaped(name, name.size(), out);
  *out++ = '"';
  *out++ = ':';
  return out;
}

LogLine& LogLine::Add(std::string_view name, std::string_view text) {
  // Room for the worst case, but not for that of a huge text at once. A
  // character may straddle the end of its part: hence the three bytes more.
  constexpr std::size_t kPart = 512;
  const auto room = [](std::size_t part) {
    return (part + 3) * kLongestEscape + 2;
  };
  std::size_t part = std::min(text.size(), kPart);
  char* out = BeginField(name, room(part));
  *out++ = '"';
  while (true) {
    text.remove_prefix(WriteEscaped(text, part, out));
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

LogLine& LogLine::AddTime(std::string_view name, Clock::WallTime time) {
  char* const out = BeginField(name, kTimeSize + 2);
  out[0] = '"';
  WriteTime(time, out + 1);
  out[kTimeSize + 1] = '"';
  EndAt(out + kTimeSize + 2);
  return *this;
}

std::string_view LogLine::Finish() {
  if (buffer_[size_ - 1] != '\n') AppendRaw("}\n");
  return std::string_view(buffer_.data(), size_);
}

}  // namespace grpccommon
