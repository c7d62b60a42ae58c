#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The checks of the tree find what they are there to find."""

import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))

import check_docs  # noqa: E402
import check_layers  # noqa: E402
import check_thin  # noqa: E402

SPDX = "// SPDX-License-Identifier: Apache-2.0\n"
INCLUDE = "libgrpccommon/include/grpccommon"


class TreeTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


class LayersTest(TreeTest):
    def findings(self):
        return "\n".join(check_layers.findings(self.root))

    def test_a_lower_row_may_be_included(self):
        self.write(f"{INCLUDE}/base/clock.h", SPDX)
        self.write(f"{INCLUDE}/auth/jwt.h",
                   SPDX + '#include "grpccommon/base/clock.h"\n')
        self.assertEqual(self.findings(), "")

    def test_the_own_row_may_not(self):
        self.write(f"{INCLUDE}/auth/jwt.h", SPDX)
        self.write(f"{INCLUDE}/metrics/metrics.h",
                   SPDX + '#include "grpccommon/auth/jwt.h"\n')
        self.assertIn("'metrics' may use only rows below", self.findings())

    def test_a_row_above_may_not(self):
        self.write(f"{INCLUDE}/call/method.h", SPDX)
        self.write("libgrpccommon/src/base/clock.cc",
                   SPDX + '#include "grpccommon/call/method.h"\n')
        self.assertIn("'base' may use only rows below", self.findings())

    def test_nothing_may_use_testing(self):
        self.write(f"{INCLUDE}/testing/fake_clock.h", SPDX)
        self.write("libgrpccommon/src/server/server.cc",
                   SPDX + '#include "grpccommon/testing/fake_clock.h"\n')
        self.assertIn("not 'testing'", self.findings())

    def test_a_public_header_may_not_include_a_private_one(self):
        self.write("libgrpccommon/src/auth/secret.h", SPDX)
        self.write(f"{INCLUDE}/auth/jwt.h",
                   SPDX + '#include "auth/secret.h"\n')
        self.assertIn("is public and includes auth/secret.h", self.findings())

    def test_a_service_may_not_include_a_private_header(self):
        self.write("libgrpccommon/src/auth/secret.h", SPDX)
        self.write("services/task/main.cc",
                   SPDX + '#include "auth/secret.h"\n')
        self.assertIn("which is not public", self.findings())

    def test_an_unknown_module_needs_a_row(self):
        self.write(f"{INCLUDE}/novel/novel.h", SPDX)
        self.assertIn("module 'novel' has no row", self.findings())

    def test_lists_must_name_what_is_there(self):
        self.write(f"{INCLUDE}/base/clock.h", SPDX)
        self.write("libgrpccommon/src/base/CMakeLists.txt",
                   SPDX + "grpccommon_module(base\n  SOURCES gone.cc)\n")
        self.assertIn("HEADERS does not list clock.h", self.findings())
        self.assertIn("SOURCES lists gone.cc", self.findings())

    def test_a_module_links_only_rows_below(self):
        self.write("libgrpccommon/src/auth/CMakeLists.txt",
                   SPDX + "grpccommon_module(auth PRIVATE grpccommon::http)\n")
        self.assertIn("links grpccommon::http", self.findings())

    def test_a_source_without_licence_is_found(self):
        self.write("services/task/main.cc", "int main() {}\n")
        self.assertIn("no SPDX-License-Identifier", self.findings())

    def test_a_folder_of_some_machine_is_found(self):
        self.write("notes.md", "see /" + "home/someone/notes\n")
        self.assertIn("line 1 names a folder", self.findings())


class DocsTest(TreeTest):
    def setUp(self):
        super().setUp()
        self.write("dev", "cmd_test() {\n}\n")
        self.write("README.md", "")
        self.write("main.cc", "int main() {\n  return 0;\n}\n")

    def findings(self):
        return "\n".join(check_docs.findings(self.root))

    def test_an_exact_quote_is_fine(self):
        self.write("docs/a.md",
                   "<!-- from main.cc -->\n```cpp\nreturn 0;\n```\n")
        self.assertEqual(self.findings(), "")

    def test_a_quote_that_differs_is_found(self):
        self.write("docs/a.md",
                   "<!-- from main.cc -->\n```cpp\nreturn 1;\n```\n")
        self.assertIn("otherwise than it stands", self.findings())

    def test_a_quote_of_nothing_is_found(self):
        self.write("docs/a.md",
                   "<!-- from gone.cc -->\n```cpp\nreturn 1;\n```\n")
        self.assertIn("quotes gone.cc", self.findings())

    def test_a_mark_without_a_block_is_found(self):
        self.write("docs/a.md", "<!-- from main.cc -->\ntext\n")
        self.assertIn("without a code block", self.findings())

    def test_a_dead_link_is_found(self):
        self.write("docs/a.md", "[b](b.md), [web](https://example.org)\n")
        self.assertIn("links to b.md", self.findings())

    def test_an_unknown_command_is_found(self):
        self.write("docs/a.md", "`./dev test`, then `./dev fly`\n")
        self.assertEqual(
            self.findings(),
            "docs/a.md: names `./dev fly`, which does not exist")

    def test_a_module_without_a_row_is_found(self):
        self.write("libgrpccommon/src/auth/CMakeLists.txt", "")
        self.assertIn("no row for module 'auth'", self.findings())

    def test_a_row_must_name_a_header_that_exists(self):
        self.write("libgrpccommon/src/auth/CMakeLists.txt", "")
        self.write("README.md", "| auth | tokens | `grpccommon/auth/jwt.h` |\n")
        self.assertIn("names grpccommon/auth/jwt.h", self.findings())
        self.write(f"{INCLUDE}/auth/jwt.h", SPDX)
        self.assertEqual(self.findings(), "")


