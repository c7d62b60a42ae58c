#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The checks of the tree find what they are there to find."""

import json
import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))

import check_docs  # noqa: E402
import check_layers  # noqa: E402
import check_port  # noqa: E402
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


class PortTest(TreeTest):
    """The tree's own manifests, each with one thing made wrong."""

    def setUp(self):
        super().setUp()
        tree = pathlib.Path(__file__).resolve().parents[2]
        for name in (*check_port.MANIFESTS, check_port.PORTFILE,
                     "CMakeLists.txt", "cmake/GrpccommonDependencies.cmake"):
            self.write(name, (tree / name).read_text())

    def findings(self):
        return "\n".join(check_port.findings(self.root))

    def change(self, name, change):
        manifest = json.loads((self.root / name).read_text())
        change(manifest)
        self.write(name, json.dumps(manifest))

    def replace(self, name, old, new):
        text = (self.root / name).read_text()
        self.assertIn(old, text)
        self.write(name, text.replace(old, new))

    def test_they_are_right(self):
        self.assertEqual(self.findings(), "")

    def test_a_version_that_was_forgotten_is_found(self):
        self.replace("CMakeLists.txt", "VERSION 0.1.0", "VERSION 0.2.0")
        for name in check_port.MANIFESTS:
            self.assertIn(f"{name}: version-semver is 0.1.0", self.findings())

    def test_a_package_without_its_port_is_found(self):
        for name in check_port.MANIFESTS:
            self.change(name, lambda m: m["dependencies"].remove("c-ares"))
            self.assertIn(f"{name}: the build finds c-ares", self.findings())
        self.change("vcpkg.json", lambda m: m["features"].pop("tests"))
        self.assertIn("feature 'tests' lacks 'benchmark'", self.findings())

    def test_a_package_that_nobody_knows_is_found(self):
        self.replace("cmake/GrpccommonDependencies.cmake", "Boost re2",
                     "Boost Qt6 re2")
        self.assertIn("no port is known for the package Qt6", self.findings())

    def test_a_generator_that_is_not_asked_for_is_found(self):
        port = check_port.MANIFESTS[1]
        self.replace(port, ', "features": ["codegen"]', "")
        self.assertIn(f"{port}: lacks gRPC's plugin", self.findings())
        self.assertIn("depends on other ports", self.findings())
        self.replace(port, '{"name": "protobuf", "host": true},', "")
        self.assertIn(f"{port}: lacks protoc", self.findings())

    def test_what_the_reference_does_not_have_is_found(self):
        def change(manifest):
            manifest["licence"] = "Apache-2.0"
            manifest["dependencies"] += [{"name": "zlib", "version": "1"}, "A_b"]
            manifest["features"]["testing"]["default"] = True
        self.change("vcpkg.json", change)
        for text in ("unknown field 'licence'", "'A_b' is no name of a port",
                     "'zlib' has an unknown field 'version'",
                     "feature 'testing' has an unknown field 'default'"):
            self.assertIn(text, self.findings())

    def test_an_option_that_is_gone_is_found(self):
        self.replace("CMakeLists.txt", "option(GRPCCOMMON_TESTING",
                     "option(GRPCCOMMON_FAKES")
        self.replace(check_port.PORTFILE, "GRPCCOMMON_PROBE", "GRPCCOMMON_PROBES")
        for option in ("GRPCCOMMON_TESTING", "GRPCCOMMON_PROBES"):
            self.assertIn(f"the project has no option {option}",
                          self.findings())

    def test_a_feature_that_does_nothing_is_found(self):
        self.replace(check_port.PORTFILE, "testing GRPCCOMMON_TESTING", "")
        self.assertIn("feature 'testing' sets no option", self.findings())


if __name__ == "__main__":
    unittest.main()
