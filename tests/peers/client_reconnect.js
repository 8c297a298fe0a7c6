// The module of `wsring reconnect-js`, against `wsring serve` and `ws`: its policy with randomness at both ends, and in headless
// Chromium. Arguments: the command, the module. The servers that have to close with a certain code are `ws`.
'use strict';
const assert = require('assert');
const fs = require('fs');
const http = require('http');
const { spawn } = require('child_process');
const { once } = require('events');
const { pathToFileURL } = require('url');
const { chromium } = require('playwright-core');
const { WebSocketServer } = require('ws');

const [, , command, file] = process.argv;
const ok = (text) => console.log(`ok - reconnect.js: ${text}`);
const children = [];

// --- The policy ----------------------------------------------------------------------------------------------------------

function checkPolicy({ Policy, causeOf, table }) {
  const ends = (cause, options = {}, before = []) => [() => 0, () => 1].map((random) => {
    const policy = new Policy({ random, ...options });
    for (const earlier of before) policy.lost(0, earlier);
    return policy.lost(0, cause).delay;
  });
  const two = { endpoints: 2 };
  for (const [cause, low, high, options, before] of [
    ['1001', 0, 5000], ['1001', 0, 5000, two], ['1006', 0, 5000], ['1012', 5000, 30000], ['1012', 0, 2000, two],
    ['1013', 10000, 20000], ['1013', 0, 2000, two], ['1011', 1000, 1250], ['1014', 1000, 1250], ['3008', 1000, 1250],
    ['3000', 0, 0], ['eof_before_answer', 0, 250], ['eof_before_answer', 0, 4000, {}, Array(4).fill('eof_before_answer')],
    ['eof_before_answer', 0, 30000, {}, Array(20).fill('eof_before_answer')], ['1001', 250, 30000, {}, Array(5).fill('1001')],
    ['1013', 10000, 60000, {}, Array(5).fill('1013')], ['1000', 0, 5000, { profile: 'persistent' }],
  ]) assert.deepStrictEqual(ends(cause, options, before), [low, high], `${cause} ${JSON.stringify(options)}`);

  const verdict = (cause, options) => new Policy(options).lost(0, cause).verdict;
  for (const cause of ['local_close', 'we_failed', '1000', '1002', '1003', '1005', '1007', '1009', '1010', '3003'])
    assert.strictEqual(verdict(cause), 'stop', cause);
  for (const cause of ['1008', '3xxx', '4xxx']) assert.strictEqual(verdict(cause), 'ask', cause);
  assert.strictEqual(verdict('3000'), 'renew');
  assert.strictEqual(verdict('local_close', { profile: 'persistent' }), 'stop');
  assert.deepStrictEqual(Object.keys(table.persistent), ['1000', '1005']);

  const policy = new Policy({ random: () => 1 });
  for (let i = 1; i <= 5; i++) assert.strictEqual(policy.lost(i, '1011').attempt, i);
  assert.deepStrictEqual([policy.lost(6, '1011').verdict, policy.lost(6, '1011').exhausted], ['stop', true]);
  policy.opened(1000);
  assert.strictEqual(policy.lost(60999, '1006').attempt, 6); // open for a millisecond less than a minute: not forgiven
  policy.opened(100000);
  assert.strictEqual(policy.lost(160000, '1011').attempt, 1);
  assert.strictEqual(new Policy({ attemptsMax: 0 }).lost(0, '1001').verdict, 'stop');
  assert.strictEqual(new Policy({ random: () => 1, elapsedMax: 4999 }).lost(0, '1001').verdict, 'stop');

  const fast = new Policy({ random: () => 1, profile: 'fast' });
  fast.opened(0);
  assert.strictEqual(fast.lost(60000, '1006').delay, 100);
  fast.opened(60100);
  assert.strictEqual(fast.lost(60200, '1006').delay, 750);

  const three = new Policy({ random: () => 0, endpoints: 3 });
  assert.deepStrictEqual([1, 2, 3].map(() => three.lost(0, '1001').endpoint), [1, 2, 0]);
  const pair = new Policy({ random: () => 0, endpoints: 2 });
  assert.deepStrictEqual([pair.lost(0, '1013'), pair.lost(1000, '1013')].map((d) => [d.endpoint, d.delay]), [[1, 0], [0, 9000]]);

  assert.deepStrictEqual([1000, 1004, 1006, 1015, 2999, 3000, 3001, 3999, 4000, 4999].map((code) => causeOf(code, true)),
    ['1000', 'we_failed', '1006', 'we_failed', 'we_failed', '3000', '3xxx', '3xxx', '4xxx', '4xxx']);
  assert.strictEqual(causeOf(1006, false), 'eof_before_answer');
  ok('delays, verdicts, limits and endpoints are the table\'s');
}

