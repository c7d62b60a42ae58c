// SPDX-License-Identifier: Apache-2.0
// verdict: WRONG_ANSWER
// Of equal ones it takes the first in the text.
const counts = new Map();
for (const word of require('fs').readFileSync(0, 'utf8').trim().split(/\s+/)) {
  counts.set(word, (counts.get(word) || 0) + 1);
}
console.log([...counts].sort((a, b) => b[1] - a[1])[0].join(' '));
