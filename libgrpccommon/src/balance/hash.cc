// SPDX-License-Identifier: Apache-2.0
#include "balance/hash.h"

#include <cstring>

namespace grpccommon::internal {
namespace {

constexpr std::uint64_t kPrime1 = 0x9e3779b185ebca87;
constexpr std::uint64_t kPrime2 = 0xc2b2ae3d27d4eb4f;
constexpr std::uint64_t kPrime3 = 0x165667b19e3779f9;
constexpr std::uint64_t kPrime4 = 0x85ebca77c2b2ae63;
constexpr std::uint64_t kPrime5 = 0x27d4eb2f165667c5;

// Takes a little-endian word off the front of `bytes`.
template <typename Word>
std::uint64_t Take(std::string_view& bytes) {
  Word word = 0;
  if constexpr (std::endian::native == std::endian::little) {
    std::memcpy(&word, bytes.data(), sizeof(Word));
  } else {
    for (std::size_t i = 0; i < sizeof(Word); ++i) {
      word |= static_cast<Word>(static_cast<unsigned char>(bytes[i]))
              << (8 * i);
    }
  }
  bytes.remove_prefix(sizeof(Word));
  return word;
}

std::uint64_t Round(std::uint64_t lane, std::uint64_t word) {
  return std::rotl(lane + word * kPrime2, 31) * kPrime1;
}

std::uint64_t Merge(std::uint64_t hash, std::uint64_t lane) {
  return (hash ^ Round(0, lane)) * kPrime1 + kPrime4;
}

}  // namespace

std::uint64_t XxHash64(std::string_view bytes, std::uint64_t seed) {
  const std::size_t length = bytes.size();
  std::uint64_t hash;
  if (length >= 32) {
    std::uint64_t lanes[] = {seed + kPrime1 + kPrime2, seed + kPrime2, seed,
                             seed - kPrime1};
    while (bytes.size() >= 32) {
      for (std::uint64_t& lane : lanes) {
        lane = Round(lane, Take<std::uint64_t>(bytes));
      }
    }
    hash = std::rotl(lanes[0], 1) + std::rotl(lanes[1], 7) +
           std::rotl(lanes[2], 12) + std::rotl(lanes[3], 18);
    for (const std::uint64_t lane : lanes) hash = Merge(hash, lane);
  } else {
    hash = seed + kPrime5;
  }
  hash += length;
  while (bytes.size() >= 8) {
    hash ^= Round(0, Take<std::uint64_t>(bytes));
    hash = std::rotl(hash, 27) * kPrime1 + kPrime4;
  }
  if (bytes.size() >= 4) {
    hash ^= Take<std::uint32_t>(bytes) * kPrime1;
    hash = std::rotl(hash, 23) * kPrime2 + kPrime3;
  }
  while (!bytes.empty()) {
    hash ^= Take<std::uint8_t>(bytes) * kPrime5;
    hash = std::rotl(hash, 11) * kPrime1;
  }
  hash = (hash ^ (hash >> 33)) * kPrime2;
  hash = (hash ^ (hash >> 29)) * kPrime3;
  return hash ^ (hash >> 32);
}

}  // namespace grpccommon::internal
