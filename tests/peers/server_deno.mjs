// deno as an echo server for `wsring load`. Arguments, if TLS is wanted: certificate, key. Prints its port.
const [cert, key] = Deno.args;
const tls = cert ? { cert: Deno.readTextFileSync(cert), key: Deno.readTextFileSync(key) } : {};
Deno.serve({ hostname: '127.0.0.1', port: 0, onListen: ({ port }) => console.log(port), ...tls }, (request) => {
  const { socket, response } = Deno.upgradeWebSocket(request);
  socket.binaryType = 'arraybuffer';
  socket.onmessage = (event) => socket.send(event.data);
  return response;
});
