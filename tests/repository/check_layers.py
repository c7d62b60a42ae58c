#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks what a compiler does not: the layers and the habits of the tree.

  check_layers.py [<root>]

- A module includes and links only modules of rows below its own.
- A public header includes nothing of src/, and programs outside the library
  include only public headers.
- HEADERS and SOURCES of a module are exactly the files in its folders.
- Every source file says its licence, and no file names a developer's folder.

Prints one line per finding and exits with 1 if there is any.
"""

import re
import subprocess
import sys

import checks

# From the ground up. `testing` may use everything, and nothing may use it.
ROWS = [
    {"base"},
    {"status", "log"},
    {"call"},
    {
        "accesslog", "auth", "metrics", "tracing", "ratelimit", "concurrency",
        "stream", "retry", "breaker", "balance", "registry", "health",
        "validate", "http",
    },
    {"server", "client", "gateway", "console"},
    {"process"},
    {"testing"},
]
ROW_OF = {module: row for row, names in enumerate(ROWS) for module in names}

LIBRARY = "libgrpccommon"
LICENSED = {".h", ".cc", ".cmake", ".proto", ".py", ".sh", ".in", ".supp"}
LICENSED_NAMES = {"CMakeLists.txt", "dev", "run", ".clang-tidy"}
NOT_LICENSED = {"grpccommon.pc.in"}
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)
MACHINE_PATH = re.compile(r"(?<![\w.$}])/(?:home|root|work|Users)/\w")


def tracked_files(root):
    """Files under version control, or all of them where there is none."""
    try:
        listing = subprocess.run(
            ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others",
             "--exclude-standard"],
            check=True, capture_output=True).stdout.decode()
        names = [name for name in listing.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        names = [str(path.relative_to(root)) for path in root.rglob("*")]
    return [root / name for name in sorted(names) if (root / name).is_file()]


def module_of_include(include, root):
    """The module a quoted include belongs to and whether it is public."""
    if include.endswith(".pb.h"):  # generated, and of a proto, not of a module
        return None, False
    parts = include.split("/")
    if parts[0] == "grpccommon" and len(parts) > 2 and parts[1] in ROW_OF:
        return parts[1], True
    if parts[0] in ROW_OF and (root / LIBRARY / "src" / include).exists():
        return parts[0], False
    return None, False


def check_includes(root, files):
    for path in files:
        if path.suffix not in {".h", ".cc"}:
            continue
        parts = path.relative_to(root).parts
        public = parts[:3] == (LIBRARY, "include", "grpccommon")
        private = parts[:2] == (LIBRARY, "src")
        own = parts[3] if public else parts[2] if private else None
        if own is not None and own not in ROW_OF:
            yield path, f"module '{own}' has no row in check_layers.py"
            continue
        for include in INCLUDE.findall(path.read_text()):
            module, include_is_public = module_of_include(include, root)
            if module is None:
                continue
            if include_is_public and not (
                    root / LIBRARY / "include" / include).exists():
                yield path, f"includes {include}, which does not exist"
            if own is None:
                if not include_is_public and parts[0] != "tests":
                    yield path, f"includes {include}, which is not public"
                continue
            if public and not include_is_public:
                yield path, f"is public and includes {include}, which is not"
            if module != own and ROW_OF[module] >= ROW_OF[own]:
                yield path, (f"includes {include}: '{own}' may use only rows "
                             f"below its own, not '{module}'")


def call_arguments(text, command):
    """The words of `command(...)` in a CMake file, or None."""
    text = re.sub(r"#.*", "", text)
    match = re.search(command + r"\(([^)]*)\)", text)
    return match.group(1).split() if match else None


def check_module_lists(root, files):
    names = {"HEADERS", "SOURCES", "PUBLIC", "PRIVATE", "TESTS"}
    for path in files:
        parts = path.relative_to(root).parts
        if parts[:2] != (LIBRARY, "src") or path.name != "CMakeLists.txt":
            continue
        words = call_arguments(path.read_text(), "grpccommon_module")
        if not words:
            yield path, "declares no grpccommon_module"
            continue
        module, lists, current = words[0], {name: [] for name in names}, None
        for word in words[1:]:
            if word in names:
                current = word
            elif current:
                lists[current].append(word)
        for name, folder, suffix in (
                ("HEADERS", root / LIBRARY / "include/grpccommon" / module,
                 ".h"),
                ("SOURCES", root / LIBRARY / "src" / module, ".cc")):
            there = {file.relative_to(folder).as_posix() for file in files
                     if folder in file.parents and file.suffix == suffix}
            listed = {entry for entry in lists[name] if entry.endswith(suffix)}
            for entry in sorted(there - listed):
                yield path, f"{name} does not list {entry}"
            for entry in sorted(listed - there):
                yield path, f"{name} lists {entry}, which does not exist"
        for library in lists["PUBLIC"] + lists["PRIVATE"]:
            used = re.sub(r"^grpccommon(::|_)", "", library)
            if (used in ROW_OF and used != library and used != module
                    and ROW_OF[used] >= ROW_OF.get(module, 0)):
                yield path, (f"links {library}: '{module}' may use only rows "
                             "below its own")


def check_texts(root, files):
    for path in files:
        licensed = (path.suffix in LICENSED or path.name in LICENSED_NAMES
                    ) and path.name not in NOT_LICENSED
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        if licensed and not any(
                "SPDX-License-Identifier: Apache-2.0" in line
                for line in text.splitlines()[:3]):
            yield path, "has no SPDX-License-Identifier in its first lines"
        for number, line in enumerate(text.splitlines(), 1):
            if MACHINE_PATH.search(line):
                yield path, f"line {number} names a folder of some machine"


def findings(root):
    files = tracked_files(root)
    for check in (check_includes, check_module_lists, check_texts):
        for path, message in check(root, files):
            yield f"{path.relative_to(root)}: {message}"


if __name__ == "__main__":
    sys.exit(checks.report("layers", findings(checks.root())))
