// A picture of a page, or of a part of it, by headless Chromium.
//   picture.mjs CHROMIUM PAGE PNG [--width CSS] [--height CSS] [--scheme light|dark] [--of SELECTOR] [--top CSS]
// Without --of it is the top of the page, --height high at most.
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { withChromium } from '../bench-client/tests/browser/chromium.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    width: { type: 'string', default: '1000' },
    height: { type: 'string', default: '100000' },
    top: { type: 'string', default: '0' },
    scale: { type: 'string', default: '1' },
    scheme: { type: 'string', default: 'light' },
    of: { type: 'string', default: 'html' },
  },
});
const [program, page, png] = positionals;
const how = { width: Number(values.width), scheme: values.scheme, scale: Number(values.scale) };

await withChromium(program, (open) => open(pathToFileURL(resolve(page)).href, how, async ({ to, evaluate }) => {
  const box = await evaluate(`(() => {
    const one = document.querySelector(${JSON.stringify(values.of)});
    if (!one) throw new Error('nothing on the page is ' + ${JSON.stringify(values.of)});
    const { x, y, width, height } = one.getBoundingClientRect();
    return { x: x + scrollX, y: y + scrollY, width, height };
  })()`);
  const top = Number(values.top);
  const height = Math.min(box.height - top, Number(values.height));
  const clip = { ...box, y: box.y + top, height, scale: 1 };
  const { data } = await to('Page.captureScreenshot', { clip, captureBeyondViewport: true, format: 'png' });
  writeFileSync(png, Buffer.from(data, 'base64'));
}));