class ThinTest(TreeTest):
    def setUp(self):
        super().setUp()
        self.write("services/shop/shop_service.h", SPDX)

    def findings(self):
        return "\n".join(check_thin.findings(self.root))

    def test_code_that_leaves_it_to_the_library_is_fine(self):
        self.write("services/shop/main.cc", SPDX + """
            // std::cerr << "authorization" in a comment is fine
            /* grpc::Status(1)
               sleep_for */
            logger.Error("the store failed", {{"error", error}});
            return grpccommon::ToGrpcStatus(status);
            grpc::Status Get(grpc::ServerContext* context);
            return grpc::Status::OK;
            """)
        self.assertEqual(self.findings(), "")

    def test_each_concern_by_hand_is_found(self):
        for concern, line in {
                "logging": 'std::cerr << "failed";',
                "auth": 'context->client_metadata().find("x");',
                "metrics": "#include <prometheus/counter.h>",
                "limits": "grpccommon::TokenBucket bucket;",
                "retries and deadlines": "std::this_thread::sleep_for(1s);",
                "discovery": 'auto c = grpc::CreateChannel("a", b);',
                "error mapping": "return grpc::Status(code, text);",
                "the server's own life": "grpc::ServerBuilder builder;",
        }.items():
            self.write("services/shop/shop_service.cc", SPDX + line + "\n")
            found = self.findings()
            self.assertIn(f"shop_service.cc:2: {concern} by hand", found)

    def test_every_pattern_finds_something(self):
        # One that is misspelt would never.
        for line in (
                '#include "spdlog/spdlog.h"', "spdlog::info(x);",
                "std::cout << x;", "printf(x);", "fputs(x, y);", "syslog(1);",
                "gpr_log(1);", "LOG(ERROR) << x;", 'get("authorization")',
                '"Bearer " + token', "client_metadata()", "auth_context()",
                "AuthMetadataProcessor p;", "AuthMetadataContext c;",
                '#include "prometheus/counter.h"', "prometheus::Counter c;",
                "TokenBucket b;", "ConcurrencyLimiter l;", "RetryInfo i;",
                "ResourceQuota q;", '"grpc-retry-pushback-ms"',
                "sleep_until(x);", "usleep(1);", "c.set_deadline(x);",
                "c->deadline();", "c.set_wait_for_ready(true);",
                "grpc::CreateCustomChannel(x);", "S::NewStub(x);",
                "grpc::ClientContext c;", "grpc::StatusCode::OK",
                "return grpc::Status{c, t};", "grpc::Status::CANCELLED",
                "grpc::Status s{c};", '#include "google/rpc/status.pb.h"',
                "s.error_code();", "grpc::ServerBuilder b;",
                "signal(SIGTERM, [](int) {});", "HealthCheckService s;",
                "} catch (...) {"):
            self.write("services/shop/shop_service.cc", SPDX + line + "\n")
            self.assertIn("by hand", self.findings(), line)

    def test_lines_are_counted_by_kind(self):
        self.write("services/shop/main.cc", SPDX + "int main() {\n\n}\n")
        self.write("services/shop/shop_service.cc", SPDX + "grpc::Status x;\n")
        self.write("services/shop/cart.cc", SPDX + "int a;\nint b;\n")
        self.write("services/shop/migrations/0001_a.sql",
                   "-- " + SPDX + "CREATE TABLE a (b INT);\n")
        self.assertEqual(check_thin.measure(self.root)["shop"],
                         {"wiring": 2, "RPC": 1, "domain": 2, "SQL": 1})

    def test_only_services_are_measured(self):
        self.write("services/tool/main.cc", SPDX + "std::cerr << 1;\n")
        self.assertEqual(list(check_thin.measure(self.root)), ["shop"])
        self.assertEqual(self.findings(), "")


if __name__ == "__main__":
    unittest.main()
