// bun as an echo server for `wsring load`. Arguments, if TLS is wanted: certificate, key. Prints its port.
const [cert, key] = process.argv.slice(2);
const server = Bun.serve({
  hostname: '127.0.0.1',
  port: 0,
  ...(cert ? { tls: { cert: Bun.file(cert), key: Bun.file(key) } } : {}),
  fetch: (request, here) => (here.upgrade(request) ? undefined : new Response('not a handshake', { status: 400 })),
  websocket: { perMessageDeflate: true, message: (ws, message) => { ws.send(message, true); } },
});
console.log(server.port);