// --- In a page -----------------------------------------------------------------------------------------------------------

// Opens a socket under a name, and keeps what happens to it in order. `random` is a number, so that waits are short and known.
async function openSocket([name, urls, options, random, helpers]) {
  const { ReconnectingWebSocket } = await import('/reconnect.js');
  const happened = [];
  const socket = new ReconnectingWebSocket(urls, {
    ...options, random: () => random,
    ...(helpers.allow ? { ask: async () => true } : {}),
    ...(helpers.renewed ? { renew: async () => helpers.renewed } : {}),
  });
  for (const type of ['open', 'close', 'reconnecting', 'end'])
    socket.addEventListener(type, ({ code, detail }) => happened.push({ type, code, ...detail }));
  globalThis[name] = { socket, happened };
}
// How often it has been open, and whether it ended.
const isOpenFor = ([name, times]) => globalThis[name].happened.filter(({ type }) => type === 'open').length >= times;
const hasEnded = (name) => globalThis[name].happened.some(({ type }) => type === 'end');
const story = (name) => globalThis[name].happened;
const echo = ([name, text]) => new Promise((resolve, reject) => {
  const { socket } = globalThis[name];
  socket.addEventListener('message', ({ data }) => resolve(data), { once: true });
  socket.addEventListener('close', () => reject(new Error('closed instead')), { once: true });
  socket.send(text);
});

