// SPDX-License-Identifier: Apache-2.0
#include "services/problem/test_case_stream.h"

#include <algorithm>
#include <utility>

#include "grpccommon/status/details.h"
#include "services/problem/convert.h"

namespace platform::problem {

TestCaseStream::TestCaseStream(std::shared_ptr<TestCaseWriter> writer,
                               common::StoreQueue<ProblemStore>& store,
                               Start start)
    : writer_(std::move(writer)), store_(store), start_(std::move(start)) {}

void TestCaseStream::Continue() {
  writer_->WhenWritable([self = shared_from_this()] {
    if (self->writer_->closed()) return;
    const absl::Status status =
        self->store_.Read([self](ProblemStore& store) { self->Step(store); });
    if (!status.ok()) self->writer_->Finish(status);
  });
}

void TestCaseStream::Step(ProblemStore& store) {
  const std::size_t room = std::min(start_.max_count, writer_->room());
  if (room == 0) return Continue();
  const absl::StatusOr<TestCasePage> page =
      store.TestCases(start_.caller, start_.problem_id, start_.include_hidden,
                      position_, room, start_.max_bytes);
  if (!page.ok()) return writer_->Finish(page.status());
  if (tests_version_ == 0) tests_version_ = page->tests_version;
  if (page->tests_version != tests_version_) {
    return writer_->Finish(grpccommon::WithReason(
        absl::AbortedError(
            "the test cases were changed meanwhile: read them again"),
        "TESTS_CHANGED", kErrorDomain));
  }
  for (const TestCase& test : page->test_cases) {
    // Fails when the client has gone; then the next step ends this.
    (void)writer_->Write(ToProto(test, page->tests_version));
    position_ = test.position;
  }
  if (page->last) return writer_->Finish(absl::OkStatus());
  Continue();
}

}  // namespace platform::problem
