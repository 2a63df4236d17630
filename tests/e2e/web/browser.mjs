// What the tests of the page share: the programs they need, a browser, pages that note every fault.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { deflateSync } from 'node:zlib';

const { values } = parseArgs({ options: { modules: { type: 'string' }, work: { type: 'string' }, sluice: { type: 'string' }, models: { type: 'string' } } });
// modules: the folder with node_modules and dist, the page as bundled. work: for screenshots.
export const options = values;

const kChromium = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) => existsSync(path));

function skip(reason) {
  console.log(`skipped: ${reason}`);
  process.exit(77);
}
if (!kChromium) skip('Chromium is not installed');
if (!existsSync(join(options.modules, 'node_modules', 'playwright-core'))) skip('the packages of the page are not installed');
mkdirSync(options.work, { recursive: true });

const require = createRequire(join(options.modules, 'package.json'));
const { chromium } = require('playwright-core');
const kAxe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

export const browser = await chromium.launch({
  executablePath: kChromium,
  args: ['--no-sandbox', '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', '--disable-dev-shm-usage'],
});

// A page at url that fails the test in close() if it asked another server for something, broke its
// Content-Security-Policy, opened a dialog or threw.
export async function open(url, { width = 1280, height = 900, dark = false, ...more } = {}) {
  const context = await browser.newContext({
    viewport: { width, height }, colorScheme: dark ? 'dark' : 'light', permissions: ['camera'], reducedMotion: 'reduce', ...more,
  });
  const page = await context.newPage();
  const faults = [];
  page.on('pageerror', (error) => faults.push(`thrown: ${error.message}`));
  page.on('dialog', (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('console', (message) => {
    // Refused requests are what some tests are about.
    if (message.type() === 'error' && !/Failed to load resource/.test(message.text())) faults.push(`console: ${message.text()}`);
  });
  const origin = new URL(url).origin;
  page.on('request', (request) => {
    if (!request.url().startsWith(origin) && !/^(blob|data):/.test(request.url())) faults.push(`foreign request: ${request.url()}`);
  });
  page.setDefaultTimeout(15_000);
  await page.goto(url);
  const close = async () => {
    await context.close();
    assert.deepEqual(faults, []);
  };
  return { page, close };
}

// A PNG file with a gradient.
export function png(width, height) {
  const chunk = (type, data) => {
    const bytes = Buffer.concat([Buffer.alloc(4), Buffer.from(type), data, Buffer.alloc(4)]);
    bytes.writeUInt32BE(data.length, 0);
    let crc = ~0;
    for (const byte of bytes.subarray(4, -4)) {
      crc ^= byte;
      for (let bit = 0; bit < 8; ++bit) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    }
    bytes.writeUInt32BE(~crc >>> 0, bytes.length - 4);
    return bytes;
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 2], 8);
  const rows = Buffer.alloc(height * (1 + width * 3));
  for (let y = 0; y < height; ++y) {
    for (let x = 0; x < width; ++x) rows.set([(x * 255) / width, (y * 255) / height, 128], y * (1 + width * 3) + 1 + x * 3);
  }
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', head), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))]);
}

export const shot = (page, name) => page.screenshot({ path: join(options.work, `${name}.png`), fullPage: true });

export async function chooseModel(page, name) {
  await page.getByRole('navigation').getByRole('link', { name, exact: false }).first().click();
  await page.getByRole('tablist').waitFor();
}

// Violations of the accessibility rules that can be checked by program, contrast among them.
export async function checkAccessible(page, place) {
  await page.evaluate(kAxe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  const found = violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html.slice(0, 120)} ${node.failureSummary ?? ''}`));
  assert.deepEqual(found, [], place);
}
