// SPDX-License-Identifier: Apache-2.0
#include "log/last_words.h"

#include <chrono>
#include <exception>
#include <future>
#include <thread>
#include <utility>

namespace grpccommon::internal {

void FlushLastWords(std::shared_ptr<LogSink> sink) {
  if (sink == nullptr) return;
  try {
    const auto flushed = std::make_shared<std::promise<void>>();
    std::thread([flushed, sink = std::move(sink)] {
      sink->Flush();
      flushed->set_value();
    }).detach();
    flushed->get_future().wait_for(std::chrono::seconds(1));
  } catch (const std::exception&) {  // no thread to be had
  }
}

}  // namespace grpccommon::internal
