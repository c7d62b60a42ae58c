# SPDX-License-Identifier: Apache-2.0
"""What the checks of the repository have in common."""

import pathlib
import sys


def root():
    """The folder that the command line names, or the project's."""
    return pathlib.Path(
        sys.argv[1] if len(sys.argv) > 1
        else pathlib.Path(__file__).parents[2]).resolve()


def report(what, findings):
    """Prints a line for each finding; the exit code: 1 if there is any."""
    found = list(findings)
    print("\n".join(found) if found else f"{what}: nothing to say")
    return 1 if found else 0
