// SPDX-License-Identifier: Apache-2.0
// verdict: WRONG_ANSWER
// Writes one mean too few.
const [n, w, ...numbers] =
  require('fs').readFileSync(0, 'utf8').trim().split(/\s+/).map(Number);
for (let i = 0; i + w < n; ++i) {
  console.log(numbers.slice(i, i + w).reduce((a, b) => a + b) / w);
}
