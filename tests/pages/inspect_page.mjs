// node inspect_page.mjs CHROMIUM MODULES FOLDER: looks at the pages that inspect_page.py has written to FOLDER, and leaves
// pictures of them there.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [executablePath, modules, folder] = process.argv.slice(2);
const { chromium } = createRequire(join(modules, 'package.json'))('playwright-core');
const HOSTILE = '</script><img src=x onerror="document.title=\'broken\'"><!--\u2028$&${1}';
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });

// Runs `look` on a page that must not complain nor ask for anything but itself.
async function withPage(name, look, options = {}) {
  const page = await browser.newPage({ viewport: { width: 1400, height: 900 }, colorScheme: 'light', ...options });
  const wrong = [];
  page.on('pageerror', (error) => wrong.push(error.message));
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && wrong.push(message.text()));
  page.on('request', (request) => !/^(file|blob|data):/.test(request.url()) && wrong.push(request.url()));
  await page.goto(`file://${join(folder, name)}.html`);
  await page.waitForFunction(() => document.documentElement.dataset.ready || document.documentElement.dataset.error);
  assert.equal(await page.evaluate(() => document.documentElement.dataset.error), undefined);
  await look(page);
  await page.screenshot({ path: join(folder, `${name}.png`) });
  assert.deepEqual(wrong, []);
  await page.close();
  console.log(`${name}: as expected`);
}

const details = (page) => page.locator('#details').innerText();
const selected = (page, view = 0) => page.evaluate((v) => {
  const it = sluice.views[v], box = it.selected;
  return box && (box.node !== null ? it.model.nodes[box.node].name : it.model.groups[box.group].label);
}, view);
const boxes = (page) => page.evaluate(() => sluice.views[0].layout.boxes.length);
// Where a box is on the screen.
const placeOf = (page, name) => page.evaluate((wanted) => {
  const view = sluice.views[0], node = view.model.nodes.findIndex((it) => it.name === wanted), box = view.boxShowing(node);
  view.reveal(box);
  const corner = view.canvas.getBoundingClientRect();
  return [corner.x + (box.x + box.w / 2 - view.x) * view.scale, corner.y + (box.y + box.h / 2 - view.y) * view.scale];
}, name);

await withPage('large', async (page) => {
  const ready = Number(await page.evaluate(() => document.documentElement.dataset.ready));
  console.log(`2,000 nodes are drawn after ${ready} ms`);
  assert.ok(ready < 20000, `first picture after ${ready} ms`);
  const closed = await boxes(page);
  assert.ok(closed > 1000 && closed < 2000, `${closed} boxes`);
  // No two outer boxes overlap.
  assert.equal(await page.evaluate(() => {
    const all = sluice.views[0].layout.boxes;
    return all.filter((a) => all.some((b) => a !== b && a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h)).length;
  }), 0);
  await page.keyboard.press('/');
  await page.keyboard.type('block7/branch2 conv1');
  assert.match(await page.locator('#found').innerText(), /block7\/branch2\/conv1/);
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => sluice.views[0].selected);
  assert.equal(await selected(page), 'block7/branch2/conv1');
  assert.match(await details(page), /Weights\s+block7\/branch2\/conv1.weight[\s\S]*std[\s\S]*negative/i);
  assert.match(await details(page), /Runs in[\s\S]*Conv \+ LeakyRelu\(0.1\)/i);
  assert.ok(await boxes(page) > closed, 'the box of the node is open');
  await page.keyboard.press('Escape');
  assert.equal(await page.locator('#found').isVisible(), false);
  // The slowest step, along its edges, and its box opened and closed.
  await page.keyboard.press('h');
  const first = await selected(page);
  const top = await page.evaluate(() => sluice.views[0].selected.y);
  await page.keyboard.press('ArrowDown');
  assert.ok(await page.evaluate(() => sluice.views[0].selected.y) > top, `down from ${first}`);
  await page.keyboard.press('ArrowUp');
  const start = performance.now();
  await page.keyboard.press('0');
  await page.mouse.move(500, 400);
  for (let i = 0; i < 20; ++i) await page.mouse.wheel(0, -60);
  await page.evaluate(() => new Promise(requestAnimationFrame));
  assert.ok(performance.now() - start < 5000, 'zooming is fluent');
});

await withPage('hostile', async (page) => {
  assert.equal(await page.title(), 'hostile.onnx - Sluice');
  assert.equal(await page.locator('img').count(), 0);
  await page.mouse.move(...await placeOf(page, HOSTILE));
  assert.ok((await page.locator('#tip').textContent()).includes(HOSTILE));
  assert.match(await page.locator('#tip').innerText(), /min\s+-1\s+max\s+1\s+mean[\s\S]*zeros\s+0.0 %\s+negative\s+50.0 %/);
  await page.mouse.click(...await placeOf(page, HOSTILE));
  assert.equal(await selected(page), HOSTILE);
  assert.ok((await page.locator('#details').textContent()).includes(HOSTILE));
  await page.fill('#search', 'onerror');
  assert.ok((await page.locator('#found').textContent()).includes(HOSTILE));
  assert.equal(await page.title(), 'hostile.onnx - Sluice');
});

await withPage('one', async (page) => {
  assert.match(await page.locator('#legend').innerText(), /2 nodes differ, 0 only in the first model, 1 only in the second/);
  await page.click('#next-difference');
  await page.waitForFunction(() => sluice.views[1].selected);
  assert.equal(await selected(page), 'stem/act');
  assert.equal(await page.evaluate(() => sluice.views[1].model.nodes[sluice.views[0].model.nodes[sluice.views[0].selected.node].partner].name), 'stem/act');
  assert.match(await details(page), /alpha 0.1, there 0.2/);
  await page.keyboard.press('d');
  await page.waitForFunction(() => document.getElementById('details').innerText.includes('values differ'));
  await page.keyboard.press('d');
  await page.waitForFunction(() => document.getElementById('details').innerText.includes('Only in this model'));
  assert.equal(await selected(page, 1), 'gate');
}, { colorScheme: 'dark' });

for (const name of ['profile', 'json']) {
  await withPage(name, async (page) => {
    assert.equal(await page.locator('#colour').inputValue(), 'time');
    assert.ok(await page.evaluate(() => sluice.views[0].model.groups.filter((group) => group.ms > 0).length) >= 3);
    assert.match(await details(page), /Slowest steps[\s\S]*Conv/i);
    // Opening a box by its members, closing it by the key.
    const closed = await boxes(page);
    await page.mouse.dblclick(...await placeOf(page, 'stem'));
    await page.waitForFunction((n) => sluice.views[0].layout.boxes.length > n, closed);
    await page.waitForFunction(() => document.getElementById('details').innerText.includes('Close the box'));
    assert.equal(await boxes(page), closed + 2);
    await page.keyboard.press('Enter');
    await page.waitForFunction((n) => sluice.views[0].layout.boxes.length === n, closed);
    await page.click('#theme');
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark');
  });
}
await browser.close();
