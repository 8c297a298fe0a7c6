// Deno (fastwebsockets inside) as a server for `make bench-net`; what all of these do: bench/README.md.
// It has no permessage-deflate to switch on.
const port = Number(Deno.args[0]);
const subscribers = new Set();

Deno.serve({ hostname: '127.0.0.1', port, onListen: () => console.log(`listening on ws://127.0.0.1:${port}`) }, (request) => {
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
