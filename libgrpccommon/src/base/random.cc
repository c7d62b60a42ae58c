// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/base/random.h"

#include <array>
#include <bit>
#include <random>

namespace grpccommon {
namespace {

// Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2021.
class Xoshiro256StarStar {
 public:
  Xoshiro256StarStar() {
    std::random_device device;
    do {
      for (std::uint64_t& word : state_) {
        word = (std::uint64_t{device()} << 32) | device();
      }
    } while (state_ == std::array<std::uint64_t, 4>{});
  }

  std::uint64_t Next() {
    const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    const std::uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }

 private:
  std::array<std::uint64_t, 4> state_;
};

}  // namespace

std::uint64_t RandomBits() {
  static thread_local Xoshiro256StarStar generator;
  return generator.Next();
}

double UniformRandom() {
  return static_cast<double>(RandomBits() >> 11) * 0x1.0p-53;
}

}  // namespace grpccommon
