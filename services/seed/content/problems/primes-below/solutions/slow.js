// SPDX-License-Identifier: Apache-2.0
// verdict: TIME_LIMIT
// Tries every divisor.
const n = Number(require('fs').readFileSync(0, 'utf8'));
let primes = 0;
for (let i = 2; i < n; ++i) {
  let divisors = 0;
  for (let j = 2; j < i; ++j) divisors += i % j === 0;
  primes += divisors === 0;
}
console.log(String(primes));
