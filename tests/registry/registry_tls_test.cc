// SPDX-License-Identifier: Apache-2.0
// Registries behind TLS: the service, and a real etcd.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "grpccommon/base/mutex.h"
#include "grpccommon/registry/etcd_registry.h"
#include "grpccommon/registry/remote_registry.h"
#include "grpccommon/testing/certificates.h"
#include "grpccommon/testing/status_matchers.h"
#include "registry/fake_registry_service.h"
#include "support/etcd_process.h"

namespace grpccommon {
namespace {

using namespace std::chrono_literals;
using ::grpccommon::testing::Certificate;
using ::grpccommon::testing::CertificateAuthority;
using ::grpccommon::testing::IsOk;
using ::grpccommon::testing::MessageIs;
using ::grpccommon::testing::StatusIs;
using test::EtcdProcess;
using test::EtcdTls;
using test::FakeRegistryService;
using ::testing::HasSubstr;

enum class Kind { kService, kEtcd };

class RegistryTlsTest : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    if (GetParam() == Kind::kEtcd && !EtcdProcess::Available()) {
      GTEST_SKIP() << "etcd is not installed";
    }
  }

  // With client certificates, or without.
  void Start(bool mutual) {
    const Certificate server = authority_.Issue();
    if (GetParam() == Kind::kEtcd) {
      EtcdTls tls{.server = server, .ca_pem = authority_.certificate_pem()};
      if (mutual) tls.client = client_;
      etcd_.emplace(std::move(tls));
      address_ = etcd_->address();
      return;
    }
    grpc::SslServerCredentialsOptions options(
        mutual ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
               : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
    options.pem_root_certs = authority_.certificate_pem();
    options.pem_key_cert_pairs = {
        {server.private_key_pem, server.certificate_pem}};
    service_.emplace(grpc::SslServerCredentials(options));
    address_ = service_->address();
  }

  static std::shared_ptr<grpc::ChannelCredentials> Trusting(
      const CertificateAuthority& authority,
      const std::optional<Certificate>& own = std::nullopt) {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = authority.certificate_pem();
    if (own.has_value()) {
      options.pem_cert_chain = own->certificate_pem;
      options.pem_private_key = own->private_key_pem;
    }
    return grpc::SslCredentials(options);
  }

  void Connect(std::shared_ptr<grpc::ChannelCredentials> credentials) {
    const RegistryConnectionOptions connection = {
        .addresses = {address_}, .credentials = std::move(credentials)};
    if (GetParam() == Kind::kEtcd) {
      registry_ =
          *EtcdRegistry::Create({.connection = connection}, *scheduler_);
    } else {
      registry_ =
          *RemoteRegistry::Create({.connection = connection}, *scheduler_);
    }
  }
  absl::Status Register() {
    return (*registry_->Register("s", {.address = "a:1"}))->WaitRegistered(20s);
  }
  // What a watcher is told first.
  absl::Status Watch() {
    Mutex mutex;
    CondVar told;
    std::optional<absl::Status> status;
    const auto watch = *registry_->Watch("s", [&](const InstanceSet& set) {
      const MutexLock lock(mutex);
      if (!status.has_value()) status = set.status;
      told.NotifyAll();
    });
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    const MutexLock lock(mutex);
    while (!status.has_value()) {
      if (!told.WaitUntil(mutex, deadline)) break;
    }
    return status.value_or(absl::DeadlineExceededError("told nothing"));
  }
  // Both, with a reason that gRPC gives.
  void ExpectRefused(const std::string& reason = "") {
    for (const absl::Status& status : {Register(), Watch()}) {
      EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable));
      EXPECT_THAT(status, MessageIs(HasSubstr(reason)));
    }
    if (service_.has_value()) {
      EXPECT_TRUE(service_->registers().empty());
      EXPECT_TRUE(service_->watches().empty());
    }
  }

  const std::unique_ptr<Scheduler> scheduler_ = CreateScheduler();
  const CertificateAuthority authority_;
  const CertificateAuthority other_authority_;
  const Certificate client_ = authority_.Issue({.common_name = "client"});
  std::optional<FakeRegistryService> service_;
  std::optional<EtcdProcess> etcd_;
  std::string address_;
  std::unique_ptr<Registry> registry_;
};

TEST_P(RegistryTlsTest, RegistersAndWatchesByTls) {
  Start(/*mutual=*/false);
  Connect(Trusting(authority_));
  EXPECT_THAT(Register(), IsOk());
  if (service_.has_value()) {
    registry::v1::WatchResponse nobody;
    nobody.set_snapshot(true);
    nobody.set_complete(true);
    service_->Say(nobody);
  }
  EXPECT_THAT(Watch(), IsOk());
}

TEST_P(RegistryTlsTest, ShowsItsCertificateWhereThatIsAskedFor) {
  Start(/*mutual=*/true);
  Connect(Trusting(authority_, client_));
  EXPECT_THAT(Register(), IsOk());
}

TEST_P(RegistryTlsTest, LeavesARegistryThatAnotherAuthorityVouchesFor) {
  Start(/*mutual=*/false);
  Connect(Trusting(other_authority_));
  ExpectRefused("handshake failed");
}

TEST_P(RegistryTlsTest, IsRefusedWithoutACertificateWhereOneIsAskedFor) {
  Start(/*mutual=*/true);
  Connect(Trusting(authority_));
  ExpectRefused();
}

TEST_P(RegistryTlsTest, IsRefusedWithACertificateOfAnotherAuthority) {
  Start(/*mutual=*/true);
  Connect(Trusting(authority_, other_authority_.Issue()));
  ExpectRefused();
}

TEST_P(RegistryTlsTest, IsRefusedWithoutTls) {
  Start(/*mutual=*/false);
  Connect(nullptr);
  ExpectRefused();
}

INSTANTIATE_TEST_SUITE_P(Kinds, RegistryTlsTest,
                         ::testing::Values(Kind::kService, Kind::kEtcd),
                         [](const auto& kind) {
                           return kind.param == Kind::kEtcd ? "etcd"
                                                            : "service";
                         });

}  // namespace
}  // namespace grpccommon
