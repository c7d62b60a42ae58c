// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/tracing/memory_exporter.h"

#include <gtest/gtest.h>

#include <string>

namespace grpccommon {
namespace {

TEST(MemorySpanExporterTest, KeepsTheYoungestSpans) {
  MemorySpanExporter exporter(3);
  const SpanResource resource = {{"service.name", std::string("test")}};
  const auto names = [&] {
    std::string all;
    for (const SpanData& span : exporter.spans()) all += span.name;
    return all;
  };
  std::vector<SpanData> batch(2);
  batch[0].name = "a";
  batch[1].name = "b";
  ASSERT_TRUE(exporter.Export(resource, batch).ok());
  EXPECT_EQ(names(), "ab");
  EXPECT_EQ(exporter.resource(), resource);
  batch[0].name = "c";
  batch[1].name = "d";
  ASSERT_TRUE(exporter.Export(resource, batch).ok());
  EXPECT_EQ(names(), "bcd");
  exporter.Clear();
  EXPECT_EQ(names(), "");
}

}  // namespace
}  // namespace grpccommon
