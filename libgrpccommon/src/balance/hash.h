// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "grpccommon/base/random.h"

namespace grpccommon::internal {

/// XXH64 of the bytes: the same in every process and on every machine, which
/// those who are to agree on a place need. It has no secret, so whoever chooses
/// a key chooses the place.
/// Source: Collet, "xxHash fast digest algorithm", version 0.1.1 of its
/// specification.
std::uint64_t XxHash64(std::string_view bytes, std::uint64_t seed = 0);

/// A bijection that makes of successive numbers independent ones.
/// Source: the finalizer of SplitMix64 (Steele, Lea and Flood, 2014; variant 13
/// of Stafford).
constexpr std::uint64_t Mix64(std::uint64_t value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

/// 2^64 divided by the golden ratio, made odd: multiples of it, modulo 2^64,
/// are spread as evenly as multiples of one number can be.
inline constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15;

/// A hash as a number in [0, 1).
constexpr double UnitInterval(std::uint64_t hash) {
  return static_cast<double>(hash >> 11) * 0x1.0p-53;
}

/// A number in [0, 1) as a hash.
inline std::uint64_t HashOf(const Random& random) {
  return static_cast<std::uint64_t>(random() * 0x1.0p53) << 11;
}

/// Cuts the range of a hash into at least `count` equal buckets, a power of two
/// of them, for tables that are searched from the right place at once.
class Buckets {
 public:
  explicit Buckets(std::size_t count)
      : bits_(count <= 2 ? 1 : static_cast<int>(std::bit_width(count - 1))) {}

  std::size_t size() const { return std::size_t{1} << bits_; }
  std::size_t Of(std::uint64_t hash) const { return hash >> (64 - bits_); }
  std::uint64_t First(std::size_t bucket) const {
    return std::uint64_t{bucket} << (64 - bits_);
  }

 private:
  int bits_;
};

}  // namespace grpccommon::internal
