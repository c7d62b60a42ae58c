// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "google/protobuf/descriptor.h"

namespace grpccommon::internal {

/// Whether messages of `type` are one value that may be absent
/// (google/protobuf/wrappers.proto); the value is field 1.
inline bool IsWrapper(const google::protobuf::Descriptor& type) {
  using google::protobuf::Descriptor;
  switch (type.well_known_type()) {
    case Descriptor::WELLKNOWNTYPE_DOUBLEVALUE:
    case Descriptor::WELLKNOWNTYPE_FLOATVALUE:
    case Descriptor::WELLKNOWNTYPE_INT64VALUE:
    case Descriptor::WELLKNOWNTYPE_UINT64VALUE:
    case Descriptor::WELLKNOWNTYPE_INT32VALUE:
    case Descriptor::WELLKNOWNTYPE_UINT32VALUE:
    case Descriptor::WELLKNOWNTYPE_STRINGVALUE:
    case Descriptor::WELLKNOWNTYPE_BYTESVALUE:
    case Descriptor::WELLKNOWNTYPE_BOOLVALUE:
      return true;
    default:
      return false;
  }
}

}  // namespace grpccommon::internal
