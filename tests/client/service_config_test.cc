// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/client/service_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "client/contracts.pb.h"
#include "google/protobuf/descriptor.h"
#include "grpcpp/support/validate_service_config.h"
#include "nlohmann/json.hpp"

namespace grpccommon {
namespace {

using nlohmann::json;

const google::protobuf::ServiceDescriptor* Find(const std::string& name) {
  return test::contracts::Nothing::descriptor()->file()->FindServiceByName(
      name);
}

class ServiceConfigTest : public ::testing::Test {
 protected:
  // What the config says of a method; null if nothing.
  json Of(const std::string& method) const {
    for (const json& entry : config_["methodConfig"]) {
      for (const json& name : entry["name"]) {
        if (name == json{{"service",
                          "grpccommon.test.contracts."
                          "ContractsService"},
                         {"method", method}}) {
          return entry;
        }
      }
    }
    return json();
  }

  const std::vector<const google::protobuf::ServiceDescriptor*> services_ = {
      Find("ContractsService"), Find("PlainService")};
  const std::string text_ = *ServiceConfigFor(services_);
  const json config_ = json::parse(text_);
};

TEST_F(ServiceConfigTest, IsValidForGrpc) {
  EXPECT_EQ(grpc::experimental::ValidateServiceConfigJSON(text_), "");
}

TEST_F(ServiceConfigTest, HasTheContractsTimeoutWithRoomForGrpcsError) {
  // 1.0005 s, in whole milliseconds.
  EXPECT_EQ(Of("Timed")["timeout"], "3.001000000s");
  EXPECT_FALSE(Of("Timed").contains("retryPolicy"));
}

TEST_F(ServiceConfigTest, SaysNothingOfAMethodWithoutAContract) {
  EXPECT_TRUE(Of("Plain").is_null());
}

TEST_F(ServiceConfigTest, RetriesIdempotentMethodsByDefault) {
  const json retry = Of("Read")["retryPolicy"];
  EXPECT_EQ(retry["maxAttempts"], 3);
  EXPECT_EQ(retry["retryableStatusCodes"], json::array({"UNAVAILABLE"}));
  EXPECT_EQ(retry["initialBackoff"], "0.025000000s");
  EXPECT_EQ(retry["maxBackoff"], "1.000000000s");
}

TEST_F(ServiceConfigTest, RetriesAsTheContractSaysButAtMostFiveTimes) {
  const json retry = Of("Replace")["retryPolicy"];
  EXPECT_EQ(retry["maxAttempts"], 5);
  EXPECT_EQ(retry["initialBackoff"], "0.050000000s");
  EXPECT_EQ(retry["maxBackoff"], "2.000000000s");
  EXPECT_EQ(retry["retryableStatusCodes"],
            json::array({"ABORTED", "UNAVAILABLE"}));
}

TEST_F(ServiceConfigTest, NeverRetriesAMethodThatIsNotIdempotent) {
  EXPECT_TRUE(Of("Unsafe").is_null());
}

TEST_F(ServiceConfigTest, OneAttemptTurnsRetriesOff) {
  EXPECT_TRUE(Of("Once").is_null());
}

TEST_F(ServiceConfigTest, ThrottlesWhereItRetries) {
  EXPECT_EQ(config_["retryThrottling"],
            (json{{"maxTokens", 100}, {"tokenRatio", 0.1}}));
  const auto* const plain = Find("PlainService");
  const std::string none = *ServiceConfigFor({&plain, 1});
  EXPECT_EQ(json::parse(none), (json{{"methodConfig", json::array()}}));
  EXPECT_EQ(grpc::experimental::ValidateServiceConfigJSON(none), "");
}

}  // namespace
}  // namespace grpccommon
