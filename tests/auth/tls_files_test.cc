// SPDX-License-Identifier: Apache-2.0
#include "auth/tls_files.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <map>
#include <string>

#include "auth/reason_matcher.h"
#include "grpccommon/base/file.h"
#include "grpccommon/testing/certificates.h"
#include "grpccommon/testing/fake_clock.h"
#include "grpccommon/testing/recording_log_sink.h"
#include "support/no_file_descriptors.h"

namespace grpccommon::internal {
namespace {

using namespace std::chrono_literals;
using ::testing::_;
using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

// What gRPC may read, by its path.
std::map<std::string, std::string> Published() {
  std::map<std::string, std::string> published;
  for (const auto& entry :
       std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;  // as the iterator's own
    const std::string target =
        std::filesystem::read_symlink(entry.path(), gone).string();
    if (target.find("grpccommon-tls") != std::string::npos) {
      published[entry.path()] = *ReadFile(entry.path(), 1 << 20);
    }
  }
  return published;
}

// Another limit of the process, for a while.
class Limit {
 public:
  Limit(__rlimit_resource resource, rlim_t value) : resource_(resource) {
    getrlimit(resource_, &before_);
    const rlimit tight = {.rlim_cur = value, .rlim_max = before_.rlim_max};
    setrlimit(resource_, &tight);
  }
  ~Limit() { setrlimit(resource_, &before_); }
  Limit(const Limit&) = delete;
  Limit& operator=(const Limit&) = delete;

 private:
  const __rlimit_resource resource_;
  rlimit before_;
};

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

TEST_F(TlsFilesTest, PublishesNoHalfOfAPair) {
  Write(authority_.Issue());
  const auto files = Create();
  ASSERT_THAT(files, IsOk());
  const auto before = Published();
  // Text before the block is no part of the key.
  testing::Certificate fresh = authority_.Issue();
  fresh.private_key_pem = std::string(20000, '\n') + fresh.private_key_pem;
  Write(fresh);
  {
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    const Limit no_more_than_the_certificate(RLIMIT_FSIZE, 10000);
    clock_.Advance(1min);
    std::signal(SIGXFSZ, handler);
  }
  EXPECT_TRUE(Published() == before);
  EXPECT_THAT(Reloads(), IsEmpty());
  EXPECT_THAT(sink_->LinesWhere("level", "error"), SizeIs(1));
  clock_.Advance(1min);
  EXPECT_THAT(Reloads(), SizeIs(1));
  EXPECT_THAT(Published(), Contains(Pair(_, fresh.certificate_pem)));
  EXPECT_THAT(Published(), Contains(Pair(_, fresh.private_key_pem)));
}

TEST_F(TlsFilesTest, PublishesNoHalfOfAPairForLackOfDescriptors) {
  Write(authority_.Issue());
  const auto files = Create();
  ASSERT_THAT(files, IsOk());
  const auto before = Published();
  Write(authority_.Issue());
  const int next_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(close(next_fd), 0);
  {
    const Limit one_more(RLIMIT_NOFILE, static_cast<rlim_t>(next_fd) + 1);
    clock_.Advance(1min);
  }
  EXPECT_TRUE(Published() == before);
  EXPECT_THAT(Reloads(), IsEmpty());
  clock_.Advance(1min);
  EXPECT_THAT(Reloads(), SizeIs(1));
}

TEST_F(TlsFilesTest, SaysSoIfANewPairCannotTakeThePlaceOfTheOld) {
  Write(authority_.Issue());
  // Free below those of the files, and so within the limit that they are not.
  constexpr int kSpare = 8;
  int spare[kSpare];
  for (int& fd : spare) fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  const auto files = Create();
  ASSERT_THAT(files, IsOk());
  const auto before = Published();
  for (const int fd : spare) close(fd);
  Write(authority_.Issue());
  {
    const Limit low(RLIMIT_NOFILE, static_cast<rlim_t>(spare[kSpare - 1]) + 1);
    clock_.Advance(1min);
  }
  EXPECT_TRUE(Published() == before);
  EXPECT_THAT(Reloads(), IsEmpty());
  EXPECT_THAT(sink_->LinesWhere("level", "error"), SizeIs(1));
}

TEST_F(TlsFilesTest, RefusesAKeyOfAnotherCertificate) {
  Write(authority_.Issue());
  folder_.Write("tls.key", authority_.Issue().private_key_pem);
  EXPECT_THAT(Create(),
              FailsWith(absl::StatusCode::kInvalidArgument, "is not the key"));
}

}  // namespace
}  // namespace grpccommon::internal
