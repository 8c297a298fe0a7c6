// Deno (fastwebsockets inside) as a server for `make bench-net`; what all of these do: bench/README.md.
// It has no permessage-deflate to switch on.
const port = Number(Deno.args[0]);
const certificate = Deno.args[1] === '--tls' ? Deno.readTextFileSync(Deno.args[2]) : undefined; // a PEM file with its key
const scheme = certificate ? 'wss' : 'ws';
const subscribers = new Set();

const options = { hostname: '127.0.0.1', port, onListen: () => console.log(`listening on ${scheme}://127.0.0.1:${port}`) };

Deno.serve(certificate ? { ...options, cert: certificate, key: certificate } : options, (request) => {
  const { socket, response } = Deno.upgradeWebSocket(request, { idleTimeout: 0 });
  const path = new URL(request.url).pathname;
  socket.binaryType = 'arraybuffer';
  if (path === '/sub') {
    socket.onopen = () => subscribers.add(socket);
    socket.onclose = () => subscribers.delete(socket);
  }
  socket.onmessage = path === '/pub'
    ? (event) => { for (const subscriber of subscribers) subscriber.send(event.data); }
    : (event) => socket.send(event.data);
  return response;
});