async function serve(port) {
  const child = spawn(command, ['serve', '--port', String(port), '--quiet'], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  let said = '';
  for await (const chunk of child.stdout) {
    said += chunk;
    if (said.includes('\n')) break;
  }
  const match = /:(\d+)\s/.exec(said);
  assert(match, `serve said ${said}`);
  return { child, port: Number(match[1]) };
}

async function drained(child) {
  const over = once(child, 'exit');
  child.kill('SIGTERM');
  assert.deepStrictEqual(await over, [0, null]);
}

async function comesBackAfterDrain(page) {
  let server = await serve(0);
  const url = `ws://127.0.0.1:${server.port}/`;
  await page.evaluate(openSocket, ['drained', url, {}, 0.1, {}]);
  await page.evaluate(openSocket, ['finished', url, {}, 0.1, {}]);
  await page.waitForFunction(isOpenFor, ['drained', 1]);
  await page.waitForFunction(isOpenFor, ['finished', 1]);
  assert.strictEqual(await page.evaluate(echo, ['drained', 'before']), 'before');
  await page.evaluate(() => globalThis.finished.socket.close(1000, 'done'));
  await page.waitForFunction(hasEnded, 'finished');

  await drained(server.child);
  await page.waitForFunction((name) => globalThis[name].happened.some(({ type }) => type === 'reconnecting'), 'drained');
  const refused = await page.evaluate(() => { try { globalThis.drained.socket.send('stale'); return 'taken'; } catch (e) { return e.name; } });
  server = await serve(server.port);
  await page.waitForFunction(isOpenFor, ['drained', 2]);
  assert.strictEqual(refused, 'InvalidStateError');
  assert.strictEqual(await page.evaluate(echo, ['drained', 'after']), 'after');
  const happened = await page.evaluate(story, 'drained');
  assert.deepStrictEqual([happened[1].type, happened[1].code], ['close', 1001]);
  assert.deepStrictEqual([happened[2].cause, happened[2].delay, happened[2].attempt], ['1001', 500, 1]);
  ok(`drained with 1001 and restarted: the page is back, at attempt ${happened.filter(({ type }) => type === 'reconnecting').length}`);

  const finished = await page.evaluate(story, 'finished');
  assert.deepStrictEqual(finished.map(({ type }) => type), ['open', 'close', 'end']);
  assert.strictEqual(finished[2].cause, 'local_close');
  ok('close(1000) in the page: it stays away');
  await drained(server.child);
}

// `ws` closes each connection with the code in its path, the first time; a second time it keeps it.
async function followsTheCodes(page) {
  const visits = {};
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  server.on('connection', (socket, request) => {
    const [, code, kind] = request.url.split('/');
    const n = visits[request.url] = (visits[request.url] ?? 0) + 1;
    socket.on('message', (data) => socket.send(data.toString()));
    if (kind !== 'always' && n > 1) return;
    if (code === '1006') socket.terminate(); else if (code !== '0') socket.close(Number(code));
  });
  const url = (path) => `ws://127.0.0.1:${server.address().port}/${path}`;
  const open = (name, path, options = {}, helpers = {}) => page.evaluate(openSocket, [name, url(path), options, 0, helpers]);

  await open('normal', '1000/a');
  await open('persistent', '1000/b', { profile: 'persistent' });
  await open('cut', '1006/a');
  await open('private', '4001/a');
  await open('allowed', '4001/b', {}, { allow: true });
  await open('forbidden', '3003/a');
  await open('stale', '3000/a');
  await open('renewed', '3000/b', {}, { renewed: url('0/renewed') });
  await open('again', '3000/always', {}, { renewed: url('3000/always') });
  for (const name of ['persistent', 'cut', 'allowed', 'renewed']) {
    await page.waitForFunction(isOpenFor, [name, 2]);
    assert.strictEqual(await page.evaluate(echo, [name, name]), name);
  }
  for (const name of ['normal', 'private', 'forbidden', 'stale', 'again']) await page.waitForFunction(hasEnded, name);
  // All of these would have come back at once, as the others did: the server says who was there how often.
  assert.deepStrictEqual(visits, { '/1000/a': 1, '/1000/b': 2, '/1006/a': 2, '/4001/a': 1, '/4001/b': 2, '/3003/a': 1, '/3000/a': 1,
    '/3000/b': 1, '/0/renewed': 1, '/3000/always': 2 });
  ok('1000 stays away, and comes back with the profile persistent');
  ok('1006 comes back; 3003 does not; 4001 only if the page says so; 3000 once, with fresh credentials');
  for (const name of ['persistent', 'cut', 'allowed', 'renewed']) await page.evaluate((key) => globalThis[key].socket.close(), name);
  for (const name of ['persistent', 'cut', 'allowed', 'renewed']) await page.waitForFunction(hasEnded, name);
  server.close();
}

async function main() {
  checkPolicy(await import(pathToFileURL(file)));
  const site = http.createServer((request, response) => {
    const script = request.url === '/reconnect.js';
    response.setHeader('Content-Type', script ? 'text/javascript' : 'text/html').end(script ? fs.readFileSync(file) : '<p>here');
  });
  site.listen(0, '127.0.0.1');
  await once(site, 'listening');
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync'],
  });
  const page = await browser.newPage();
  page.on('pageerror', (error) => { console.log(`not ok - reconnect.js: in the page: ${error}`); process.exitCode = 1; });
  await page.goto(`http://127.0.0.1:${site.address().port}/`);
  await comesBackAfterDrain(page);
  await followsTheCodes(page);
  await browser.close();
  site.close();
  site.closeAllConnections();
}

main().catch((error) => { console.log(`not ok - reconnect.js: ${error.stack}`); process.exitCode = 1; })
  .finally(() => { for (const child of children) child.kill('SIGKILL'); if (process.exitCode) process.exit(); });
