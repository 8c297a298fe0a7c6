// The npm package ws on Node.js as a server for `make bench-net`; what all of these do: bench/README.md.
'use strict';
const { WebSocketServer } = require('ws');

const port = Number(process.argv[2]);
const perMessageDeflate = process.argv[3] === '--deflate' ? { threshold: 0 } : false;
const subscribers = new Set();

const server = new WebSocketServer({ host: '127.0.0.1', port, backlog: 4096, perMessageDeflate, maxPayload: 16 << 20 },
  () => console.log(`listening on ws://127.0.0.1:${port}`));
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
