// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/status/statusor.h"
#include "google/protobuf/timestamp.pb.h"
#include "platform/contest/v1/contest_service.pb.h"
#include "services/contest/board.h"
#include "services/contest/contest.h"
#include "services/contest/submission.h"

namespace platform::contest {

void SetTime(WallTime time, google::protobuf::Timestamp& timestamp);

/// `with_problems`: as for those who may see them.
v1::Contest ToProto(const Contest& contest, WallTime now, bool with_problems);
/// What a caller may set; of a problem, label and id.
/// Errors: kInvalidArgument, naming what is missing or out of range.
absl::StatusOr<Contest> FromProto(const v1::Contest& contest);

/// Source and compiler output only `with_texts`.
v1::Submission ToProto(const Submission& submission, bool with_texts);
v1::Announcement ToProto(const Announcement& announcement);
/// `with_cells`: as for those who may see the problems.
void ToProto(const Board::Row& row, bool with_cells, v1::LeaderboardRow& proto);

}  // namespace platform::contest
