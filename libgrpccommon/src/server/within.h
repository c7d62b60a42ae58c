// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "grpccommon/base/string_view.h"

namespace grpccommon::internal {

/// An error of one part of the options, under the name by which that part is
/// configured: who made the part does not know it.
inline absl::Status Within(std::string_view part, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(status.code(),
                      absl::StrCat(ToAbsl(part), ": ", status.message()));
}

}  // namespace grpccommon::internal
