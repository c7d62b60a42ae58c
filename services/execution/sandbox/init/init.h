// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace platform::execution {

/// What the sandbox runs in itself when it starts, to see what holds:
/// "look" tries to get out in every way and prints one line for each,
/// "<name> held|open <detail>"; "processes", "memory", "cpu" and "sleep" use
/// up what their name says. Returns the exit code.
int Attack(int argc, char** argv);

}  // namespace platform::execution
