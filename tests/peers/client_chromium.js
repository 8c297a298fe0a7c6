// Headless Chromium as client of `wsring serve`, at PORT: what a browser's ways of leaving look like to a server
// (RFC 6455 section 7.4.1; the mission's page). Prints nothing but its own checks; the server's log has the codes.
// PORT traffic: messages there and back alone, and which extension was agreed on. PORT traffic wss: over TLS, believing any certificate.
'use strict';
const assert = require('assert');
const http = require('http');
const { once } = require('events');
const { chromium } = require('playwright-core');

const url = `${process.argv[4] || 'ws'}://127.0.0.1:${process.argv[2]}/`;
const ok = (text) => console.log(`ok - chromium: ${text}`);

// In the page: opens a WebSocket, echoes a text and a binary message, and leaves the socket open.
async function converse(url_) {
  const ws = new WebSocket(url_);
  ws.binaryType = 'arraybuffer';
  const next = () => new Promise((resolve, reject) => {
    ws.onmessage = (event) => resolve(event.data);
    ws.onclose = (event) => reject(new Error(`closed with ${event.code}`));
  });
  await new Promise((resolve, reject) => { ws.onopen = resolve; ws.onerror = reject; });
  const text = 'žluťoučký kůň '.repeat(5000);
  let reply = next();
  ws.send(text);
  if (await reply !== text) throw new Error('text came back changed');
  reply = next();
  ws.send(new Uint8Array(100000).fill(7));
  const bytes = new Uint8Array(await reply);
  if (bytes.length !== 100000 || bytes.some((b) => b !== 7)) throw new Error('bytes came back changed');
  globalThis.ws = ws;
  return ws.extensions;
}

const closing = (how) => new Promise((resolve) => {
  globalThis.ws.onclose = (event) => resolve({ code: event.code, clean: event.wasClean });
  if (how === undefined) globalThis.ws.close(); else globalThis.ws.close(how, 'done');
});

async function main() {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    args: [...(process.argv[4] === 'wss' ? ['--ignore-certificate-errors'] : []), '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync'],
  });
  // Browsers let only a page from this machine connect to this machine.
  const site = http.createServer((request, response) => response.setHeader('Content-Type', 'text/html').end('<p>here'));
  site.listen(0, '127.0.0.1');
  await once(site, 'listening');
  const here = `http://127.0.0.1:${site.address().port}/`;
  const page = await browser.newPage();
  await page.goto(here);

  const extensions = await page.evaluate(converse, url);
  ok(`echoes text and binary, with ${extensions || 'no extension'}`);
  if (process.argv[3] === 'traffic') {
    await page.evaluate(closing, 1000);
    await browser.close();
    site.close();
    return;
  }
  assert.deepStrictEqual(await page.evaluate(closing, 1000), { code: 1000, clean: true });
  ok('close(1000): the page sees 1000, clean');

  await page.evaluate(converse, url);
  assert.deepStrictEqual(await page.evaluate(closing), { code: 1005, clean: true });
  ok('close(): the page sees 1005, clean');

  await page.evaluate(converse, url);
  await page.goto(`${here}elsewhere`); // navigation away: the page is gone, so only the server can tell
  await browser.close();
  site.close();
}

main().catch((error) => { console.log(`not ok - chromium: ${error.stack}`); process.exit(1); });
