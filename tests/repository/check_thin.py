#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures how thin the services are, and that they leave to the library what
is the library's.

  check_thin.py [<root>]

Every folder of services/ with a <name>_service.h is a service, and
services/common belongs to all of them. None of their lines may do by hand what
the library does for every service; FORBIDDEN says how that looks in code.
Comments do not count.

Prints a table of lines of code: wiring (main.cc), RPC (what mentions gRPC or
generated messages), domain (all other C++) and SQL; then a line per finding,
and exits with 1 if there is any.
"""

import re
import sys

import checks

# What each concern looks like when somebody does it by hand.
FORBIDDEN = {
    "logging": [
        r"[<\"]spdlog/", r"\bspdlog::", r"\bstd::(cerr|clog|cout)\b",
        r"\bf?printf\s*\(", r"\bf?puts\s*\(", r"\bsyslog\s*\(",
        r"\bgpr_log\s*\(", r"\bLOG\s*\(",
    ],
    "auth": [
        r"\"authorization\"", r"\"[Bb]earer ", r"\bclient_metadata\s*\(",
        r"\bauth_context\s*\(", r"\bAuthMetadataProcessor\b",
        r"\bAuthMetadataContext\b",
    ],
    "metrics": [r"[<\"]prometheus/", r"\bprometheus::"],
    "limits": [
        r"\bTokenBucket\b", r"\bConcurrencyLimiter\b", r"\bRetryInfo\b",
        r"\bResourceQuota\b", r"\"grpc-retry-pushback-ms\"",
    ],
    "retries and deadlines": [
        r"\bsleep_(for|until)\b", r"\b(u|nano)?sleep\s*\(",
        r"\bset_deadline\b", r"->deadline\s*\(", r"\bset_wait_for_ready\b",
    ],
    "discovery": [
        r"\bgrpc::Create\w*Channel\b", r"\bNewStub\s*\(",
        r"\bgrpc::ClientContext\b",
    ],
    "error mapping": [
        r"\bgrpc::StatusCode\b", r"\bgrpc::Status\s*[({]",
        r"\bgrpc::Status::CANCELLED\b",
        r"\bgrpc::Status\s+\w+\s*\{", r"[<\"]google/rpc/",
        r"\berror_code\s*\(",
    ],
    "the server's own life": [
        r"\bgrpc::ServerBuilder\b", r"\bSIGTERM\s*,\s*\[",
        r"\bHealthCheckService\b", r"\bcatch\s*\(\s*\.\.\.\s*\)",
    ],
}
PATTERNS = [(concern, re.compile(pattern))
            for concern, patterns in FORBIDDEN.items() for pattern in patterns]

# Lines that look like it and are not: below a path, of a concern, and why.
ALLOWED = [
    ("services/common/database.cc", "retries and deadlines",
     "waits for SQLite's lock while the database is opened, no call"),
    ("services/execution/sandbox/cgroup.cc", "retries and deadlines",
     "waits for the kernel to end what a cgroup holds"),
    ("services/execution/sandbox/init/", "retries and deadlines",
     "programs that run inside the sandbox"),
    ("services/execution/sandbox/init/", "logging",
     "programs that run inside the sandbox, and answer on standard output"),
]

RPC = re.compile(r"\bgrpc::|\.pb\.h\"|grpccommon/(call|server|stream)/")
BLOCK_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
KINDS = ("wiring", "RPC", "domain", "SQL")


def code_lines(text):
    """Number and text of the lines of C++ that are neither blank nor comment."""
    text = BLOCK_COMMENT.sub(lambda m: "\n" * m.group().count("\n"), text)
    for number, line in enumerate(text.splitlines(), 1):
        line = re.sub(r"//.*", "", line).rstrip()
        if line.strip():
            yield number, line


def kind_of(path, text):
    if path.suffix == ".sql":
        return "SQL"
    if path.name == "main.cc":
        return "wiring"
    return "RPC" if RPC.search(text) else "domain"


def services(root):
    """The folders that count, by name."""
    for folder in sorted((root / "services").glob("*")):
        if (folder.name == "common" or
                (folder / f"{folder.name}_service.h").exists()):
            yield folder


def sources(folder):
    return sorted(path for path in folder.rglob("*")
                  if path.suffix in (".h", ".cc", ".sql"))


def allowed(name, concern):
    return any(name.startswith(path) and concern == of
               for path, of, _ in ALLOWED)


def measure(root):
    """Lines of each kind, by service."""
    table = {}
    for folder in services(root):
        lines = dict.fromkeys(KINDS, 0)
        for path in sources(folder):
            text = path.read_text()
            if path.suffix == ".sql":
                count = sum(1 for line in text.splitlines()
                            if line.strip() and not line.startswith("--"))
            else:
                count = sum(1 for _ in code_lines(text))
            lines[kind_of(path, text)] += count
        table[folder.name] = lines
    return table


def findings(root):
    for folder in services(root):
        for path in sources(folder):
            if path.suffix == ".sql":
                continue
            name = path.relative_to(root).as_posix()
            for number, line in code_lines(path.read_text()):
                for concern, pattern in PATTERNS:
                    if pattern.search(line) and not allowed(name, concern):
                        yield (f"{name}:{number}: {concern} by hand: "
                               f"{line.strip()}")
                        break


def main():
    root = checks.root()
    table = measure(root)
    print("lines of code" + "".join(f"{kind:>9}" for kind in KINDS))
    for name, lines in table.items():
        print(f"  {name:<11}" + "".join(f"{lines[kind]:>9}" for kind in KINDS))
    found = list(findings(root))
    for path, concern, why in ALLOWED:
        print(f"allowed: {concern} in {path}: {why}")
    for finding in found:
        print(finding)
    print(f"thin: {len(found)} lines do by hand what the library does")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
