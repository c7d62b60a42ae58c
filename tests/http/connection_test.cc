// SPDX-License-Identifier: Apache-2.0
#include "http/connection.h"

#include <gtest/gtest.h>

namespace grpccommon::internal {
namespace {

// A server that shuts down may reach a connection just accepted before the
// acceptor has started it.
TEST(ConnectionTest, LeavesNothingToWaitForIfItIsDrainedBeforeItsStart) {
  for (const auto begin : {&Connection::Start, &Connection::Refuse}) {
    const auto core = std::make_shared<HttpCore>(HttpServerOptions(), Router());
    const auto connection = std::make_shared<Connection>(
        core, Socket(Strand(core->io.get_executor())), "192.0.2.1:4711");
    ASSERT_EQ(core->Add(connection), HttpCore::Admission::kServe);
    connection->Run([connection] { connection->Drain(); });
    connection->Run([connection, begin] { (connection.get()->*begin)(); });
    core->io.poll();
    EXPECT_TRUE(core->io.stopped()) << "a deadline is set";
    EXPECT_TRUE(core->Sessions().empty());
  }
}

}  // namespace
}  // namespace grpccommon::internal
