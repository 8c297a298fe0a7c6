// The npm package ws as client of `wsring serve`, at PORT.
'use strict';
const assert = require('assert');
const { once } = require('events');
const WebSocket = require('ws');

const url = `ws://127.0.0.1:${process.argv[2]}/`;
const ok = (text) => console.log(`ok - ws: ${text}`);
const next = async (ws) => (await once(ws, 'message'))[0];

async function echoes() {
  const ws = new WebSocket(url, { perMessageDeflate: false });
  await once(ws, 'open');
  for (const size of [0, 1, 125, 126, 65535, 65536, 1 << 20]) {
    const bytes = Buffer.alloc(size, 0x5a);
    ws.send(bytes);
    assert.deepStrictEqual(await next(ws), bytes);
  }
  ws.send('žluťoučký kůň');
  assert.strictEqual((await next(ws)).toString(), 'žluťoučký kůň');
  ok('echoes every length form, and text');
  ws.send('in ', { fin: false });
  ws.send('two', { fin: true });
  assert.strictEqual((await next(ws)).toString(), 'in two');
  ok('puts fragments together');
  ws.ping('hi');
  assert.strictEqual((await once(ws, 'pong'))[0].toString(), 'hi');
  ok('answers a ping with its payload');
  ws.close(1000, 'done');
  const [code] = await once(ws, 'close');
  assert.strictEqual(code, 1000);
  ok('closes with 1000');
}

async function lateMessages() {
  const ws = new WebSocket(url, { perMessageDeflate: false });
  await once(ws, 'open');
  let echoed = 0;
  ws.on('message', () => { echoed += 1; });
  for (let i = 0; i < 500; i += 1) ws.send(String(i));
  ws.close(1001);
  await once(ws, 'close');
  assert.strictEqual(echoed, 500); // each was accepted before our Close, and echoed before the server's
  ok('gets all 500 echoes before the Close');
}

echoes().then(lateMessages).catch((error) => { console.log(`not ok - ws: ${error.stack}`); process.exit(1); });
