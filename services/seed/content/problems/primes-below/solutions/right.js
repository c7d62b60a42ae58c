// SPDX-License-Identifier: Apache-2.0
// verdict: ACCEPTED
const n = Number(require('fs').readFileSync(0, 'utf8'));
const composite = new Uint8Array(n);
let primes = 0;
for (let i = 2; i < n; ++i) {
  if (composite[i]) continue;
  ++primes;
  for (let j = i * i; j < n; j += i) composite[j] = 1;
}
console.log(String(primes));
