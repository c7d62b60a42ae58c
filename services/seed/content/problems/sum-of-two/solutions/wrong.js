// SPDX-License-Identifier: Apache-2.0
// verdict: WRONG_ANSWER
// Numbers of JavaScript lose digits beyond 2^53.
const text = require('fs').readFileSync(0, 'utf8');
console.log(text.trim().split(/\s+/).map(Number).reduce((a, b) => a + b));
