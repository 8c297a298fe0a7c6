// The npm package ws as an echo server for `wsring load`. Arguments, if TLS is wanted: certificate, key. Prints its port.
'use strict';
const { readFileSync } = require('fs');
const { WebSocketServer } = require('ws');

const [cert, key] = process.argv.slice(2);
const server = cert ? require('https').createServer({ cert: readFileSync(cert), key: readFileSync(key) }) : require('http').createServer();
new WebSocketServer({ server, perMessageDeflate: { threshold: 0 } }).on('connection', (ws) => {
  ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }));
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
