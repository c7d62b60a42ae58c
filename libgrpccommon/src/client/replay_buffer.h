// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "google/protobuf/message_lite.h"

namespace grpccommon::internal {

/// Copies of what a stream has sent, for as long as it may have to be sent once
/// more: until it has a first message, or has sent too much.
///
/// Not thread-safe; but the messages stay where they are until `Drop`.
class ReplayBuffer {
 public:
  /// What the messages may have together, each counted with 64 bytes more than
  /// its own: gRPC's first flow-control window, beyond which a server that does
  /// not read is sent nothing either.
  static constexpr std::size_t kMaxBytes = 64 << 10;

  /// False, and nothing is kept any more, if it would be too much.
  bool Keep(const google::protobuf::MessageLite& message) {
    if (!complete_) return false;
    bytes_ += message.ByteSizeLong() + 64;
    if (bytes_ > kMaxBytes) {
      Drop();
      return false;
    }
    messages_.emplace_back(message.New());
    messages_.back()->CheckTypeAndMergeFrom(message);
    return true;
  }

  /// Keeps nothing more; what is there is left until `Drop`.
  void Close() { complete_ = false; }

  /// For good.
  void Drop() {
    Close();
    messages_.clear();
  }

  /// Whether it has everything that was sent.
  bool complete() const { return complete_; }
  std::size_t size() const { return messages_.size(); }
  const google::protobuf::MessageLite& at(std::size_t i) const {
    return *messages_[i];
  }

 private:
  bool complete_ = true;
  std::size_t bytes_ = 0;
  std::vector<std::unique_ptr<google::protobuf::MessageLite>> messages_;
};

}  // namespace grpccommon::internal
