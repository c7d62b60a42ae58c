// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string_view>

#include "grpccommon/call/principal.h"

namespace grpccommon::internal {

/// The bytes that tell callers apart; no allocation for usual ones.
class CallerKey {
 public:
  /// The caller fills in the bytes.
  explicit CallerKey(std::size_t size) : size_(size) {
    if (size > own_.size()) {
      grown_ = std::make_unique_for_overwrite<char[]>(size);
    }
  }
  char* data() { return grown_ != nullptr ? grown_.get() : own_.data(); }
  std::string_view view() const {
    return {grown_ != nullptr ? grown_.get() : own_.data(), size_};
  }
  bool operator==(const CallerKey& other) const {
    return view() == other.view();
  }

 private:
  std::size_t size_;
  std::unique_ptr<char[]> grown_;
  std::array<char, 192> own_;
};

CallerKey KeyOfPrincipal(const Principal& principal);

/// `address` as ServerCall::peer_address gives it: a number, or a socket's
/// name.
CallerKey KeyOfPeer(std::string_view address);

}  // namespace grpccommon::internal
