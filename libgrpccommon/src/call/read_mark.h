// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace google::protobuf {
class Message;
}

namespace grpccommon::internal {

/// Tells a read that brought nothing from one whose bytes were no message,
/// which gRPC reports alike. Whatever parses into a message clears it first,
/// and with it the field of an unknown number that is put there meanwhile.
class ReadMark {
 public:
  /// Before a read into `message`, which is borrowed until `Take`. Nobody else
  /// may look at it meanwhile.
  void Put(google::protobuf::Message& message);

  /// After the read: whether nothing was parsed. The message is as it was
  /// before `Put` then. True without one.
  bool Take();

 private:
  google::protobuf::Message* message_ = nullptr;
};

}  // namespace grpccommon::internal
