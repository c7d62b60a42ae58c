// SPDX-License-Identifier: Apache-2.0
#include "services/user/vault.h"

#include <sys/stat.h>

#include <fstream>
#include <set>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "grpccommon/base/file.h"
#include "grpccommon/testing/status_matchers.h"
#include "gtest/gtest.h"
#include "services/common/temp_folder.h"

namespace platform::user {
namespace {

using grpccommon::testing::IsOkAndHolds;
using grpccommon::testing::MessageIs;
using grpccommon::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

class VaultTest : public ::testing::Test {
 protected:
  std::string Path(const std::string& name = "user.key") const {
    return folder_ / name;
  }
  void ExpectRefused(absl::StatusCode code) const {
    EXPECT_THAT(Vault::Open(Path()).status(),
                AllOf(StatusIs(code), MessageIs(HasSubstr(Path()))));
  }

  common::TempFolder folder_;
};

TEST_F(VaultTest, MakesItsKeyForItsOwnerOnly) {
  ASSERT_TRUE(Vault::Open(Path()).ok());
  struct stat info;
  ASSERT_EQ(stat(Path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
  EXPECT_THAT(*grpccommon::ReadFile(Path()), SizeIs(44));
}

TEST_F(VaultTest, UnsealsWhatItSealedAfterARestart) {
  const std::string secret("a secret\0 of bytes\xff", 19);
  const std::string sealed = Vault::Open(Path())->Seal(secret);
  EXPECT_THAT(sealed, Not(HasSubstr("secret")));
  EXPECT_THAT(Vault::Open(Path())->Unseal(sealed), IsOkAndHolds(secret));
}

TEST_F(VaultTest, SealsTheSameEachTimeAnew) {
  const Vault vault = *Vault::Open(Path());
  EXPECT_NE(vault.Seal("secret"), vault.Seal("secret"));
}

TEST_F(VaultTest, DoesNotUnsealWhatAnotherKeySealed) {
  const std::string sealed = Vault::Open(Path("one.key"))->Seal("secret");
  EXPECT_THAT(Vault::Open(Path("two.key"))->Unseal(sealed),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(VaultTest, DoesNotUnsealWhatWasChanged) {
  const Vault vault = *Vault::Open(Path());
  const std::string sealed = vault.Seal("secret");
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    std::string changed = sealed;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(vault.Unseal(changed).ok()) << i;
  }
  for (std::size_t size = 0; size < sealed.size(); ++size) {
    EXPECT_FALSE(vault.Unseal(sealed.substr(0, size)).ok()) << size;
  }
  EXPECT_FALSE(vault.Unseal("no base64!").ok());
}

TEST_F(VaultTest, PseudonymsAreStableUnderOneKeyOnly) {
  // Not "ada", which hexadecimal digits may spell.
  const std::string name = Vault::Open(Path())->Pseudonym("mary");
  EXPECT_EQ(Vault::Open(Path())->Pseudonym("mary"), name);
  EXPECT_NE(Vault::Open(Path())->Pseudonym("bob"), name);
  EXPECT_NE(Vault::Open(Path("other.key"))->Pseudonym("mary"), name);
  EXPECT_THAT(name, Not(HasSubstr("mary")));
}

TEST_F(VaultTest, InstancesThatStartAtOnceHaveOneKey) {
  std::vector<std::string> names(4);
  std::vector<std::thread> threads;
  for (std::string& name : names) {
    threads.emplace_back(
        [&name, this] { name = Vault::Open(Path())->Pseudonym("ada"); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(std::set<std::string>(names.begin(), names.end()), SizeIs(1));
}

TEST_F(VaultTest, TakesAGivenKey) {
  std::ofstream(Path()) << std::string(43, 'A');  // 32 zero bytes, no line end
  ASSERT_EQ(chmod(Path().c_str(), 0640), 0);
  EXPECT_TRUE(Vault::Open(Path()).ok());
}

TEST_F(VaultTest, RefusesAKeyThatEverybodyMayRead) {
  ASSERT_TRUE(Vault::Open(Path()).ok());
  ASSERT_EQ(chmod(Path().c_str(), 0644), 0);
  ExpectRefused(absl::StatusCode::kPermissionDenied);
}

TEST_F(VaultTest, RefusesWhatIsNoKeyWithoutShowingIt) {
  for (const std::string& text :
       {std::string(), std::string("hunter2"), std::string(42, 'A'),
        std::string(44, 'A'), std::string(1000, 'A'), std::string(43, '=')}) {
    std::ofstream(Path(), std::ios::trunc) << text;
    ASSERT_EQ(chmod(Path().c_str(), 0600), 0);
    ExpectRefused(absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(Vault::Open(Path()).status().message()),
                Not(HasSubstr("hunter2")));
  }
}

TEST_F(VaultTest, NamesAFolderThatIsNotThere) {
  const std::string path = Path("none/user.key");
  EXPECT_THAT(
      Vault::Open(path).status(),
      AllOf(StatusIs(absl::StatusCode::kNotFound), MessageIs(HasSubstr(path))));
}

}  // namespace
}  // namespace platform::user
