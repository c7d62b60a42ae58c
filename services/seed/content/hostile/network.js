// SPDX-License-Identifier: Apache-2.0
// verdict: RUNTIME_ERROR
// Calls home; answers only if somebody listens.
const net = require('net');
const socket = net.connect({host: '192.0.2.1', port: 80});
setTimeout(() => process.exit(7), 200);
socket.on('error', () => process.exit(7));
socket.on('connect', () => console.log('3'));
