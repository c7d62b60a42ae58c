// SPDX-License-Identifier: Apache-2.0
// verdict: ACCEPTED
const [a, b] = require('fs').readFileSync(0, 'utf8').trim().split(/\s+/);
console.log(String(BigInt(a) + BigInt(b)));
