// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/call/contract.h"

#include <gtest/gtest.h>

#include <string>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/descriptor.pb.h"
#include "google/protobuf/empty.pb.h"
#include "grpccommon/v1/options.pb.h"

namespace grpccommon {
namespace {

// The status of a method with this retry policy.
absl::Status Compile(const v1::RetryPolicy& retry) {
  google::protobuf::FileDescriptorProto file;
  file.set_name("contract_test.proto");
  file.add_dependency(google::protobuf::Empty::descriptor()->file()->name());
  google::protobuf::ServiceDescriptorProto& service = *file.add_service();
  service.set_name("Service");
  google::protobuf::MethodDescriptorProto& method = *service.add_method();
  method.set_name("Method");
  method.set_input_type(".google.protobuf.Empty");
  method.set_output_type(".google.protobuf.Empty");
  *method.mutable_options()->MutableExtension(v1::method)->mutable_retry() =
      retry;
  google::protobuf::DescriptorPool pool(
      google::protobuf::DescriptorPool::generated_pool());
  return CompilePolicy(*pool.BuildFile(file)->service(0)->method(0)).status();
}

TEST(CompilePolicyTest, TakesTheCodesThatMayBeRetriedAndNoOthers) {
  v1::RetryPolicy retry;
  retry.set_max_attempts(2);
  EXPECT_TRUE(Compile(retry).ok());
  for (int code = 0; code <= 17; ++code) {
    retry.clear_codes();
    retry.add_codes(static_cast<unsigned>(code));
    const absl::Status status = Compile(retry);
    if (code >= 2 && code <= 16) {
      EXPECT_TRUE(status.ok()) << status;
    } else {
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
      EXPECT_NE(std::string(status.message())
                    .find("retry.codes must be in [2, 16], got " +
                          std::to_string(code)),
                std::string::npos)
          << status;
    }
  }
}

TEST(CompilePolicyTest, RefusesRetriesOutOfRange) {
  v1::RetryPolicy retry;
  for (const unsigned attempts : {0U, 11U}) {
    retry.set_max_attempts(attempts);
    EXPECT_EQ(Compile(retry).code(), absl::StatusCode::kInvalidArgument);
  }
  retry.set_max_attempts(10);
  EXPECT_TRUE(Compile(retry).ok());
  retry.mutable_initial_backoff()->set_seconds(2);
  retry.mutable_max_backoff()->set_seconds(1);
  EXPECT_EQ(Compile(retry).code(), absl::StatusCode::kInvalidArgument);
  retry.mutable_max_backoff()->set_seconds(2);
  EXPECT_TRUE(Compile(retry).ok());
  retry.mutable_attempt_timeout()->set_seconds(-1);
  EXPECT_EQ(Compile(retry).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace grpccommon
