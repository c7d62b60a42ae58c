#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""./dev tells what is wrong with its arguments before it builds anything."""

import pathlib
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


if __name__ == "__main__":
    unittest.main()
