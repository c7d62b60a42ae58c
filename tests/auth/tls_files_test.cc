// SPDX-License-Identifier: Apache-2.0
#include "auth/tls_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "auth/reason_matcher.h"
#include "grpccommon/testing/certificates.h"
#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/testing/recording_log_sink.h"
#include "support/no_file_descriptors.h"

namespace grpccommon::internal {
namespace {

using namespace std::chrono_literals;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class TlsFilesTest : public ::testing::Test {
 protected:
  void Write(const testing::Certificate& certificate) {
    folder_.Write("tls.crt", certificate.certificate_pem);
    folder_.Write("tls.key", certificate.private_key_pem);
  }
  absl::StatusOr<std::unique_ptr<TlsFiles>> Create() {
    return TlsFiles::Create({.certificate = folder_.path() + "/tls.crt",
                             .private_key = folder_.path() + "/tls.key",
                             .reload_interval = 10s},
                            scheduler_, Logger(sink_, "test"));
  }
  auto Reloads() const {
    return sink_->LinesWhere("msg", "TLS files reloaded");
  }

  testing::FakeClock clock_;
  testing::FakeScheduler scheduler_{clock_};
  testing::TemporaryFolder folder_;
  testing::CertificateAuthority authority_;
  std::shared_ptr<testing::RecordingLogSink> sink_ =
      std::make_shared<testing::RecordingLogSink>();
};

TEST_F(TlsFilesTest, ReloadsANewPairOnce) {
  Write(authority_.Issue());
  const auto files = Create();
  ASSERT_THAT(files, IsOk());
  Write(authority_.Issue());
  clock_.Advance(1min);
  EXPECT_THAT(Reloads(), SizeIs(1));
  EXPECT_THAT(sink_->LinesWhere("level", "error"), IsEmpty());
}

TEST_F(TlsFilesTest, WaitsForTheOtherHalfOfANewPair) {
  Write(authority_.Issue());
  const auto files = Create();
  ASSERT_THAT(files, IsOk());
  const testing::Certificate fresh = authority_.Issue();
  folder_.Write("tls.crt", fresh.certificate_pem);
  clock_.Advance(1min);
  EXPECT_THAT(Reloads(), IsEmpty());
  EXPECT_THAT(sink_->LinesWhere("level", "error"), SizeIs(1));
  folder_.Write("tls.key", fresh.private_key_pem);
  clock_.Advance(1min);
  EXPECT_THAT(Reloads(), SizeIs(1));
}

TEST_F(TlsFilesTest, ReadsANewPairAtALaterLookIfItCouldNot) {
  Write(authority_.Issue());
  const auto files = Create();
  ASSERT_THAT(files, IsOk());
  Write(authority_.Issue());
  {
    const NoFileDescriptors none;
    clock_.Advance(1min);
  }
  EXPECT_THAT(Reloads(), IsEmpty());
  EXPECT_THAT(sink_->LinesWhere("level", "error"), SizeIs(1));
  clock_.Advance(1min);
  EXPECT_THAT(Reloads(), SizeIs(1));
}

TEST_F(TlsFilesTest, RefusesAKeyOfAnotherCertificate) {
  Write(authority_.Issue());
  folder_.Write("tls.key", authority_.Issue().private_key_pem);
  EXPECT_THAT(Create(),
              FailsWith(absl::StatusCode::kInvalidArgument, "is not the key"));
}

}  // namespace
}  // namespace grpccommon::internal
