// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace grpccommon::internal {

/// SipHash-c-d: a hash that nobody can steer who does not know the key.
/// Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012. The
/// tables use 1-3, as Rust's and Python's do; 2-4 has the published vectors.
template <int kCompression, int kFinalization>
class SipHash {
 public:
  SipHash(std::uint64_t k0, std::uint64_t k1)
      : v0_(k0 ^ 0x736f6d6570736575),
        v1_(k1 ^ 0x646f72616e646f6d),
        v2_(k0 ^ 0x6c7967656e657261),
        v3_(k1 ^ 0x7465646279746573) {}

  /// Hashes the whole of `bytes`; call it once.
  std::uint64_t operator()(std::string_view bytes) {
    std::size_t i = 0;
    for (; bytes.size() - i >= 8; i += 8) Compress(Load(bytes.substr(i, 8)));
    Compress(Load(bytes.substr(i)) | std::uint64_t{bytes.size()} << 56);
    v2_ ^= 0xff;
    for (int round = 0; round < kFinalization; ++round) Round();
    return v0_ ^ v1_ ^ v2_ ^ v3_;
  }

 private:
  // Little-endian, as far as there are bytes.
  static std::uint64_t Load(std::string_view bytes) {
    std::uint64_t word = 0;
    if (bytes.empty()) return word;
    if constexpr (std::endian::native == std::endian::little) {
      std::memcpy(&word, bytes.data(), bytes.size());
    } else {
      for (std::size_t i = 0; i < bytes.size(); ++i) {
        word |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
      }
    }
    return word;
  }

  void Compress(std::uint64_t word) {
    v3_ ^= word;
    for (int round = 0; round < kCompression; ++round) Round();
    v0_ ^= word;
  }

  void Round() {
    v0_ += v1_;
    v1_ = std::rotl(v1_, 13) ^ v0_;
    v0_ = std::rotl(v0_, 32);
    v2_ += v3_;
    v3_ = std::rotl(v3_, 16) ^ v2_;
    v0_ += v3_;
    v3_ = std::rotl(v3_, 21) ^ v0_;
    v2_ += v1_;
    v1_ = std::rotl(v1_, 17) ^ v2_;
    v2_ = std::rotl(v2_, 32);
  }

  std::uint64_t v0_;
  std::uint64_t v1_;
  std::uint64_t v2_;
  std::uint64_t v3_;
};

}  // namespace grpccommon::internal
