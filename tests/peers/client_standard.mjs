// The standard's WebSocket, as bun and deno have it, as client of `wsring serve`: NAME PORT. Where a runtime can do more (bun
// pings), that is tried too.
const [name, port] = typeof Deno === 'undefined' ? process.argv.slice(2) : Deno.args;
const url = `ws://127.0.0.1:${port}/`;
const ok = (text) => console.log(`ok - ${name}: ${text}`);
const assert = (condition, text) => { if (!condition) throw new Error(text); };

function open() {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(url);
    ws.binaryType = 'arraybuffer';
    ws.onopen = () => resolve(ws);
    ws.onclose = ws.onerror = (event) => reject(new Error(`not opened: ${event.message ?? event.code}`));
  });
}

const event = (ws, type) => new Promise((resolve, reject) => {
  ws.addEventListener(type, resolve, { once: true });
  if (type !== 'close') ws.onclose = (e) => reject(new Error(`closed with ${e.code} while waiting for ${type}`));
});

// A message that says where it was cut or changed.
function pattern(size) {
  const bytes = new Uint8Array(size);
  for (let i = 0; i < size; i += 1) bytes[i] = (i * 31) >> 3;
  return bytes;
}

async function echoes() {
  const ws = await open();
  for (const size of [0, 1, 125, 126, 65535, 65536, 1 << 20]) {
    const bytes = pattern(size);
    ws.send(bytes);
    const back = new Uint8Array((await event(ws, 'message')).data);
    assert(back.length === size && back.every((b, i) => b === bytes[i]), `${size} bytes came back changed`);
    const text = 'žluťoučký kůň 🐎 '.repeat(size / 20);
    ws.send(text);
    assert((await event(ws, 'message')).data === text, `a text of ${text.length} came back changed`);
  }
  ok(`echoes text and binary of every length form${ws.extensions ? `, with ${ws.extensions}` : ''}`);
  if (typeof ws.ping === 'function') {
    const pong = event(ws, 'pong');
    ws.ping('hi');
    const { data } = await pong;
    assert(new TextDecoder().decode(data) === 'hi', 'another pong');
    ok('has its ping answered');
  }
  let got = 0;
  const all = new Promise((resolve, reject) => {
    ws.onmessage = (e) => {
      if (e.data !== String(got)) reject(new Error(`${e.data} instead of ${got}`));
      got += 1;
      if (got === 500) resolve();
    };
    ws.onclose = (e) => reject(new Error(`closed with ${e.code} after ${got} of 500 echoes`));
  });
  for (let i = 0; i < 500; i += 1) ws.send(String(i));
  await all; // before close(): bun shows no message behind its own Close, client_ws.js tests that they come
  ok('keeps 500 pipelined messages in order');
  const closed = event(ws, 'close');
  ws.close(1000, 'done');
  const end = await closed;
  assert(end.code === 1000 && end.wasClean, `closed with ${end.code}`);
  ok('closes with 1000, clean');
}

async function codes() {
  for (const code of [3000, 3999, 4000, 4999]) {
    const ws = await open();
    const closed = event(ws, 'close');
    ws.close(code, 'why');
    const end = await closed;
    assert(end.code === code && end.wasClean, `${code} came back as ${end.code}`);
  }
  const ws = await open();
  const closed = event(ws, 'close');
  ws.close();
  const end = await closed;
  assert((end.code === 1005 || end.code === 1000) && end.wasClean, `close() came back as ${end.code}`);
  ok(`closes with 3000, 3999, 4000, 4999; and with nothing said, which it shows as ${end.code}`);
}

try {
  await echoes();
  await codes();
} catch (error) {
  console.log(`not ok - ${name}: ${error.stack}`);
  if (typeof Deno === 'undefined') process.exit(1); else Deno.exit(1);
}
