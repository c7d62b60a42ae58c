// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/base/quantity.h"

#include <gtest/gtest.h>

namespace grpccommon {
namespace {

using namespace std::chrono_literals;

TEST(QuantityTest, ReadsDurationsWithTheirUnit) {
  EXPECT_EQ(ParseDuration("7ns"), 7ns);
  EXPECT_EQ(ParseDuration("1.5us"), 1500ns);
  EXPECT_EQ(ParseDuration("250ms"), 250ms);
  EXPECT_EQ(ParseDuration("30s"), 30s);
  EXPECT_EQ(ParseDuration("5m"), 5min);
  EXPECT_EQ(ParseDuration("2h"), 2h);
  EXPECT_EQ(ParseDuration("1d"), 24h);
  EXPECT_EQ(ParseDuration("-1s"), -1s);
  for (const char* text : {"", "s", "5", "5 s", " 5s", "5s ", "5x", "1h30m",
                           "nans", "infs", "1e300s", "300000d"}) {
    EXPECT_FALSE(ParseDuration(text).has_value()) << text;
  }
}

TEST(QuantityTest, ReadsWholeNumbersAndSizes) {
  EXPECT_EQ(ParseWhole("0"), 0);
  EXPECT_EQ(ParseWhole("-12"), -12);
  EXPECT_EQ(ParseWhole("4096"), 4096);
  EXPECT_EQ(ParseWhole("7B"), 7);
  EXPECT_EQ(ParseWhole("1.5MiB"), 3 << 19);
  EXPECT_EQ(ParseWhole("1GiB"), 1 << 30);
  for (const char* text :
       {"", "B", "1.5", "1 KiB", "4kb", "0x10", "1e17", "nan", "1,000"}) {
    EXPECT_FALSE(ParseWhole(text).has_value()) << text;
  }
}

TEST(QuantityTest, ReadsNumbers) {
  EXPECT_EQ(ParseNumber("0.25"), 0.25);
  EXPECT_EQ(ParseNumber("-1e-3"), -0.001);
  for (const char* text : {"", "x", "1s", "1 ", "inf", "nan", "1e999"}) {
    EXPECT_FALSE(ParseNumber(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace grpccommon
