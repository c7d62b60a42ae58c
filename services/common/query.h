// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <soci/soci.h>

#include <concepts>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "grpccommon/base/clock.h"

namespace platform::common {

/// One statement with named values, for use inside Database::Run:
/// ```
/// Query query(sql, "SELECT title, created_at FROM tasks WHERE id = :id");
/// query.Bind("id", id).Into(task.title, task.created_at);
/// if (!query.Next()) return NotFound("task", id);
/// ```
/// Values and targets may be std::string (values also string_view), integers,
/// enums (as their number), bool (as 0 or 1), double, WallTime (as nanoseconds
/// since 1970), and std::optional of these for what may be NULL. NULL into
/// anything else is an error, and so is a text with a NUL in it.
///
/// Values are copied when they are bound. Throws what SOCI throws, which
/// Database::Run catches. What of a statement is not in its text but bound
/// cannot change its meaning: never build values into the text.
class Query {
 public:
  /// The session is borrowed.
  Query(soci::session& sql, std::string text)
      : text_(std::move(text)), statement_(sql) {
    statement_.alloc();
    statement_.prepare(text_, soci::details::st_one_time_query);
  }
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;

  /// The value of every `:name` in the text; each name once.
  template <typename Value>
  Query& Bind(const std::string& name, const Value& value) {
    if constexpr (std::convertible_to<const Value&, std::string_view>) {
      const std::string_view text(value);
      // PostgreSQL would take what comes before it for the whole.
      if (text.find('\0') != std::string_view::npos) {
        throw soci::soci_error("a text has a NUL in it");
      }
      texts_.emplace_back(text);
      statement_.exchange(soci::use(texts_.back(), name));
    } else if constexpr (std::floating_point<Value>) {
      reals_.push_back(value);
      statement_.exchange(soci::use(reals_.back(), name));
    } else if constexpr (IsOptional<Value>::value) {
      if (value.has_value()) return Bind(name, *value);
      // As text: PostgreSQL takes NULL for whatever is wanted.
      texts_.emplace_back();
      indicators_.push_back(soci::i_null);
      statement_.exchange(soci::use(texts_.back(), indicators_.back(), name));
    } else {
      numbers_.push_back(ToNumber(value));
      statement_.exchange(soci::use(numbers_.back(), name));
    }
    return *this;
  }

  /// Where the columns go, in their order. The targets are borrowed.
  template <typename... Target>
  Query& Into(Target&... targets) {
    (AddTarget(targets), ...);
    return *this;
  }

  /// Executes the statement the first time; fills the targets with the next
  /// row and returns true, or returns false when there is none.
  bool Next() {
    if (!executed_) Execute();
    if (!statement_.fetch()) return false;
    for (const std::function<void()>& load : loads_) load();
    return true;
  }

  /// Executes a statement that returns no rows, once. The number of rows that
  /// it inserted, changed or deleted.
  std::int64_t Run() {
    statement_.define_and_bind();
    statement_.execute(true);
    return statement_.get_affected_rows();
  }

 private:
  using WallTime = grpccommon::Clock::WallTime;

  template <typename T>
  struct IsOptional : std::false_type {};
  template <typename T>
  struct IsOptional<std::optional<T>> : std::true_type {
    using Value = T;
  };

  template <typename Value>
  static long long ToNumber(const Value& value) {
    if constexpr (std::is_same_v<Value, WallTime>) {
      return value.time_since_epoch().count();
    } else {
      static_assert(std::is_integral_v<Value> || std::is_enum_v<Value>,
                    "no type that a database knows");
      return static_cast<long long>(value);
    }
  }
  template <typename Value>
  static Value FromNumber(long long number) {
    if constexpr (std::is_same_v<Value, WallTime>) {
      return WallTime(WallTime::duration(number));
    } else if constexpr (std::is_same_v<Value, bool>) {
      return number != 0;
    } else {
      static_assert(std::is_integral_v<Value> || std::is_enum_v<Value>,
                    "no type that a database knows");
      return static_cast<Value>(number);
    }
  }

  template <typename Target>
  void AddTarget(Target& target) {
    if constexpr (std::is_same_v<Target, std::string> ||
                  std::is_same_v<Target, double>) {
      statement_.exchange(soci::into(target));
    } else if constexpr (IsOptional<Target>::value) {
      using Value = typename IsOptional<Target>::Value;
      soci::indicator& indicator = indicators_.emplace_back(soci::i_ok);
      if constexpr (std::is_same_v<Value, std::string>) {
        std::string& text = texts_.emplace_back();
        statement_.exchange(soci::into(text, indicator));
        loads_.push_back([&target, &text, &indicator] {
          if (indicator == soci::i_null) {
            target.reset();
          } else {
            target = text;
          }
        });
      } else if constexpr (std::is_same_v<Value, double>) {
        double& real = reals_.emplace_back();
        statement_.exchange(soci::into(real, indicator));
        loads_.push_back([&target, &real, &indicator] {
          target = indicator == soci::i_null ? Target() : Target(real);
        });
      } else {
        long long& number = numbers_.emplace_back();
        statement_.exchange(soci::into(number, indicator));
        loads_.push_back([&target, &number, &indicator] {
          target = indicator == soci::i_null
                       ? Target()
                       : Target(FromNumber<Value>(number));
        });
      }
    } else {
      long long& number = numbers_.emplace_back();
      statement_.exchange(soci::into(number));
      loads_.push_back(
          [&target, &number] { target = FromNumber<Target>(number); });
    }
  }

  void Execute() {
    statement_.define_and_bind();
    statement_.execute();
    executed_ = true;
  }

  const std::string text_;
  // What SOCI keeps addresses of: deques, for those must not move.
  std::deque<std::string> texts_;
  std::deque<long long> numbers_;
  std::deque<double> reals_;
  std::deque<soci::indicator> indicators_;
  std::vector<std::function<void()>> loads_;
  soci::statement statement_;  // last, for it refers to the others
  bool executed_ = false;
};

}  // namespace platform::common
