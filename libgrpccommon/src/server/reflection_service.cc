// SPDX-License-Identifier: Apache-2.0
#include "server/reflection_service.h"

#ifdef GRPCCOMMON_OWN_REFLECTION

#include <array>
#include <cstddef>
#include <set>
#include <utility>

#include "base/grpc_compat.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/descriptor.pb.h"
#include "grpc/reflection/v1/reflection.pb.h"
#include "grpccommon/base/baton.h"
#include "grpcpp/impl/rpc_service_method.h"
#include "grpcpp/server_context.h"
#include GRPCCOMMON_GRPC_CALLBACK_HANDLERS_H
#include GRPCCOMMON_GRPC_PROTO_UTILS_H

namespace grpccommon::internal {
namespace {

namespace v1 = grpc::reflection::v1;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;

const DescriptorPool& Pool() { return *DescriptorPool::generated_pool(); }

void SetNotFound(v1::ServerReflectionResponse& response,
                 const std::string& what) {
  v1::ErrorResponse& error = *response.mutable_error_response();
  error.set_error_code(grpc::StatusCode::NOT_FOUND);
  error.set_error_message("not found: " + what);
}

// The file and all that it imports, each once.
void AddFiles(const FileDescriptor& file, std::set<std::string>& seen,
              v1::FileDescriptorResponse& response) {
  if (!seen.insert(std::string(file.name())).second) return;
  google::protobuf::FileDescriptorProto proto;
  file.CopyTo(&proto);
  // A descriptor has all that it must have.
  static_cast<void>(
      proto.SerializeToString(response.add_file_descriptor_proto()));
  for (int i = 0; i < file.dependency_count(); ++i) {
    AddFiles(*file.dependency(i), seen, response);
  }
}

void AnswerFile(const FileDescriptor* file, const std::string& what,
                v1::ServerReflectionResponse& response) {
  if (file == nullptr) {
    SetNotFound(response, what);
    return;
  }
  std::set<std::string> seen;
  AddFiles(*file, seen, *response.mutable_file_descriptor_response());
}

void AnswerExtension(const v1::ExtensionRequest& request,
                     v1::ServerReflectionResponse& response) {
  const auto* const type =
      Pool().FindMessageTypeByName(request.containing_type());
  const FieldDescriptor* const extension =
      type == nullptr
          ? nullptr
          : Pool().FindExtensionByNumber(type, request.extension_number());
  AnswerFile(extension == nullptr ? nullptr : extension->file(),
             request.containing_type(), response);
}

void AnswerExtensionNumbers(const std::string& name,
                            v1::ServerReflectionResponse& response) {
  const auto* const type = Pool().FindMessageTypeByName(name);
  if (type == nullptr) {
    SetNotFound(response, name);
    return;
  }
  auto& numbers = *response.mutable_all_extension_numbers_response();
  numbers.set_base_type_name(name);
  std::vector<const FieldDescriptor*> extensions;
  Pool().FindAllExtensions(type, &extensions);
  for (const FieldDescriptor* extension : extensions) {
    numbers.add_extension_number(extension->number());
  }
}

void Answer(const std::vector<std::string>& services,
            const v1::ServerReflectionRequest& request,
            v1::ServerReflectionResponse& response) {
  response.set_valid_host(request.host());
  *response.mutable_original_request() = request;
  switch (request.message_request_case()) {
    case v1::ServerReflectionRequest::kFileByFilename:
      AnswerFile(Pool().FindFileByName(request.file_by_filename()),
                 request.file_by_filename(), response);
      break;
    case v1::ServerReflectionRequest::kFileContainingSymbol:
      AnswerFile(
          Pool().FindFileContainingSymbol(request.file_containing_symbol()),
          request.file_containing_symbol(), response);
      break;
    case v1::ServerReflectionRequest::kFileContainingExtension:
      AnswerExtension(request.file_containing_extension(), response);
      break;
    case v1::ServerReflectionRequest::kAllExtensionNumbersOfType:
      AnswerExtensionNumbers(request.all_extension_numbers_of_type(), response);
      break;
    case v1::ServerReflectionRequest::kListServices:
      for (const std::string& service : services) {
        response.mutable_list_services_response()->add_service()->set_name(
            service);
      }
      break;
    case v1::ServerReflectionRequest::MESSAGE_REQUEST_NOT_SET:
      response.mutable_error_response()->set_error_code(
          grpc::StatusCode::INVALID_ARGUMENT);
      response.mutable_error_response()->set_error_message(
          "the request names nothing to reflect on");
      break;
  }
}

class ReflectionCall
    : public grpc::ServerBidiReactor<v1::ServerReflectionRequest,
                                     v1::ServerReflectionResponse> {
 public:
  explicit ReflectionCall(const std::vector<std::string>& services)
      : services_(services) {
    Read();
  }

 private:
  void Read() {
    baton_.Pass();
    StartRead(&request_);
  }
  void OnReadDone(bool ok) override {
    baton_.Take();
    if (!ok) {
      Finish(grpc::Status::OK);
      return;
    }
    // Anybody may ask, and the answer repeats the question.
    constexpr std::size_t kMostBytes = 4096;
    if (request_.ByteSizeLong() > kMostBytes) {
      Finish(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT,
                          "the request is larger than 4096 bytes"));
      return;
    }
    Answer(services_, request_, response_);
    baton_.Pass();
    StartWrite(&response_);
  }
  void OnWriteDone(bool ok) override {
    baton_.Take();
    if (!ok) {
      Finish(grpc::Status(grpc::StatusCode::CANCELLED, "the client has gone"));
      return;
    }
    v1::ServerReflectionRequest().Swap(&request_);
    v1::ServerReflectionResponse().Swap(&response_);
    Read();
  }
  void OnDone() override {
    baton_.Take();
    delete this;
  }

  Baton baton_;
  const std::vector<std::string>& services_;
  v1::ServerReflectionRequest request_;
  v1::ServerReflectionResponse response_;
};

// Both versions of the protocol have the same messages.
class ReflectionService : public grpc::Service {
 public:
  explicit ReflectionService(std::vector<std::string> services)
      : services_(std::move(services)) {
    constexpr std::array kPaths = {
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"};
    for (std::size_t i = 0; i < kPaths.size(); ++i) {
      AddMethod(new grpc::internal::RpcServiceMethod(
          kPaths[i], grpc::internal::RpcMethod::BIDI_STREAMING, nullptr));
      MarkMethodCallback(
          static_cast<int>(i),
          new grpc::internal::CallbackBidiHandler<v1::ServerReflectionRequest,
                                                  v1::ServerReflectionResponse>(
              [this](grpc::CallbackServerContext* /*context*/) {
                return new ReflectionCall(services_);
              }));
    }
  }

 private:
  const std::vector<std::string> services_;
};

}  // namespace

std::unique_ptr<grpc::Service> CreateReflectionService(
    std::vector<std::string> services) {
  return std::make_unique<ReflectionService>(std::move(services));
}

}  // namespace grpccommon::internal

#endif
