// The npm package ws on Node.js as a server for `make bench-net`; what all of these do: bench/README.md.
'use strict';
const { readFileSync } = require('node:fs');
const { WebSocketServer } = require('ws');

const port = Number(process.argv[2]);
const perMessageDeflate = process.argv[3] === '--deflate' ? { threshold: 0 } : false;
const certificate = process.argv[3] === '--tls' ? readFileSync(process.argv[4]) : undefined; // a PEM file with its key
const { createServer } = require(certificate ? 'node:https' : 'node:http');
const subscribers = new Set();

const listener = createServer(certificate ? { cert: certificate, key: certificate } : {});
const server = new WebSocketServer({ server: listener, perMessageDeflate, maxPayload: 16 << 20 });
listener.listen(port, '127.0.0.1', 4096, () => console.log(`listening on ${certificate ? 'wss' : 'ws'}://127.0.0.1:${port}`));
server.on('connection', (ws, request) => {
  ws.on('error', () => {});
  if (request.url === '/sub') {
    subscribers.add(ws);
    ws.on('close', () => subscribers.delete(ws));
  }
  if (request.url === '/pub')
    ws.on('message', (data, binary) => { for (const subscriber of subscribers) subscriber.send(data, { binary }); });
  else
    ws.on('message', (data, binary) => ws.send(data, { binary }));
});
