// Bun (uWebSockets inside) as a server for `make bench-net`; what all of these do: bench/README.md.
const port = Number(process.argv[2]);
const option = (name) => process.argv.includes(name) ? process.argv[process.argv.indexOf(name) + 1] : undefined;
const certificate = option('--tls'); // a PEM file with its key

const server = Bun.serve({
  hostname: '127.0.0.1',
  port,
  tls: certificate && { cert: Bun.file(certificate), key: Bun.file(certificate) },
  fetch: (request) =>
    server.upgrade(request, { data: { path: new URL(request.url).pathname } }) ? undefined : new Response('not a handshake', { status: 400 }),
  websocket: {
    perMessageDeflate: process.argv.includes('--deflate'),
    maxPayloadLength: 16 << 20,
    backpressureLimit: 64 << 20,
    idleTimeout: 0,
    open: (ws) => { if (ws.data.path === '/sub') ws.subscribe('all'); },
    message: (ws, message) => {
      if (ws.data.path === '/pub')
        server.publish('all', message);
      else
        ws.send(message, true);
    },
  },
});
console.log(`listening on ${certificate ? 'wss' : 'ws'}://127.0.0.1:${port}`);
