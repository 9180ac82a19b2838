// A picture of a page, or of a part of it, by headless Chromium.
//   picture.mjs CHROMIUM PAGE PNG [--width CSS] [--height CSS] [--top CSS] [--to SELECTOR]
//     [--scheme light|dark] [--media screen|print]
// It begins at --top and ends below the first element that --to names, at most --height further.
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
    to: { type: 'string', default: 'html' },
    scheme: { type: 'string', default: 'light' },
    media: { type: 'string', default: 'screen' },
  },
});
const [program, page, png] = positionals;
const width = Number(values.width);
const top = Number(values.top);
// Around what the picture ends with.
const MARGIN = 12;

await withChromium(program, (open) => open(
  pathToFileURL(resolve(page)).href,
  { width, scheme: values.scheme, media: values.media },
  async ({ to, evaluate }) => {
    const bottom = await evaluate(`(() => {
      const one = document.querySelector(${JSON.stringify(values.to)});
      if (!one) throw new Error('nothing on the page is ' + ${JSON.stringify(values.to)});
      return one.getBoundingClientRect().bottom + scrollY;
    })()`);
    const height = Math.min(bottom + MARGIN - top, Number(values.height));
    const clip = { x: 0, y: top, width, height, scale: 1 };
    const { data } = await to('Page.captureScreenshot', { clip, captureBeyondViewport: true, format: 'png' });
    writeFileSync(png, Buffer.from(data, 'base64'));
  },
));
