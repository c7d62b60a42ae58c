#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""CMake's options: parts can be left out, and what cannot be says so."""

import pathlib
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PARTS = ("TESTS", "TESTING", "PROBE", "SERVICES", "EXAMPLES", "BENCHMARKS",
         "INSTALL")


class OptionsTest(unittest.TestCase):
    def configure(self, **options):
        with tempfile.TemporaryDirectory() as build:
            return subprocess.run(
                ["cmake", "-G", "Ninja", "-S", ROOT, "-B", build,
                 *(f"-DGRPCCOMMON_{name}={value}"
                   for name, value in options.items())],
                capture_output=True, text=True, timeout=120)

    def test_each_part_can_be_left_out(self):
        for part in PARTS:
            # The tests are made with the module `testing`.
            others = {"TESTS": "OFF"} if part == "TESTING" else {}
            with self.subTest(part):
                result = self.configure(**{part: "OFF"}, **others)
                self.assertEqual(result.returncode, 0, result.stderr)

    def test_the_library_can_be_all(self):
        result = self.configure(**dict.fromkeys(PARTS, "OFF"))
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_what_needs_another_part_says_so(self):
        for part, needed in (("TESTS", "TESTING"), ("BENCHMARKS", "TESTS"),
                             ("FUZZERS", "TESTS")):
            with self.subTest(part):
                result = self.configure(**{part: "ON", needed: "OFF"})
                self.assertNotEqual(result.returncode, 0)
                self.assertIn(f"GRPCCOMMON_{part} needs GRPCCOMMON_{needed}",
                              result.stderr)


if __name__ == "__main__":
    unittest.main()
