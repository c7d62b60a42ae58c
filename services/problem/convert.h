// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "platform/problem/v1/problem_service.pb.h"
#include "services/problem/problem.h"
#include "services/problem/problem_store.h"

namespace platform::problem {

v1::Problem ToProto(const Problem& problem);
v1::TestCase ToProto(const TestCase& test, std::int64_t tests_version);
/// The fields that an author may change, and no other.
v1::Problem ToProto(const Content& content);

Content FromProto(const v1::Problem& problem);
TestCase FromProto(const v1::TestCase& test);
Filter FromProto(const v1::ListProblemsRequest& request);

}  // namespace platform::problem
