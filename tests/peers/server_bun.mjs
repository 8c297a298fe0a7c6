// bun as an echo server for `wsring load`. Prints its port.
const server = Bun.serve({
  hostname: '127.0.0.1',
  port: 0,
  fetch: (request, here) => (here.upgrade(request) ? undefined : new Response('not a handshake', { status: 400 })),
  websocket: { perMessageDeflate: true, message: (ws, message) => { ws.send(message, true); } },
});
console.log(server.port);
