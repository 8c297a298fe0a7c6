// The npm package ws as client of `wsring serve`, at PORT; with a second argument, "deflate", compressing.
'use strict';
const assert = require('assert');
const { once } = require('events');
const WebSocket = require('ws');

const url = `ws://127.0.0.1:${process.argv[2]}/`;
const deflate = process.argv[3] === 'deflate';
const ok = (text) => console.log(`ok - ws${deflate ? ', deflate' : ''}: ${text}`);
const options = { perMessageDeflate: deflate && { threshold: 0 } };
const next = async (ws) => (await once(ws, 'message'))[0];

async function echoes() {
  const ws = new WebSocket(url, options);
  await once(ws, 'open');
  assert.strictEqual(ws.extensions.startsWith('permessage-deflate'), deflate);
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
  const ws = new WebSocket(url, options);
  await once(ws, 'open');
  let echoed = 0;
  ws.on('message', () => { echoed += 1; });
  for (let i = 0; i < 500; i += 1) ws.send(String(i));
  ws.close(1001);
  await once(ws, 'close');
  assert.strictEqual(echoed, 500); // each was accepted before our Close, and echoed before the server's
  ok('gets all 500 echoes before the Close');
}

async function windows() {
  let n = 0;
  for (const serverMaxWindowBits of [8, 10, 15]) {
    for (const clientMaxWindowBits of [9, 15]) {
      for (const none of [undefined, true]) { // false would mean: refuse a server that does without
        const perMessageDeflate = { threshold: 0, serverMaxWindowBits, clientMaxWindowBits, serverNoContextTakeover: none, clientNoContextTakeover: none };
        const ws = new WebSocket(url, { perMessageDeflate });
        await once(ws, 'open');
        for (let i = 0; i < 20; i += 1) {
          const text = `{"symbol": "BTCUSDT", "price": ${(i * 7919) % 1000}}`.repeat(1 + i);
          ws.send(text);
          assert.strictEqual((await next(ws)).toString(), text);
        }
        ws.close();
        await once(ws, 'close');
        n += 1;
      }
    }
  }
  ok(`echoes with ${n} combinations of windows and takeover`);
}

echoes().then(lateMessages).then(() => deflate && windows()).catch((error) => { console.log(`not ok - ws: ${error.stack}`); process.exit(1); });
