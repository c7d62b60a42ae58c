// SPDX-License-Identifier: Apache-2.0
// verdict: MEMORY_LIMIT, RUNTIME_ERROR
// Takes and touches all memory that it gets.
const hoard = [];
for (;;) hoard.push(Buffer.alloc(1 << 24, 1));
