// Headless Chromium, spoken to through two pipes, so that no port is open and no package is needed.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// Nothing takes longer than this.
const TIMEOUT_MS = 45_000;

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

function connect(toBrowser, fromBrowser) {
  let lastId = 0;
  const waiting = new Map();
  const listeners = new Set();
  let rest = '';
  toBrowser.on('error', () => {});
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
  const send = (method, params = {}, sessionId = undefined) => {
    lastId += 1;
    const id = lastId;
    toBrowser.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
  };
  return { send, listeners };
}

// Opens a page of the given width, in light or dark, and does `look` with it. `look` is given
// `to(method, params)`, which speaks to the page, `evaluate(expression)`, and what the page
// complained of and asked for until then.
async function view({ send, listeners }, address, { width, scheme, media = 'screen' }, look) {
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
  const evaluate = async (expression) => {
    const { result, exceptionDetails } = await to('Runtime.evaluate', {
      expression, returnByValue: true,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.exception.description);
    return result.value;
  };
  for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await to(`${domain}.enable`);
  await to('Emulation.setDeviceMetricsOverride', {
    width, height: 900, deviceScaleFactor: 1, mobile: width < 600,
  });
  await to('Emulation.setEmulatedMedia', {
    media,
    features: [{ name: 'prefers-color-scheme', value: scheme }],
  });
  await to('Page.navigate', { url: address });
  await isLoaded;
  const seen = await look({ to, evaluate, problems, requests });
  listeners.delete(listener);
  await send('Target.closeTarget', { targetId });
  return seen;
}

// Starts the browser, does `work` with `open(address, how, look)`, and ends it. What fails is said
// on standard error and ends the process with 1.
export async function withChromium(program, work) {
  const profile = mkdtempSync(join(tmpdir(), 'busload-chromium-'));
  const flags = [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
    '--disable-dev-shm-usage', '--hide-scrollbars', '--remote-debugging-pipe',
    `--user-data-dir=${profile}`, 'about:blank',
  ];
  const browser = spawn(program, flags, { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
  const ended = new Promise((done) => browser.once('exit', done));
  const connection = connect(browser.stdio[3], browser.stdio[4]);
  const timer = setTimeout(() => {
    process.stderr.write(`no answer from chromium within ${TIMEOUT_MS} ms\n`);
    process.exitCode = 1;
    browser.kill('SIGKILL');
  }, TIMEOUT_MS);
  const died = ended.then((code) => { throw new Error(`chromium ended with ${code}`); });
  try {
    await Promise.race([work((...how) => view(connection, ...how)), died]);
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
}
