// SPDX-License-Identifier: Apache-2.0
#include "services/problem/test_case_stream.h"

#include <utility>

#include "grpccommon/status/details.h"
#include "services/problem/convert.h"

namespace platform::problem {

TestCaseStream::TestCaseStream(std::shared_ptr<TestCaseWriter> writer,
                               common::StoreQueue<ProblemStore>& store,
                               Start start)
    : writer_(std::move(writer)), store_(store), start_(std::move(start)) {}

void TestCaseStream::Run() {
  writer_->WhenIdle([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->PageHasLeft();
  });
  // Somebody has to keep it between two pages.
  writer_->WhenDone([self = shared_from_this()] {});
  ReadPage();
}

void TestCaseStream::ReadPage() {
  const absl::Status status =
      store_.Read([self = shared_from_this()](ProblemStore& store) {
        if (!self->writer_->closed()) self->Step(store);
      });
  if (!status.ok()) writer_->Finish(status);
}

void TestCaseStream::PageHasLeft() {
  {
    const grpccommon::MutexLock lock(mutex_);
    if (stepping_) return;  // its beginning alone has left
    stepping_ = true;
  }
  ReadPage();
}

void TestCaseStream::Step(ProblemStore& store) {
  const absl::StatusOr<TestCasePage> page =
      store.TestCases(start_.caller, start_.problem_id, start_.include_hidden,
                      position_, start_.max_count, start_.max_bytes);
  if (!page.ok()) return writer_->Finish(page.status());
  if (tests_version_ == 0) tests_version_ = page->tests_version;
  if (page->tests_version != tests_version_) {
    return writer_->Finish(grpccommon::WithReason(
        absl::AbortedError(
            "the test cases were changed meanwhile: read them again"),
        "TESTS_CHANGED", kErrorDomain));
  }
  for (const TestCase& test : page->test_cases) {
    // Fails when the client has gone; then this was the last step.
    (void)writer_->Write(ToProto(test, page->tests_version));
    position_ = test.position;
  }
  if (page->last) return writer_->Finish(absl::OkStatus());
  {
    // All may have left before this, and nobody would call again.
    const grpccommon::MutexLock lock(mutex_);
    stepping_ = writer_->room() == start_.max_count;
    if (!stepping_) return;
  }
  ReadPage();
}

}  // namespace platform::problem
