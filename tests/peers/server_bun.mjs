// bun as an echo server for `wsring load`. Prints its port.
const server = Bun.serve({
  hostname: '127.0.0.1',
  port: 0,
  fetch: (request, here) => (here.upgrade(request) ? undefined : new Response('not a handshake', { status: 400 })),
  websocket: { message: (ws, message) => { ws.send(message); } },
});
console.log(server.port);
