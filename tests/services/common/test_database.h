// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "gtest/gtest.h"
#include "services/common/temp_folder.h"
#include "support/postgres_process.h"

namespace platform::common {

/// An empty database for one test, of the kind that is its parameter:
/// ```
/// class TaskStoreTest : public DatabaseTest { … Open(url()) … };
/// PLATFORM_INSTANTIATE_ON_DATABASES(TaskStoreTest);
/// TEST_P(TaskStoreTest, KeepsTasks) { … }
/// ```
class DatabaseTest : public ::testing::TestWithParam<std::string_view> {
 protected:
  DatabaseTest() { Renew(); }

  /// Where PostgreSQL is not installed its tests are left out.
  void SetUp() override {
    if (url_.empty()) GTEST_SKIP() << "PostgreSQL is not installed";
  }

  bool on_postgresql() const { return GetParam() == "postgresql"; }
  const std::string& url() const { return url_; }
  /// Makes `url` another database, empty too.
  void Renew() {
    if (!on_postgresql()) {
      url_ = "sqlite:" + (folder_ / (std::to_string(++files_) + ".db"));
    } else if (grpccommon::test::PostgresProcess::Available()) {
      url_ = grpccommon::test::PostgresProcess::Shared().NewDatabase();
    }
  }

  TempFolder folder_;

 private:
  int files_ = 0;
  std::string url_;
};

}  // namespace platform::common

/// Runs a DatabaseTest on SQLite and on PostgreSQL.
#define PLATFORM_INSTANTIATE_ON_DATABASES(Test)          \
  INSTANTIATE_TEST_SUITE_P(                              \
      On, Test,                                          \
      ::testing::Values(std::string_view("sqlite"),      \
                        std::string_view("postgresql")), \
      [](const auto& tested) { return std::string(tested.param); })
