#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""./dev tells what is wrong with its arguments before it builds anything, and
`check --all --resume` leaves out nothing that was not good."""

import pathlib
import re
import socket
import subprocess
import tempfile
import unittest

DEV = pathlib.Path(__file__).resolve().parents[2] / "dev"


class DevTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.run_folder = folder.name

    def dev(self, *arguments, **environment):
        return subprocess.run(
            [DEV, *arguments], capture_output=True, text=True, timeout=60,
            cwd=self.run_folder,
            env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
                 "GRPCCOMMON_RUN_DIR": self.run_folder, **environment})

    def refused(self, text, *arguments, **environment):
        result = self.dev(*arguments, **environment)
        self.assertEqual(result.returncode, 1, arguments)
        self.assertIn(text, result.stderr, arguments)

    def test_help_is_there_however_it_is_asked_for(self):
        for arguments in ([], ["help"], ["--help"], ["-h"]):
            result = self.dev(*arguments)
            self.assertEqual(result.returncode, 0, arguments)
            self.assertIn("usage: ./dev <command>", result.stdout)
        one = self.dev("help", "down")
        self.assertTrue(one.stdout.startswith("down "), one.stdout)
        self.assertEqual(one.stdout, self.dev("down", "--help").stdout)

    def test_an_unknown_command_is_named(self):
        self.refused("no command 'nonsense'; there are: setup", "nonsense")
        self.refused("no command 'nonsense'; there are: setup",
                     "help", "nonsense")

    def test_an_argument_that_no_command_has_is_named(self):
        self.refused("setup: does not know 'x'", "setup", "x")
        self.refused("bench: does not know '--jsn'", "bench", "--jsn")
        self.refused("install: does not know 'x'", "install", "x")
        self.refused("install: --prefix needs a folder", "install", "--prefix")
        self.refused("install: --prefix needs a folder",
                     "install", "--prefix", "--static")
        self.refused("install: --prefix needs a folder",
                     "install", "--prefix=")
        self.refused("demo: does not know 'x'", "demo", "x")
        self.refused("demo task: does not know 'x'", "demo", "task", "x")
        self.refused("check: does not know 'x'", "check", "x")
        self.refused("check --quick: does not know 'x'",
                     "check", "--quick", "x")
        self.refused("check --quick: does not know '--resume'",
                     "check", "--quick", "--resume")
        self.refused("check --all --resume: does not know 'x'",
                     "check", "--all", "--resume", "x")

    def test_an_unknown_process_is_named(self):
        for command in ("up", "down", "restart"):
            self.refused("no process 'x'; there are: registry", command, "x")
        self.refused("no process '--sed'", "up", "--sed")
        self.refused("restart: which process?", "restart")

    def test_nothing_to_stop_is_no_error(self):
        result = self.dev("down")
        self.assertEqual(result.returncode, 0)
        self.assertIn("nothing to stop", result.stdout)

    def test_a_process_that_does_not_run_is_stopped_already(self):
        result = self.dev("down", "task")
        self.assertEqual(result.returncode, 0)
        self.assertIn("task: does not run", result.stdout)

    def test_a_process_that_was_gone_at_once_does_not_run(self):
        with subprocess.Popen(["true"]) as gone:
            gone.wait()
        pathlib.Path(self.run_folder, "task.pid").write_text(f"{gone.pid} \n")
        result = self.dev("down", "task")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("task: does not run", result.stdout)

    def test_down_stops_only_what_is_named(self):
        pids = {}
        for name in ("task", "user"):
            process = subprocess.Popen(["sleep", "60"])
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
            stat = pathlib.Path(f"/proc/{process.pid}/stat").read_text()
            began = stat.rpartition(") ")[2].split()[19]
            pathlib.Path(self.run_folder, f"{name}.pid").write_text(
                f"{process.pid} {began}\n")
            pids[name] = process
        # Somebody has to take note of its end, or it is still there.
        down = subprocess.Popen(
            [DEV, "down", "task"], cwd=self.run_folder,
            env={"PATH": "/usr/bin:/bin",
                 "GRPCCOMMON_RUN_DIR": self.run_folder})
        pids["task"].wait(timeout=30)
        self.assertEqual(down.wait(timeout=60), 0)
        self.assertIsNone(pids["user"].poll())

    def test_a_port_of_somebody_else_is_not_taken_for_ours(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            self.refused(f"task-2: port {port} is in use; TASK_2_GRPC_PORT",
                         "up", "task-2", TASK_2_HTTP_PORT=port)

    def test_a_token_is_for_somebody(self):
        self.refused("token: --subject is missing", "token")
        self.refused("token: --subject is missing",
                     "token", "--role", "admin")


# In place of the programs that take long: notes how it was called, and fails if
# it was told so.
STUB = """#!/bin/sh
call="$(basename "$0") $*"
echo "$call" >>"$CALLS"
case $call in *"$FAIL"*) exit 1 ;; esac
"""


class ResumeTest(unittest.TestCase):
    """./dev check --all --resume, in a small repository of its own."""

    LONG = ("dev", "absence", "load", "postgresql", "fuzz", "asan", "coverage",
            "tsan", "shared", "lint")

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name) / "repository"
        self.programs = pathlib.Path(folder.name) / "programs"
        self.calls = pathlib.Path(folder.name) / "calls"
        script = DEV.read_text()
        self.write("dev", script)
        self.write(".ci/run", "")
        self.write(".gitignore", "/build/\n/.cache/\n")
        self.write("a.h", "")
        self.write("tests/contract/buf.sh", "#!/bin/sh\n")
        for name in ("layers", "docs", "thin", "port"):
            self.write(f"tests/repository/check_{name}.py", "")
        version = re.search(r"buf_version=(\S+)", script).group(1)
        self.write(".cache/buf/node_modules/.bin/buf",
                   f"#!/bin/sh\necho {version}\n")
        self.programs.mkdir()
        for name in ("cmake", "ctest", "gcovr", "clang-format-14"):
            self.write(self.programs / name, STUB)
        self.write(self.programs / "dpkg-query", "#!/bin/sh\nprintf installed\n")
        self.git("init", "--quiet")
        self.git("add", "--all")

    def write(self, path, text):
        path = self.root / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def git(self, *arguments, **where):
        subprocess.run(["git", *arguments], check=True, timeout=60,
                       **({"cwd": self.root} | where))

    def check(self, *arguments, fail="nothing at all"):
        """Returns the result, and which long steps were run."""
        self.calls.write_text("")
        result = subprocess.run(
            [self.root / "dev", "check", "--all", *arguments],
            capture_output=True, text=True, timeout=60, cwd=self.root,
            env={"PATH": f"{self.programs}:/usr/bin:/bin", "FAIL": fail,
                 "CALLS": str(self.calls)})
        skipped = re.findall(r"(\w+): was good for these files", result.stdout)
        return result, [step for step in self.LONG if step not in skipped]

    def good(self, *arguments):
        result, steps = self.check(*arguments)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return steps

    def test_what_was_good_for_the_same_files_is_not_run_again(self):
        self.assertEqual(self.good(), list(self.LONG))
        self.assertIn("ctest --preset tsan", self.calls.read_text())
        self.assertEqual(self.good("--resume"), [])
        self.assertNotIn("--preset", self.calls.read_text())
        self.assertEqual(self.good(), list(self.LONG), "not asked to resume")

    def test_it_goes_on_with_what_failed(self):
        result, _ = self.check(fail="ctest --preset tsan")
        self.assertEqual(result.returncode, 1)
        self.assertIn("check failed: tsan\n", result.stderr)
        self.assertEqual(self.good("--resume"), ["tsan"])
        self.assertEqual(self.good("--resume"), [])

    def test_what_fails_is_no_longer_good(self):
        self.good()
        result, _ = self.check(fail="ctest --preset tsan")
        self.assertEqual(result.returncode, 1)
        self.assertEqual(self.good("--resume"), ["tsan"])

    def test_other_files_are_checked_from_the_start(self):
        self.good()
        self.write("a.h", "// Changed.\n")
        self.assertEqual(self.good("--resume"), list(self.LONG))
        self.write("b.h", "// Not known to git.\n")
        self.assertEqual(self.good("--resume"), list(self.LONG))

    def test_files_that_git_cannot_read_are_no_state_to_resume(self):
        self.good()
        # A repository without a commit, which `git add` refuses.
        (self.root / "nested").mkdir()
        self.git("init", "--quiet", cwd=self.root / "nested")
        result, _ = self.check("--resume")
        self.assertNotEqual(result.returncode, 0)
        self.assertNotIn("was good", result.stdout)

    def test_what_runs_the_dev_presets_tests_builds_it(self):
        self.good()
        (self.root / "build/check/load").unlink()
        self.assertEqual(self.good("--resume"), ["load"])
        self.assertIn("cmake --build --preset dev", self.calls.read_text())


if __name__ == "__main__":
    unittest.main()
