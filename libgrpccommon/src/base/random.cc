// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/base/random.h"

#include <pthread.h>

#include <array>
#include <bit>
#include <random>

namespace grpccommon {
namespace {

// Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2021.
struct Xoshiro256StarStar {
  void Seed() {
    std::random_device device;
    do {
      for (std::uint64_t& word : state) {
        word = (std::uint64_t{device()} << 32) | device();
      }
    } while (state == std::array<std::uint64_t, 4>{});
    seeded = true;
  }

  std::uint64_t Next() {
    const std::uint64_t result = std::rotl(state[1] * 5, 7) * 9;
    const std::uint64_t shifted = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = std::rotl(state[3], 45);
    return result;
  }

  std::array<std::uint64_t, 4> state{};
  bool seeded = false;
};

// Initialised by hand, which costs a call as much as the compiler's own guard
// would, and can be undone.
constinit thread_local Xoshiro256StarStar generator;

// A forked child has a copy of the forking thread's generator, and of its other
// threads none lives on. The handler does no more than a child of many threads
// may.
void SeedAgainInChildren() {
  static const int registered =
      pthread_atfork(nullptr, nullptr, [] { generator.seeded = false; });
  (void)registered;  // without memory for it, all else fails first
}

}  // namespace

[[gnu::hot]] std::uint64_t RandomBits() {
  if (!generator.seeded) [[unlikely]] {
    SeedAgainInChildren();
    generator.Seed();
  }
  return generator.Next();
}

double UniformRandom() {
  return static_cast<double>(RandomBits() >> 11) * 0x1.0p-53;
}

}  // namespace grpccommon
