#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that the documents tell the truth about the tree.

  check_docs.py [<root>]

- A code block after `<!-- from PATH -->` stands in PATH, line for line (a
  common indentation aside).
- Links to files of this project lead somewhere.
- Commands of `./dev` that a document names exist.
- The README's module table has a row for each module, and a page and a header
  that exist in each row.

Prints one line per finding and exits with 1 if there is any.
"""

import re
import sys
import textwrap

import checks

QUOTE = re.compile(
    r"<!-- from (?P<path>\S+) -->\s*\n```[^\n]*\n(?P<code>.*?)\n```", re.DOTALL)
QUOTE_MARK = re.compile(r"<!-- from ")
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
DEV = re.compile(r"\./dev ([a-z]+)")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


def documents(root):
    yield from sorted(root.glob("*.md"))
    yield from sorted((root / "docs").rglob("*.md"))
    yield from sorted((root / "services").glob("*.md"))
    yield from sorted((root / "examples").glob("*/README.md"))


def stands_in(code, text):
    """Whether `code` is a run of whole lines of `text`, dedented or not."""
    wanted = [line.rstrip() for line in textwrap.dedent(code).splitlines()]
    lines = [line.rstrip() for line in text.splitlines()]
    for start in range(len(lines) - len(wanted) + 1):
        run = "\n".join(lines[start:start + len(wanted)])
        if textwrap.dedent(run).splitlines() == wanted:
            return True
    return False


def check_quotes(root, text):
    quotes = list(QUOTE.finditer(text))
    if len(quotes) != len(QUOTE_MARK.findall(text)):
        yield "has a `from` mark without a code block after it"
    for quote in quotes:
        source = root / quote["path"]
        if not source.is_file():
            yield f"quotes {quote['path']}, which does not exist"
        elif not stands_in(quote["code"], source.read_text()):
            yield f"quotes {quote['path']} otherwise than it stands"


def check_links(root, path, text):
    for link in LINK.finditer(CODE.sub("", text)):
        target = link["target"].split("#")[0]
        if not target or re.match(r"[a-z]+:", target):
            continue
        if not (path.parent / target).exists():
            yield f"links to {target}, which does not exist"


def dev_commands(root):
    return set(re.findall(r"^cmd_([a-z]+)\(\)",
                          (root / "dev").read_text(), re.MULTILINE))


def check_commands(commands, text):
    for command in sorted(set(DEV.findall(text)) - commands):
        yield f"names `./dev {command}`, which does not exist"


def check_module_table(root):
    text = (root / "README.md").read_text()
    modules = sorted(
        path.parent.name for path in
        (root / "libgrpccommon/src").glob("*/CMakeLists.txt"))
    for module in modules:
        row = re.search(rf"^\| \[?`?{module}`?\b.*$", text, re.MULTILINE)
        if not row:
            yield f"has no row for module '{module}'"
            continue
        header = re.search(r"`(grpccommon/[\w/]+\.h)`", row.group())
        if not header:
            yield f"names no header for module '{module}'"
        elif not (root / "libgrpccommon/include" / header.group(1)).exists():
            yield f"names {header.group(1)}, which does not exist"


def findings(root):
    commands = dev_commands(root)
    for path in documents(root):
        text = path.read_text()
        name = path.relative_to(root)
        for check in (check_quotes(root, text), check_links(root, path, text),
                      check_commands(commands, text)):
            for message in check:
                yield f"{name}: {message}"
    for message in check_module_table(root):
        yield f"README.md: {message}"


if __name__ == "__main__":
    sys.exit(checks.report("docs", findings(checks.root())))
