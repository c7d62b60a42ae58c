// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "grpccommon/base/mutex.h"
#include "grpccommon/stream/writer.h"
#include "platform/problem/v1/problem_service.pb.h"
#include "services/common/store_queue.h"
#include "services/problem/problem_store.h"

namespace platform::problem {

using TestCaseWriter = grpccommon::StreamWriter<v1::TestCase>;

/// Sends the test cases of a problem, read in pages at the pace of the client:
/// the next one when what waits for it has become little. All are of the
/// version of the first page, or the stream ends with ABORTED, reason
/// TESTS_CHANGED.
class TestCaseStream : public std::enable_shared_from_this<TestCaseStream> {
 public:
  struct Start {
    Caller caller;
    std::string problem_id;
    bool include_hidden = false;
    /// Of a page; the queue of `writer` has room for so many.
    std::size_t max_count = 64;
    std::int64_t max_bytes = 1 << 20;
  };

  /// `store` outlives the stream.
  TestCaseStream(std::shared_ptr<TestCaseWriter> writer,
                 common::StoreQueue<ProblemStore>& store, Start start);

  /// Goes on until the stream has ended.
  void Run();

 private:
  void ReadPage();
  void Step(ProblemStore& store);
  void PageHasLeft();

  const std::shared_ptr<TestCaseWriter> writer_;
  common::StoreQueue<ProblemStore>& store_;
  const Start start_;

  grpccommon::Mutex mutex_;
  // Whether a page is being read and written; another begins after it.
  bool stepping_ ABSL_GUARDED_BY(mutex_) = true;
  // One step follows the other, through the store's queue.
  std::int64_t position_ = 0;
  std::int64_t tests_version_ = 0;  // 0: not known yet
};

}  // namespace platform::problem
