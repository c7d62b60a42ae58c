#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs clang-tidy, and with it clang's warnings and its thread-safety analysis.

  tidy.py <build folder> [--jobs N] [<path> …]

Of the files that the folder's compile_commands.json lists, those that lie in
this tree; or of them those below the paths. The generated headers that they
include must be there.

Nearly all that clang-tidy does for a file it does in the headers of gRPC and
protobuf. So files are included in one another's company, up to 24 at a time;
what does not compile in company, since two files have a name in common, goes to
the next one. Given paths, each file is looked at alone. Which checks there are
says the nearest .clang-tidy; only what has the same one keeps company.

Prints each finding once and exits with 1 if there is any.
"""

import argparse
import concurrent.futures
import itertools
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
OURS = ("libgrpccommon", "services", "examples", "tests")
COMPILER = "clang++-14"
TIDY = "clang-tidy-14"
WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Wnon-virtual-dtor",
            "-Wno-missing-field-initializers", "-Wthread-safety",
            # In company, an overload of another file may be the one that is
            # called; on its own, each compiler says so anyway.
            "-Wno-unused-function"]
GROUP = 24
# What says nothing of a source file that another one includes.
IN_COMPANY = "-bugprone-suspicious-include,-google-global-names-in-headers"
FINDING = re.compile(r"^(/[^:\n]+):\d+:\d+: (?:fatal )?(?:error|warning): .*$")


class File:
    """A source file, its checks, where its headers are, and its macros."""

    def __init__(self, entry):
        directory = pathlib.Path(entry["directory"])
        self.path = os.path.normpath(directory / entry["file"])
        self.config = next(
            (config for folder in pathlib.Path(self.path).parents
             if (config := folder / ".clang-tidy").exists()), None)
        self.includes, self.macros = [], {}
        arguments = iter(shlex.split(entry["command"]))
        for argument in arguments:
            for flag in ("-I", "-isystem", "-D"):
                if not argument.startswith(flag):
                    continue
                value = argument[len(flag):] or next(arguments)
                if flag == "-D":
                    name, _, text = value.partition("=")
                    self.macros[name] = text if "=" in value else "1"
                else:
                    self.includes.append(
                        (flag, os.path.normpath(directory / value)))
                break


def files_of(build, paths):
    wanted = [os.path.abspath(path) for path in paths] or [
        str(ROOT / folder) for folder in OURS]
    found = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        file = File(entry)
        if file.path not in found and any(
                os.path.commonpath([file.path, path]) == path
                for path in wanted):
            found[file.path] = file
    return list(found.values())


class Lint:
    def __init__(self, build, files):
        self.folder = build / "tidy"
        self.folder.mkdir(exist_ok=True)
        includes = dict.fromkeys(
            include for file in files for include in file.includes)
        self.flags = ["-std=c++20", *WARNINGS, *(
            part for include in includes for part in include)]
        self.lock = threading.Lock()
        self.number = 0
        self.seen = set()

    def write(self, files):
        """The file that includes all of them, with their macros."""
        with self.lock:
            self.number += 1
            path = self.folder / f"{self.number}.cc"
        lines = []
        for file in files:
            for name, text in sorted(file.macros.items()):
                lines += [f"#undef {name}", f"#define {name} {text}"]
            lines.append(f'#include "{file.path}"')
        path.write_text("\n".join(lines) + "\n")
        return path

    def company(self, files):
        """Those that compile together, and the others."""
        others = []
        while len(files) > 1:
            result = subprocess.run(
                [COMPILER, *self.flags, "-w", "-fsyntax-only",
                 "-ferror-limit=0", self.write(files)],
                capture_output=True, text=True, check=False)
            if result.returncode == 0:
                break
            named = {os.path.normpath(match.group(1)) for match in map(
                FINDING.match, result.stderr.splitlines()) if match}
            clash = [file for file in files[1:] if file.path in named]
            clash = clash or files[len(files) // 2:]
            others += clash
            files = [file for file in files if file not in clash]
        return files, others

    def tidy(self, files):
        """Prints what is found in them and their headers."""
        checks, flags = f"--checks={IN_COMPANY}", self.flags
        if len(files) == 1:
            checks, source = "--checks=", files[0].path
            flags = flags + [f"-D{name}={text}"
                             for name, text in files[0].macros.items()]
        else:
            source = self.write(files)
        result = subprocess.run(
            [TIDY, "--quiet", checks, f"--config-file={files[0].config}",
             f"--header-filter=^{ROOT}/({'|'.join(OURS)})/", source, "--",
             *flags],
            capture_output=True, text=True, cwd=ROOT, check=False)
        found, keep = [], False
        for line in result.stdout.splitlines():
            if FINDING.match(line):
                with self.lock:
                    keep = line not in self.seen
                    self.seen.add(line)
            if keep:
                found.append(line)
        if result.returncode != 0 and not result.stdout:
            found.append(result.stderr)
            self.seen.add(result.stderr)
        with self.lock:
            print("\n".join([*found, f"tidy: {len(files)} files"]), flush=True)


def main():
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("build", type=pathlib.Path)
    arguments.add_argument("--jobs", type=int,
                           default=int(os.environ.get("JOBS", os.cpu_count())))
    arguments.add_argument("paths", nargs="*")
    arguments = arguments.parse_intermixed_args()
    files = files_of(arguments.build.resolve(), arguments.paths)
    if not files:
        print("tidy: no such files")
        return 1
    lint = Lint(arguments.build.resolve(), files)
    size = 1 if arguments.paths else GROUP

    def run(group):
        together, others = lint.company(group)
        lint.tidy(together)
        return others

    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        while files:
            files.sort(key=lambda file: file.config)
            groups = []
            for _, same in itertools.groupby(files, lambda file: file.config):
                while group := list(itertools.islice(same, size)):
                    groups.append(group)
            files = [file for others in pool.map(run, groups)
                     for file in others]
    return 1 if lint.seen else 0


if __name__ == "__main__":
    sys.exit(main())
