// The page in a headless browser, against a server that can be put into any state (mock_server.mjs).
//   node page_test.mjs --modules DIR --work DIR
import assert from 'node:assert/strict';
import { cpSync, rmSync, symlinkSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { browser, checkAccessible, chooseModel, open, options, png, shot } from './browser.mjs';
import { kHostile, startMock } from './mock_server.mjs';

const kDog = { name: 'dog.png', mimeType: 'image/png', buffer: png(768, 576) };
const kSource = new URL('../../../tools/serve/web/', import.meta.url).pathname;

let mock;
before(async () => { mock = await startMock(join(options.modules, 'dist')); });
beforeEach(() => Object.assign(mock.state, { overloaded: false, load: 0 }));
after(async () => {
  await browser.close();
  mock.close();
});

const runs = async (page, file = kDog) => {
  await page.setInputFiles('#file', file);
  await page.locator('.timing').waitFor();
};

test('the sources are free of type errors', () => {
  const folder = join(options.work, 'types');
  rmSync(folder, { recursive: true, force: true });
  cpSync(join(kSource, 'src'), join(folder, 'src'), { recursive: true });
  cpSync(join(kSource, 'tsconfig.json'), join(folder, 'tsconfig.json'));
  symlinkSync(join(options.modules, 'node_modules'), join(folder, 'node_modules'));
  const result = spawnSync(process.execPath, [join(folder, 'node_modules/typescript/bin/tsc'), '-p', folder], { encoding: 'utf8' });
  assert.equal(result.status, 0, result.stdout + result.stderr);
});

test('a picture gets its boxes, in its own pixels', async () => {
  const { page, close } = await open(mock.url);
  await chooseModel(page, 'yolox-nano');
  await runs(page);
  const boxes = page.locator('.stage svg rect.box');  // the best is last
  assert.equal(await boxes.count(), 4);
  // The box of the dog, in the picture as it is drawn: 131, 223, 309, 540 of 768 x 576.
  const drawn = await boxes.nth(3).boundingBox();
  const whole = await page.locator('.stage img').boundingBox();
  const scale = whole.width / 768;
  assert.ok(Math.abs(drawn.x + 2 - whole.x - 131 * scale) < 4, `left is ${drawn.x - whole.x}, expected ${131 * scale}`);
  assert.ok(Math.abs(drawn.y + drawn.height - 2 - whole.y - 540 * scale) < 4);
  assert.deepEqual(await page.locator('.found .name').allTextContents(), ['dog', 'bicycle', 'truck', kHostile]);
  await shot(page, 'picture');
  await checkAccessible(page, 'picture');

  await page.locator('.found button').nth(1).focus();
  assert.equal(await page.locator('.stage g.chosen text').textContent(), 'bicycle 90%');
  await page.locator('input[type=range]').fill('0.8');
  assert.equal(await boxes.count(), 2);
  await close();
});

test('the latency is split so that its parts are the whole', async () => {
  const { page, close } = await open(mock.url);
  await chooseModel(page, 'yolox-nano');
  await runs(page);
  const ms = (text) => Number.parseFloat(text) / (/µs/.test(text) ? 1000 : 1);
  const parts = await page.locator('.timing .legend b').allTextContents();
  const total = ms(await page.locator('.timing h3 b').textContent());
  assert.equal(parts.length, 4);
  const sum = parts.map(ms).reduce((a, b) => a + b);
  assert.ok(Math.abs(sum - total) < 0.02 * total + 0.2, `${parts} is ${sum}, expected ${total}`);
  assert.ok(ms(parts[2]) >= 12, `computing takes at least 12 ms, shown ${parts[2]}`);
  await close();
});

test('a picture that its camera turned is sent upright', async () => {
  const { page, close } = await open(mock.url);
  await chooseModel(page, 'yolox-nano');
  const jpeg = await page.evaluate(async () => {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [60, 40];
    canvas.getContext('2d').fillRect(0, 0, 30, 40);
    const blob = await new Promise((done) => canvas.toBlob(done, 'image/jpeg'));
    return [...new Uint8Array(await blob.arrayBuffer())];
  });
  // Orientation 6: the picture is to be turned by 90 degrees.
  const exif = Buffer.from('ffe100224578696600004d4d002a00000008000101120003000000010006000000000000', 'hex');
  const turned = Buffer.concat([Buffer.from(jpeg.slice(0, 2)), exif, Buffer.from(jpeg.slice(2))]);
  await runs(page, { name: 'turned.jpg', mimeType: 'image/jpeg', buffer: turned });
  assert.match(await page.locator('.drop .row small').textContent(), /^40 × 60/);
  await page.setInputFiles('#file', { name: 'no.jpg', mimeType: 'image/jpeg', buffer: Buffer.from('no picture') });
  await page.getByRole('alert').getByText('not a picture').waitFor();
  await close();
});

test('a classifier shows its best classes', async () => {
  const { page, close } = await open(mock.url);
  await chooseModel(page, 'classify');
  await runs(page);
  assert.deepEqual(await page.locator('.classes .name').allTextContents(),
    ['golden retriever', 'Labrador retriever', 'cocker spaniel', kHostile, 'tiger shark']);
  assert.equal(await page.locator('.classes .score').first().textContent(), '81.0 %');
  await shot(page, 'classes');
  await close();
});

test('the camera sends frame after frame', async () => {
  const { page, close } = await open(mock.url);
  await chooseModel(page, 'yolox-nano');
  await page.getByRole('button', { name: 'Use the camera' }).click();
  const requests = [];
  page.on('request', (request) => { if (request.url().endsWith('/infer')) requests.push(request); });
  await page.getByRole('button', { name: 'Send every frame' }).click();
  await page.locator('.stage svg rect.box').first().waitFor();
  await page.waitForTimeout(700);
  assert.ok(requests.length >= 3, `${requests.length} frames`);
  await shot(page, 'camera');
  mock.state.overloaded = true;
  await page.getByRole('alert').getByText('busy').waitFor();
  await page.getByRole('button', { name: 'Send every frame' }).waitFor();  // it stopped
  await page.getByRole('button', { name: 'Close the camera' }).click();
  await close();
});

test('a tensor model takes its example, and says what is wrong with other bodies', async () => {
  const { page, close } = await open(mock.url);
  await chooseModel(page, 'add');
  const body = JSON.parse(await page.locator('#body').inputValue());
  assert.deepEqual(body.inputs.map(({ name, shape, datatype }) => [name, shape, datatype]),
    [['a', [1, 4], 'FP32'], ['b', [1], 'INT64'], ['big', [1, 3, 32, 32], 'FP32']]);
  await page.getByRole('button', { name: 'Run', exact: true }).click();
  await page.locator('.outputs li').nth(2).waitFor();
  assert.match(await page.locator('.outputs li').nth(2).textContent(), /1 × 3 × 32 × 32.*3048 more/);
  await page.getByLabel('Step times').check();
  await page.getByRole('button', { name: 'Run', exact: true }).click();
  await page.locator('.steps li').first().waitFor();
  assert.match(await page.locator('.steps li').first().textContent(), /Conv \+ SiLU stem.*4\.20 ms/);
  await shot(page, 'tensors');
  await checkAccessible(page, 'tensors');
  const refused = async (text, message) => {
    await page.locator('#body').fill(text);
    await page.keyboard.press('Control+Enter');
    await page.getByRole('alert').getByText(message).waitFor();
  };
  await refused('{"inputs": [', 'not JSON');
  await refused('{"inputs": [{"name": "a", "shape": [1, 4], "datatype": "FP32", "data": [1, 2]}]}', '2 elements, expected 4');
  await refused('{"inputs": [{"name": "a", "shape": [99999, 99999], "datatype": "FP32", "data": "zeros"}]}', 'at most');
  await close();
});

test('the charts move', async () => {
  mock.state.load = 130;
  const { page, close } = await open(mock.url);
  const throughput = page.locator('section[aria-label^=Throughput]');
  await page.waitForFunction(() => /answered 1\d\d,/.test(document.querySelector('section[aria-label^=Throughput]')?.getAttribute('aria-label') ?? ''));
  const pixels = () => throughput.locator('canvas').evaluate((canvas) => canvas.toDataURL());
  const first = await pixels();
  await page.waitForTimeout(2500);
  assert.notEqual(await pixels(), first);
  for (const title of ['Latency', 'Where time goes', 'Queue', 'Processor']) {
    const label = await page.locator(`section[aria-label^="${title}"]`).getAttribute('aria-label');
    assert.match(label, /[1-9]/, label);
  }
  // Half of the requests take between 10 and 50 ms here.
  const median = Number.parseFloat(await page.locator('.figure', { hasText: 'Median' }).locator('dd').textContent());
  assert.ok(median > 10 && median < 50, `median is ${median} ms`);
  assert.ok(await page.locator('.bars li').count() >= 4);
  await page.waitForTimeout(5000);
  await shot(page, 'charts');
  await checkAccessible(page, 'charts');
  await close();
});

test('an overloaded server is shown as one', async () => {
  Object.assign(mock.state, { load: 130, overloaded: true });
  const { page, close } = await open(mock.url);
  await chooseModel(page, 'yolox-nano');
  await page.getByText(/Overloaded\. \d+ a second refused because the queue is full/).waitFor();
  await page.setInputFiles('#file', kDog);
  const alert = page.getByRole('alert');
  await alert.getByText('256 requests wait already').waitFor();
  assert.match(await alert.textContent(), /busy.*503.*Try again in 1 s/);
  await page.getByText('Send it many times').click();
  await page.getByRole('button', { name: 'Start' }).click();
  await page.getByText(/200× 503/).waitFor();
  await shot(page, 'overloaded');
  await checkAccessible(page, 'overloaded');
  mock.state.overloaded = false;
  await page.getByRole('button', { name: 'Run again' }).click();
  await page.locator('.found').waitFor();
  assert.equal(await page.getByRole('alert').count(), 0);
  await close();
});

test('models that load or fail say so', async () => {
  const { page, close } = await open(mock.url);
  const row = (name) => page.getByRole('row', { name });
  await row('broken').getByText('ends in the middle of a tensor').waitFor();
  assert.match(await row('large').textContent(), /loading/);
  await page.getByRole('link', { name: 'broken' }).first().click();
  await page.locator('main').getByText('ends in the middle of a tensor').waitFor();
  assert.equal(await page.getByRole('tab').count(), 0);
  await close();
});

test('names are text, whatever they contain', async () => {
  const { page, close } = await open(mock.url);
  await page.getByRole('navigation').getByText(kHostile).click();
  await page.getByRole('heading', { name: kHostile }).waitFor();
  await page.getByRole('button', { name: 'Run', exact: true }).click();
  await page.locator('.outputs').getByText(`${kHostile} again`).waitFor();
  await page.getByRole('tab', { name: 'Signature' }).click();
  await page.locator('.properties').getByText(kHostile).waitFor();
  assert.equal(await page.locator('main img').count(), 0);
  await close();
});

test('everything is reached and used by keyboard', async () => {
  const { page, close } = await open(mock.url);
  await chooseModel(page, 'yolox-nano');
  await runs(page);
  await page.evaluate(() => document.activeElement?.blur());
  const wanted = await page.evaluate(() => {
    const all = [...document.querySelectorAll('a[href], button:not(:disabled), input, select, textarea, summary')];
    return all.filter((one) => one.tabIndex >= 0 && one.checkVisibility()).length;
  });
  const reached = new Set();
  const invisible = [];
  for (let i = 0; i < wanted + 10; ++i) {
    await page.keyboard.press('Tab');
    const now = await page.evaluate(() => {
      const element = document.activeElement;
      if (!element || element === document.body) return null;
      element.dataset.id ??= String(Math.random());
      const shown = element.classList.contains('hidden-input') ? document.querySelector('label.button') : element;
      return { id: element.dataset.id, outline: getComputedStyle(shown).outlineStyle, html: element.outerHTML.slice(0, 90) };
    });
    if (!now) continue;
    reached.add(now.id);
    if (now.outline === 'none') invisible.push(now.html);
  }
  assert.ok(reached.size >= wanted, `${reached.size} of ${wanted} elements are reached`);
  assert.deepEqual(invisible, []);

  await page.getByRole('tab', { name: 'Picture' }).focus();
  await page.keyboard.press('ArrowRight');
  await page.locator('#body').waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Tensors');
  await page.keyboard.press('End');
  await page.locator('section[aria-label^=Throughput]').waitFor();
  await page.keyboard.press('ArrowRight');
  await page.locator('#file').waitFor({ state: 'attached' });
  await close();
});

test('dark and light follow the system, or the choice', async () => {
  mock.state.load = 130;
  const { page, close } = await open(mock.url, { dark: true });
  const brightness = () => page.evaluate(() => Math.max(...getComputedStyle(document.body).backgroundColor.match(/\d+/g).slice(0, 3).map(Number)));
  assert.ok(await brightness() < 60);
  await page.waitForTimeout(6000);
  await shot(page, 'dark');
  await checkAccessible(page, 'dark');
  await page.getByLabel('Colours').selectOption('light');
  assert.ok(await brightness() > 200);
  await page.reload();
  await page.getByRole('table').waitFor();
  assert.ok(await brightness() > 200);
  await page.emulateMedia({ colorScheme: 'light' });
  await page.getByLabel('Colours').selectOption('dark');
  assert.ok(await brightness() < 60);
  await close();
});

test('a narrow screen shows all without scrolling sideways', async () => {
  mock.state.load = 130;
  const { page, close } = await open(mock.url, { width: 400, height: 850, isMobile: true, hasTouch: true });
  const fits = async (name) => {
    assert.ok(await page.evaluate(() => document.scrollingElement.scrollWidth) <= 400, name);
    await shot(page, `narrow-${name}`);
  };
  await page.getByRole('table').waitFor();
  await page.waitForTimeout(5000);
  await fits('models');
  await chooseModel(page, 'yolox-nano');
  await runs(page);
  await fits('picture');
  await page.getByRole('tab', { name: 'Live' }).click();
  await page.locator('section[aria-label^=Throughput]').waitFor();
  await fits('live');
  await chooseModel(page, 'add');
  await page.getByRole('button', { name: 'Run', exact: true }).click();
  await page.locator('.outputs').waitFor();
  await page.getByText('Send it many times').click();
  await fits('tensors');
  await page.getByRole('tab', { name: 'Signature' }).click();
  await fits('signature');
  await checkAccessible(page, 'narrow');
  await close();
});

test('a server with keys asks for one and keeps it in the tab only', async () => {
  const locked = await startMock(join(options.modules, 'dist'), { key: 'right' });
  const { page, close } = await open(locked.url);
  await page.getByText('This server asks for an API key.').waitFor();
  await shot(page, 'key');
  const use = async (key) => {
    await page.locator('#key').fill(key);
    await page.keyboard.press('Enter');
  };
  await use('wrong');
  await page.getByText('This API key is not known here.').waitFor();
  await use('right');
  await page.getByRole('row', { name: 'yolox-nano' }).waitFor();
  assert.equal(await page.locator('#key').count(), 0);
  assert.equal(await page.evaluate(() => JSON.stringify(localStorage).includes('right')), false);
  await page.getByRole('button', { name: 'API key set' }).click();
  await page.getByRole('button', { name: 'Forget it' }).click();
  await page.getByText('This server asks for an API key.').waitFor();
  assert.equal(await page.evaluate(() => JSON.stringify(sessionStorage).includes('right')), false);
  await close();
  locked.close();
});

test('behind a proxy that keeps /metrics to itself there are no charts', async () => {
  const hidden = await startMock(join(options.modules, 'dist'), { counts: false });
  const { page, close } = await open(hidden.url);
  await page.getByText('does not show what the server counts').waitFor();
  assert.equal(await page.locator('section.chart').count(), 0);
  await chooseModel(page, 'yolox-nano');
  assert.equal(await page.getByRole('tab', { name: 'Live' }).count(), 0);
  await runs(page);
  await close();
  hidden.close();
});

test('a server that goes away and comes back', async () => {
  const first = await startMock(join(options.modules, 'dist'));
  const port = Number(new URL(first.url).port);
  const { page, close } = await open(first.url);
  await page.getByRole('table').waitFor();
  first.close();
  await page.getByText('The server cannot be reached').waitFor();
  await page.getByText('not reachable').waitFor();
  const second = await startMock(join(options.modules, 'dist'), { port });
  await page.getByText('The server cannot be reached').waitFor({ state: 'detached' });
  await close();
  second.close();
});
