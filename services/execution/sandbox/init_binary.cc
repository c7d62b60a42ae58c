// SPDX-License-Identifier: Apache-2.0
// init, as it was built, within whatever links the sandbox: so it needs no
// place on the disk where it must be found. SANDBOX_INIT is its path.

asm(R"(
    .pushsection .rodata
    .global kSandboxInit
    .global kSandboxInitEnd
    .balign 16
kSandboxInit:
    .incbin ")" SANDBOX_INIT R"("
kSandboxInitEnd:
    .byte 0
    .popsection
)");
