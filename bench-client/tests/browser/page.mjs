// Loads a page in headless Chromium and says what is there to see, as JSON: one entry for each
// width, in light and in dark.
//   page.mjs CHROMIUM FILE WIDTH…
// Chromium is spoken to through two pipes, so no port is open and no package is needed.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const PATIENCE_MS = 45_000;
const [program, file, ...widths] = process.argv.slice(2);
const address = pathToFileURL(resolve(file)).href;
const profile = mkdtempSync(join(tmpdir(), 'busload-chromium-'));
const flags = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
  '--disable-dev-shm-usage', '--remote-debugging-pipe', `--user-data-dir=${profile}`, 'about:blank',
];
const browser = spawn(program, flags, { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
const ended = new Promise((done) => browser.once('exit', done));
const [, , , toBrowser, fromBrowser] = browser.stdio;
toBrowser.on('error', () => {});

let lastId = 0;
const waiting = new Map();
const listeners = new Set();
let rest = '';
fromBrowser.setEncoding('utf8');
fromBrowser.on('data', (text) => {
  const messages = (rest + text).split('\0');
  rest = messages.pop();
  for (const one of messages) {
    const message = JSON.parse(one);
    if (message.id === undefined) {
      for (const listener of listeners) listener(message);
    } else {
      const { resolve, reject } = waiting.get(message.id);
      waiting.delete(message.id);
      if (message.error) reject(new Error(message.error.message));
      else resolve(message.result);
    }
  }
});

function send(method, params = {}, sessionId = undefined) {
  lastId += 1;
  const id = lastId;
  toBrowser.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
  return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
}

// Runs in the page.
function look() {
  const charts = [...document.querySelectorAll('figure')].map((figure) => {
    const svg = figure.querySelector('svg');
    const box = svg.getBoundingClientRect();
    const shapes = [...svg.querySelectorAll('rect, line, polyline, polygon, circle, path')];
    const paint = (shape) => shape.getAttribute('fill') + shape.getAttribute('stroke');
    const series = /--s\d|--bad|--stall/;
    const painted = (shape) => {
      const { fill, stroke } = getComputedStyle(shape);
      return fill !== 'none' || stroke !== 'none';
    };
    const texts = [...svg.querySelectorAll('text')];
    const outside = texts.filter((text) => {
      const { left, right, top, bottom } = text.getBoundingClientRect();
      return left < box.left - 1 || right > box.right + 1 || top < box.top - 1 || bottom > box.bottom + 1;
    });
    return {
      title: svg.querySelector('title').textContent,
      label: svg.getAttribute('aria-label'),
      width: box.width,
      marks: shapes.filter((shape) => series.test(paint(shape))).length,
      unpainted: shapes.filter((shape) => !painted(shape)).length,
      clipped: outside.map((text) => text.textContent.trim()),
      cells: figure.querySelectorAll('details td').length,
    };
  });
  return {
    charts,
    overflow: Math.max(0, document.documentElement.scrollWidth - document.documentElement.clientWidth),
    background: getComputedStyle(document.body).backgroundColor,
  };
}

async function view(width, scheme) {
  const { targetId } = await send('Target.createTarget', { url: 'about:blank' });
  const { sessionId } = await send('Target.attachToTarget', { targetId, flatten: true });
  const problems = [];
  const requests = [];
  let loaded;
  const isLoaded = new Promise((done) => { loaded = done; });
  const listener = (message) => {
    if (message.sessionId !== sessionId) return;
    const { method, params } = message;
    if (method === 'Log.entryAdded') problems.push(params.entry.text);
    if (method === 'Runtime.exceptionThrown') problems.push(params.exceptionDetails.text);
    if (method === 'Runtime.consoleAPICalled') problems.push(`console.${params.type}`);
    if (method === 'Page.loadEventFired') loaded();
    if (method === 'Network.requestWillBeSent') {
      const { url } = params.request;
      if (url !== address && !url.startsWith('data:')) requests.push(url);
    }
  };
  listeners.add(listener);
  const to = (method, params) => send(method, params, sessionId);
  for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await to(`${domain}.enable`);
  await to('Emulation.setDeviceMetricsOverride', {
    width, height: 900, deviceScaleFactor: 1, mobile: width < 600,
  });
  await to('Emulation.setEmulatedMedia', {
    features: [{ name: 'prefers-color-scheme', value: scheme }],
  });
  await to('Page.navigate', { url: address });
  await isLoaded;
  const { result, exceptionDetails } = await to('Runtime.evaluate', {
    expression: `(${look})()`, returnByValue: true,
  });
  if (exceptionDetails) throw new Error(exceptionDetails.exception.description);
  listeners.delete(listener);
  await send('Target.closeTarget', { targetId });
  return { width, scheme, problems, requests, ...result.value };
}

// The browser's other processes end a little later and write until then, so a directory that was
// just emptied may have a file again. What cannot be removed at all is no fault of the page.
async function remove(directory) {
  for (let tries = 1; ; tries += 1) {
    try {
      rmSync(directory, { recursive: true, force: true });
      return;
    } catch (error) {
      if (tries === 100) {
        process.stderr.write(`left behind: ${error.message}\n`);
        return;
      }
    }
    await new Promise((resolve) => { setTimeout(resolve, 200); });
  }
}

async function main() {
  const seen = [];
  for (const width of widths) {
    for (const scheme of ['light', 'dark']) seen.push(await view(Number(width), scheme));
  }
  process.stdout.write(JSON.stringify(seen));
}

const timer = setTimeout(() => {
  process.stderr.write(`no answer from chromium within ${PATIENCE_MS} ms\n`);
  process.exitCode = 1;
  browser.kill('SIGKILL');
}, PATIENCE_MS);
const died = ended.then((code) => { throw new Error(`chromium ended with ${code}`); });
try {
  await Promise.race([main(), died]);
} catch (error) {
  process.stderr.write(`${error.stack}\n`);
  process.exitCode = 1;
} finally {
  died.catch(() => {});
  browser.kill('SIGKILL');
  await ended;
  clearTimeout(timer);
  await remove(profile);
}
