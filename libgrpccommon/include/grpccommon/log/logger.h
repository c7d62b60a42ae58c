// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "grpccommon/base/clock.h"
#include "grpccommon/base/export.h"
#include "grpccommon/log/sink.h"

namespace grpccommon {
namespace internal {
class LineFields;
}

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarning, kError, kOff };

GRPCCOMMON_EXPORT std::string_view LogLevelName(LogLevel level);
/// "debug", "info", "warning", "error" or "off".
GRPCCOMMON_EXPORT std::optional<LogLevel> ParseLogLevel(std::string_view name);

/// One field of a line; holds references, so it lives as long as the call that
/// it is an argument of.
class LogField {
 public:
  LogField(std::string_view name, std::string_view value)
      : name_(name), kind_(Kind::kText), text_(value) {}
  LogField(std::string_view name, const char* value)
      : LogField(name, std::string_view(value)) {}
  LogField(std::string_view name, const std::string& value)
      : LogField(name, std::string_view(value)) {}
  LogField(std::string_view name, bool value)
      : name_(name), kind_(Kind::kBool), integer_(value ? 1 : 0) {}
  template <typename Number>
  requires std::is_arithmetic_v<Number> LogField(std::string_view name,
                                                 Number value)
      : name_(name),
        kind_(std::is_floating_point_v<Number> ? Kind::kReal
              : std::is_signed_v<Number>       ? Kind::kSigned
                                               : Kind::kUnsigned) {
    if constexpr (std::is_floating_point_v<Number>) {
      real_ = value;
    } else if constexpr (std::is_signed_v<Number>) {
      integer_ = static_cast<std::uint64_t>(std::int64_t{value});
    } else {
      integer_ = value;
    }
  }

 private:
  friend class LogLine;
  enum class Kind : std::uint8_t { kText, kBool, kSigned, kUnsigned, kReal };
  std::string_view name_;
  Kind kind_;
  std::string_view text_;
  std::uint64_t integer_ = 0;
  double real_ = 0;
};

/// Builds one line, a JSON object; made to live on the stack, where up to about
/// three kilobytes of it allocate nothing. Invalid UTF-8 becomes U+FFFD;
/// control characters are escaped, so that a value cannot forge a line. A
/// number that JSON cannot express is written as the text "nan", "inf" or
/// "-inf".
///
/// Not thread-safe.
class GRPCCOMMON_EXPORT LogLine {
 public:
  LogLine();
  LogLine(const LogLine&) = delete;
  LogLine& operator=(const LogLine&) = delete;

  LogLine& Add(const LogField& field);
  LogLine& Add(std::string_view name, std::string_view text);
  LogLine& AddInteger(std::string_view name, std::int64_t value);
  /// `json` is written as it is, line breaks aside, and must be one JSON value.
  LogLine& AddJson(std::string_view name, std::string_view json);
  /// RFC 3339 in UTC with microseconds: "2026-01-01T00:00:00.000000Z".
  LogLine& AddTime(std::string_view name, Clock::WallTime time);

  /// The finished line, newline included; valid until the next Add.
  std::string_view Finish();

 private:
  friend class Logger;
  friend class internal::LineFields;
  // Writes what comes before a value, and returns the place for that, with room
  // for `value_bytes`. The value counts once `EndAt` is told where it ends.
  char* BeginField(std::string_view name, std::size_t value_bytes);
  void EndAt(const char* end) { size_ = static_cast<std::size_t>(end - text_); }
  // The place behind what is written, with room for `bytes`.
  char* Reserve(std::size_t bytes) {
    if (capacity_ - size_ < bytes) [[unlikely]] {
      Grow(bytes);
    }
    return text_ + size_;
  }
  void Grow(std::size_t bytes);
  void AppendRaw(std::string_view text);

  // Storage is longer than the line, so that writing needs no bookkeeping. Not
  // initialised: only what was written is ever read.
  static constexpr std::size_t kOwnBytes = 4096;
  char* text_ = own_;
  std::size_t capacity_ = kOwnBytes;
  std::size_t size_ = 1;
  std::unique_ptr<char[]> grown_;
  char own_[kOwnBytes];
};

/// Writes `ts`, `level`, `msg`, `service`, the logger's own fields, then those
/// of the line. Cheap to copy; thread-safe.
class GRPCCOMMON_EXPORT Logger {
 public:
  /// A logger that writes nowhere.
  Logger();
  /// `service` is in every line; `clock` is borrowed and must outlive the
  /// logger and its copies.
  Logger(std::shared_ptr<LogSink> sink, std::string service,
         LogLevel level = LogLevel::kInfo, const Clock& clock = SteadyClock());

  /// The same with one more field in every line.
  Logger With(const LogField& field) const;

  bool Enabled(LogLevel level) const {
    return level >= level_->load(std::memory_order_relaxed) &&
           level != LogLevel::kOff;
  }
  /// Holds for all copies at once.
  void set_level(LogLevel level) { level_->store(level); }
  LogLevel level() const { return level_->load(); }

  void Log(LogLevel level, std::string_view message,
           std::initializer_list<LogField> fields = {}) const;
  void Debug(std::string_view message,
             std::initializer_list<LogField> fields = {}) const {
    Log(LogLevel::kDebug, message, fields);
  }
  void Info(std::string_view message,
            std::initializer_list<LogField> fields = {}) const {
    Log(LogLevel::kInfo, message, fields);
  }
  void Warning(std::string_view message,
               std::initializer_list<LogField> fields = {}) const {
    Log(LogLevel::kWarning, message, fields);
  }
  void Error(std::string_view message,
             std::initializer_list<LogField> fields = {}) const {
    Log(LogLevel::kError, message, fields);
  }

  /// Starts a line with the fields that every line has, for callers that add
  /// theirs one by one; hand it to `Write`.
  void Begin(LogLine& line, LogLevel level, std::string_view message) const;
  void Write(LogLine& line) const;

  const std::shared_ptr<LogSink>& sink() const { return sink_; }

 private:
  std::shared_ptr<LogSink> sink_;
  std::shared_ptr<std::atomic<LogLevel>> level_;
  // `,"service":"…"` and the logger's own fields, rendered once.
  std::shared_ptr<const std::string> prefix_;
  const Clock* clock_;
};

/// Sends what gRPC core and protobuf log to `logger` until the process ends or
/// another is installed. Later versions log through Abseil's log instead; both
/// are covered (with Abseil before its log library: those two only).
GRPCCOMMON_EXPORT void InstallGrpcLog(const Logger& logger);

}  // namespace grpccommon
