// The page in a headless browser, against `sluice serve` itself.
//   node server_test.mjs --modules DIR --work DIR --sluice COMMAND
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { browser, checkAccessible, chooseModel, open, options, shot } from './browser.mjs';

const kData = new URL('../../../tools/data/', import.meta.url).pathname;
const kPicture = join(kData, 'shapes.png');

// Starts a server of ports that are free; url is its address.
async function serve(folder, extra = []) {
  const child = spawn(options.sluice, ['serve', '--models', folder, '--http-port', '0', '--no-grpc', '--no-access-log', '--log-level', 'error', ...extra]);
  let text = '';
  const url = await new Promise((done, fail) => {
    child.stdout.on('data', (data) => {
      text += data;
      const match = /HTTP at (\S+)/.exec(text);
      if (match) done(`${match[1]}/`);
    });
    child.stderr.on('data', (data) => { text += data; });
    child.on('exit', (code) => fail(new Error(`sluice serve ended with ${code}: ${text}`)));
  });
  // A server with keys refuses to say; the page waits for the model then.
  const ready = async () => [200, 401].includes((await fetch(`${url}v2/models/shapes/ready`)).status);
  for (let i = 0; i < 300 && !(await ready()); ++i) await new Promise((done) => setTimeout(done, 100));
  const stop = () => new Promise((done) => {
    if (child.exitCode !== null) done(child.exitCode);
    child.on('exit', done);
    child.kill('SIGTERM');
  });
  return { url, stop };
}

// clients that post the picture again and again until stop(), which tells how many answers had which status.
function flood(url, clients) {
  const agent = new Agent({ keepAlive: true, maxSockets: clients });
  const body = readFileSync(kPicture);
  const counts = {};
  let stopped = false;
  const post = () => new Promise((done) => {
    const call = request(`${url}v2/models/shapes/infer`, { agent, method: 'POST', headers: { 'content-type': 'image/png', 'content-length': body.length } }, (response) => {
      counts[response.statusCode] = (counts[response.statusCode] ?? 0) + 1;
      response.resume();
      response.on('end', done);
    });
    call.on('error', done);
    call.end(body);
  });
  const all = Promise.all(Array.from({ length: clients }, async () => {
    while (!stopped) await post();
  }));
  return async () => {
    stopped = true;
    await all;
    agent.destroy();
    return counts;
  };
}

const folder = join(options.work, 'models');
let server;
before(async () => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(join(folder, 'shapes', '1'), { recursive: true });
  copyFileSync(join(kData, 'shapes.onnx'), join(folder, 'shapes', '1', 'model.onnx'));
  writeFileSync(join(folder, 'shapes', 'model.json'), JSON.stringify({
    max_batch_size: 4, max_queue: 4, pictures: { letterbox: true, scale: '1/255', mean: 0 }, detect: true,
  }));
  writeFileSync(join(folder, 'broken.onnx'), readFileSync(join(kData, 'shapes.onnx')).subarray(0, 5000));
  server = await serve(folder);
});
after(async () => {
  await browser.close();
  await server?.stop();
});

test('a picture gets its boxes', async () => {
  const { page, close } = await open(server.url);
  await chooseModel(page, 'shapes');
  await page.getByLabel('Step times').check();
  await page.setInputFiles('#file', kPicture);
  await page.locator('.found li').first().waitFor();
  await shot(page, 'server-picture');
  const { objects } = JSON.parse(readFileSync(join(kData, 'shapes.expected.json'), 'utf8'));
  const found = (await page.locator('.found button').all()).map(async (one) => ({
    label: await one.locator('.name').textContent(), box: (await one.locator('small').textContent()).split(',').map(Number),
  }));
  const boxes = await Promise.all(found);
  assert.equal(boxes.length, objects.length);
  for (const { label, box } of objects) {
    assert.ok(boxes.some((one) => one.label === label && one.box.every((value, i) => Math.abs(value - box[i]) < 8)), `${label} at ${box}, found ${JSON.stringify(boxes)}`);
  }
  assert.equal(await page.locator('.timing .legend li').count(), 4);
  assert.match(await page.locator('.timing h3').textContent(), /batch of 1/);
  assert.match(await page.locator('.steps li').first().textContent(), /Conv/);
  await checkAccessible(page, 'picture');
  await close();
});

test('a body of tensors is answered, a wrong one refused', async () => {
  const { page, close } = await open(server.url);
  await chooseModel(page, 'shapes');
  await page.getByRole('tab', { name: 'Tensors' }).click();
  await page.getByRole('button', { name: 'Run', exact: true }).click();
  await page.locator('.outputs').getByText('1 × 400 × 4').waitFor();
  await page.locator('#body').fill('{"inputs": [{"name": "image", "shape": [1, 3, 7, 7], "datatype": "FP32", "data": "zeros"}]}');
  await page.getByRole('button', { name: 'Run', exact: true }).click();
  await page.getByRole('alert').getByText('does not fit the model').waitFor();
  await close();
});

test('the charts show the load, and overload', async () => {
  const { page, close } = await open(server.url);
  await page.getByRole('row', { name: 'shapes' }).waitFor();
  assert.match(await page.getByRole('row', { name: 'broken' }).textContent(), /not available/);
  const some = flood(server.url, 2);
  const number = (label) => page.locator('.figure', { hasText: label }).locator('dd').textContent().then(Number.parseFloat);
  await page.waitForFunction(() => /answered [1-9]/.test(document.querySelector('section[aria-label^=Throughput]')?.getAttribute('aria-label') ?? ''));
  await page.waitForTimeout(6000);
  assert.ok(await number('Answers a second') > 1);
  assert.ok(await number('Median latency') > 0);
  assert.ok(await number('Cores busy') > 0);
  assert.equal(await number('Errors a second'), 0);
  const first = await some();
  assert.deepEqual(Object.keys(first), ['200']);

  const many = flood(server.url, 48);
  await page.getByText(/Overloaded\. \S+ a second refused because the queue is full/).waitFor();
  await shot(page, 'server-overloaded');
  await chooseModel(page, 'shapes');
  await page.setInputFiles('#file', kPicture);
  await page.getByText('Send it many times').click();
  await page.getByRole('button', { name: 'Start' }).click();
  await page.getByText(/\d× 503/).first().waitFor();
  await page.getByRole('tab', { name: 'Live' }).click();
  await page.waitForTimeout(4000);
  await shot(page, 'server-live');
  await checkAccessible(page, 'overloaded');
  const counts = await many();
  assert.ok(counts[503] > 0 && counts[200] > 0, JSON.stringify(counts));
  await close();
});

test('a server with API keys', async () => {
  const keys = join(options.work, 'keys.txt');
  writeFileSync(keys, 'page correct-key-of-the-page\n', { mode: 0o600 });
  const locked = await serve(folder, ['--api-keys', keys]).catch((error) => error);
  assert.ok(locked.url, String(locked));
  const { page, close } = await open(locked.url);
  await page.getByText('This server asks for an API key.').waitFor();
  await page.locator('#key').fill('correct-key-of-the-page');
  await page.keyboard.press('Enter');
  await chooseModel(page, 'shapes');
  await page.setInputFiles('#file', kPicture);
  await page.locator('.found li').first().waitFor();
  assert.equal(await locked.stop(), 0);
  await page.getByText('not reachable').waitFor();
  await close();
});
