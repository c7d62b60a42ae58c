// SPDX-License-Identifier: Apache-2.0
// Runs the tests of the sandbox as who runs it; or, with --no-cgroups, as on a
// machine that has none; or, with --unprivileged, as an ordinary user that
// nobody else is, so that strays can be told by their owner.

#include <grp.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "gtest/gtest.h"
#include "services/execution/sandbox_fixture.h"
#include "support/number.h"

namespace platform::execution {

SandboxMode& Mode() {
  static SandboxMode mode;
  return mode;
}

}  // namespace platform::execution

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  platform::execution::SandboxMode& mode = platform::execution::Mode();
  mode.first_uid =
      1'900'000'000U + static_cast<unsigned>(getpid()) % 500'000 * 16;
  // A process that a test started has that test's.
  if (const char* const given = std::getenv("SANDBOX_TEST_FIRST_UID")) {
    mode.first_uid =
        grpccommon::test::ParseNumber<std::uint32_t>(given).value();
  }
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--no-cgroups") mode.cgroups = false;
    if (argument == "--unprivileged" && geteuid() == 0) {
      const uid_t user = mode.first_uid;
      if (chdir("/") != 0 || setgroups(0, nullptr) != 0 ||
          setresgid(user, user, user) != 0 ||
          setresuid(user, user, user) != 0) {
        std::perror("cannot become an ordinary user");
        return 1;
      }
      // As a program has it that was started by that user.
      prctl(PR_SET_DUMPABLE, 1);
    }
  }
  return RUN_ALL_TESTS();
}
