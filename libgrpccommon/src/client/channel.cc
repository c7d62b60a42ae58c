// SPDX-License-Identifier: Apache-2.0
#include "grpccommon/client/channel.h"

#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/channel_call.h"
#include "client/channel_factory.h"
#include "client/target.h"
#include "google/protobuf/descriptor.h"
#include "grpccommon/client/service_config.h"
#include "grpcpp/create_channel.h"

namespace grpccommon {
namespace {

// What a channel needs as long as anything of it lives, and gRPC destroys
// together with the channel's arguments.
struct Belongings {
  std::unique_ptr<Scheduler> scheduler = CreateScheduler();
  std::unique_ptr<internal::ChannelFactory> factory;
};
using BelongingsPtr = std::shared_ptr<Belongings>;

const grpc_arg_pointer_vtable kBelongingsVtable = {
    [](void* pointer) -> void* {
      return new BelongingsPtr(*static_cast<BelongingsPtr*>(pointer));
    },
    [](void* pointer) { delete static_cast<BelongingsPtr*>(pointer); },
    [](void* a, void* b) {
      const Belongings* const left = static_cast<BelongingsPtr*>(a)->get();
      const Belongings* const right = static_cast<BelongingsPtr*>(b)->get();
      if (left == right) return 0;
      return std::less<>()(left, right) ? -1 : 1;
    }};

absl::StatusOr<std::string> ContractConfig(
    const std::vector<std::string>& names) {
  std::vector<const google::protobuf::ServiceDescriptor*> services;
  for (const std::string& name : names) {
    services.push_back(
        google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(
            name));
    if (services.back() == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat(
          "services: no service \"", name, "\" is linked into this program"));
    }
  }
  return ServiceConfigFor(services);
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::Channel>> CreateChannel(
    std::string_view target, const ChannelOptions& options,
    const Logger& logger, const Clock& clock) {
  const absl::StatusOr<std::string> checked = internal::CheckTarget(target);
  if (!checked.ok()) return checked.status();

  auto belongings = std::make_shared<Belongings>();
  absl::StatusOr<std::unique_ptr<internal::ChannelFactory>> factory =
      internal::ChannelFactory::Create(options, *belongings->scheduler, logger);
  if (!factory.ok()) return factory.status();
  belongings->factory = *std::move(factory);

  std::string service_config;
  if (!options.services.empty()) {
    absl::StatusOr<std::string> config = ContractConfig(options.services);
    if (!config.ok()) return config.status();
    service_config = *std::move(config);
  }
  std::shared_ptr<grpc::ChannelCredentials> credentials =
      belongings->factory->credentials();
  if (checked->starts_with("xds:")) {
    credentials = grpc::XdsCredentials(credentials);
  }
  grpc::ChannelArguments arguments =
      belongings->factory->Arguments(service_config);
  // Only then: an argument of its own keeps a channel from sharing connections.
  if (belongings->factory->watches_files()) {
    arguments.SetPointerWithVtable("grpccommon.belongings", &belongings,
                                   &kBelongingsVtable);
  }
  if (options.interceptors.empty()) {
    return grpc::CreateCustomChannel(*checked, credentials, arguments);
  }
  auto environment = std::make_unique<internal::ChannelEnvironment>(
      std::string(target), belongings->factory->secure(), logger, clock);
  for (const std::shared_ptr<ClientInterceptor>& interceptor :
       options.interceptors) {
    environment->methods.Use(interceptor);
  }
  std::vector<
      std::unique_ptr<grpc::experimental::ClientInterceptorFactoryInterface>>
      factories;
  factories.push_back(
      std::make_unique<internal::ChannelCallFactory>(std::move(environment)));
  return grpc::experimental::CreateCustomChannelWithInterceptors(
      *checked, credentials, arguments, std::move(factories));
}

}  // namespace grpccommon
