// Loads a page in headless Chromium and says what is there to see, as JSON: one entry for each
// width, in light and in dark, each with what is printed.
//   page.mjs CHROMIUM FILE WIDTH…
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { withChromium } from './chromium.mjs';

// A4 without its margins.
const PAPER_WIDTH = 688;
const [program, file, ...widths] = process.argv.slice(2);
const address = pathToFileURL(resolve(file)).href;

// Runs in the page.
function look() {
  const charts = [...document.querySelectorAll('figure')].map((figure) => {
    const drawings = [...figure.querySelectorAll('svg')];
    const shapes = [...figure.querySelectorAll('svg :is(rect, line, polyline, polygon, circle, path)')];
    const paint = (shape) => shape.getAttribute('fill') + shape.getAttribute('stroke');
    const series = /--s\d|--bad|--stall/;
    const painted = (shape) => {
      const { fill, stroke } = getComputedStyle(shape);
      return fill !== 'none' || stroke !== 'none';
    };
    const outside = drawings.flatMap((svg) => {
      const box = svg.getBoundingClientRect();
      return [...svg.querySelectorAll('text')].filter((text) => {
        const { left, right, top, bottom } = text.getBoundingClientRect();
        return left < box.left - 1 || right > box.right + 1 || top < box.top - 1 || bottom > box.bottom + 1;
      });
    });
    return {
      title: figure.querySelector('h3').textContent,
      labels: drawings.map((svg) => svg.getAttribute('aria-label')),
      width: Math.min(...drawings.map((svg) => svg.getBoundingClientRect().width)),
      marks: shapes.filter((shape) => series.test(paint(shape))).length,
      unpainted: shapes.filter((shape) => !painted(shape)).length,
      clipped: outside.map((text) => text.textContent.trim()),
      cells: figure.querySelectorAll('details td').length,
    };
  });
  // What is switched off is not there, and what is chosen leaves only what is of it.
  const visible = (element) => getComputedStyle(element).display !== 'none';
  const switches = [...document.querySelectorAll('.legend input')].map((input) => {
    const drawn = () => [...input.closest('figure').querySelectorAll(`svg .${input.className}`)];
    const before = drawn().some(visible);
    input.checked = false;
    const after = drawn().some(visible);
    input.checked = true;
    return before && !after;
  });
  const choices = [...document.querySelectorAll('.selection select')].flatMap((select) => {
    const rows = [...select.closest('form').querySelectorAll('tr.tagged')];
    const each = [...select.options].map((option) => {
      option.selected = true;
      const shown = rows.filter(visible).length;
      const right = rows.filter((row) => option.className === '' || row.classList.contains(option.className));
      return { value: option.text, shown, right: right.length };
    });
    select.selectedIndex = 0;
    return each;
  });
  return {
    charts,
    switches,
    choices,
    overflow: Math.max(0, document.documentElement.scrollWidth - document.documentElement.clientWidth),
    background: getComputedStyle(document.body).backgroundColor,
  };
}

await withChromium(program, async (open) => {
  const seen = [];
  for (const width of widths.map(Number)) {
    for (const scheme of ['light', 'dark']) {
      seen.push(await open(address, { width, scheme }, async ({ evaluate, problems, requests }) => ({
        width, scheme, problems, requests, ...await evaluate(`(${look})()`),
      })));
    }
  }
  const paper = { width: PAPER_WIDTH, scheme: 'dark', media: 'print' };
  const printed = await open(address, paper, ({ evaluate }) => evaluate(`(${look})()`));
  process.stdout.write(JSON.stringify(seen.map((one) => ({ ...one, printed }))));
});
