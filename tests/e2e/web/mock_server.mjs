// A server with the page's files and answers of its own, so that what the page does with every state of a server can
// be tested: hostile names, overload, keys, models that load or fail. Nothing of it is in the real server's tests.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';

const kTypes = { html: 'text/html; charset=utf-8', js: 'text/javascript; charset=utf-8', css: 'text/css; charset=utf-8', svg: 'image/svg+xml' };
export const kPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src blob:; " +
  "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
export const kHostile = '<img src=x onerror=alert(1)>"\'&';

const kBounds = [1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30];
const kBatchBounds = [1, 2, 4, 8, 16, 32, 64, 128, 256];

class Histogram {
  constructor(bounds) {
    this.bounds = bounds;
    this.counts = Array(bounds.length + 1).fill(0);
    this.sum = 0;
  }
  add(value) {
    const at = this.bounds.findIndex((bound) => value <= bound);
    ++this.counts[at < 0 ? this.bounds.length : at];
    this.sum += value;
  }
  text(name, labels) {
    let all = 0;
    const lines = this.counts.map((count, i) => `${name}_bucket{${labels},le="${i < this.bounds.length ? this.bounds[i] : '+Inf'}"} ${all += count}`);
    return [...lines, `${name}_sum{${labels}} ${this.sum}`, `${name}_count{${labels}} ${all}`].join('\n');
  }
}

const describe = (name, inputs, outputs, kind) => ({ name, inputs, outputs, kind });
const kModels = [
  describe('yolox-nano', [{ name: 'images', datatype: 'FP32', shape: [1, 3, 416, 416] }],
    [{ name: 'output', datatype: 'FP32', shape: [1, 3549, 85] }], { takes_pictures: true, detects: true }),
  describe('classify', [{ name: 'x', datatype: 'FP32', shape: [-1, 3, 224, 224] }],
    [{ name: 'y', datatype: 'FP32', shape: [-1, 1000] }], { takes_pictures: true }),
  describe('add', [{ name: 'a', datatype: 'FP32', shape: [1, 4] }, { name: 'b', datatype: 'INT64', shape: [-1] }, { name: 'big', datatype: 'FP32', shape: [1, 3, 32, 32] }],
    [{ name: 'sum', datatype: 'FP32', shape: [1, 4] }], {}),
  describe(kHostile, [{ name: kHostile, datatype: 'FP32', shape: [] }], [{ name: kHostile, datatype: 'FP32', shape: [] }], {}),
];
const kBoxes = [['dog', 0.93, [131, 223, 309, 540]], ['bicycle', 0.9, [120, 130, 568, 420]], ['truck', 0.74, [467, 76, 690, 171]], [kHostile, 0.31, [640, 380, 760, 560]]];

const kSteps = [['stem', 'Conv + SiLU', 4_200_000], ['head', 'Conv', 1_100_000], ['out', 'Concat', 90_000]].map(([node, op, ns]) => ({ node, op, kernel: 'oneDNN jit:avx2', output: 'float [1, 8]', calls: 1, ns }));

export function startMock(folder, { port = 0, key = '', counts = true } = {}) {
  const state = { overloaded: false, load: 0 };
  const models = kModels.map((model) => ({
    ...model, success: 0, executions: 0, failures: { overloaded: 0, timeout: 0, invalid: 0, cancelled: 0, internal: 0 }, queued: 0,
    total: new Histogram(kBounds), queue: new Histogram(kBounds), batch: new Histogram(kBounds), compute: new Histogram(kBounds),
    network: new Histogram(kBounds), batches: new Histogram(kBatchBounds), last: 0,
  }));
  let cpu = 0;

  const count = (model, batchSize = 1) => {
    const parts = { queue: 0.002 * Math.random() * batchSize, batch: 0.0006 * Math.random(), compute: 0.012 + 0.004 * Math.random() * batchSize, network: 0.0004 * Math.random() };
    for (const [name, seconds] of Object.entries(parts)) model[name].add(seconds);
    model.total.add(parts.queue + parts.batch + parts.compute);
    ++model.success;
    model.last = Date.now();
    cpu += parts.compute;
    return parts;
  };
  // Traffic of others.
  const traffic = setInterval(() => {
    const model = models[0];
    if (state.load === 0) return;
    const requests = Math.round(state.load * 0.1 * (0.8 + 0.4 * Math.random()));
    for (let left = requests; left > 0;) {
      const size = Math.min(left, 1 + Math.floor(Math.random() * 8));
      for (let i = 0; i < size; ++i) count(model, size);
      model.batches.add(size);
      ++model.executions;
      left -= size;
    }
    model.queued = Math.round(Math.random() * 12) + (state.overloaded ? 240 : 0);
    if (state.overloaded) model.failures.overloaded += 23;
  }, 100);

  const metrics = () => models.map((model) => {
    const name = model.name.replace(/["\\]/g, '\\$&');
    const labels = `model="${name}",version="1"`;
    return [
      `sluice_inference_request_success{${labels}} ${model.success}`,
      ...Object.entries(model.failures).map(([reason, value]) => `sluice_inference_request_failure{${labels},reason="${reason}"} ${value}`),
      `sluice_inference_count{${labels}} ${model.success}`, `sluice_inference_exec_count{${labels}} ${model.executions}`,
      `sluice_inference_pending_request_count{${labels}} ${model.queued}`, `sluice_inference_running_request_count{${labels}} ${state.load ? 2 : 0}`,
      model.total.text('sluice_inference_request_seconds', labels), model.queue.text('sluice_inference_queue_seconds', labels),
      model.batch.text('sluice_inference_batch_seconds', labels), model.compute.text('sluice_inference_compute_seconds', labels),
      model.batches.text('sluice_inference_batch_size', labels),
      model.network.text('sluice_network_seconds', `protocol="http",model="${name}",outcome="success"`),
    ].join('\n');
  }).join('\n') + `\nprocess_cpu_seconds_total ${cpu}\n`;

  const server = createServer((request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      const path = decodeURIComponent(new URL(request.url, 'http://x').pathname);
      const send = (status, value, headers = {}) => {
        const text = typeof value === 'string' ? value : JSON.stringify(value);
        response.writeHead(status, { 'content-type': 'application/json', ...headers });
        response.end(text);
      };
      const file = path === '/' ? 'index.html' : path.slice(1);
      const type = kTypes[file.split('.').at(-1)];
      if (type && !file.includes('/')) {
        let bytes;
        try {
          bytes = readFileSync(join(folder, file));
        } catch {
          return send(404, { error: 'no such file' });
        }
        response.writeHead(200, { 'content-type': type, 'content-security-policy': kPolicy });
        return response.end(bytes);
      }
      if (path.startsWith('/v2/health')) return send(200, '');
      if (key && request.headers.authorization !== `Bearer ${key}`) return send(401, { error: 'no API key, or one that is not known' });
      if (path === '/v2') return send(200, { name: 'sluice', version: '0.1.0', extensions: [] });
      if (path === '/metrics' && counts) return send(200, metrics(), { 'content-type': 'text/plain' });
      if (path === '/v2/repository/index') {
        return send(200, [
          ...models.map((model) => ({ name: model.name, version: '1', state: 'READY', reason: model.name === 'classify' ? "version 2 does not load: Conv 'stem/conv1': weights dimension 1 is 3, expected channels/group = 4" : '' })),
          { name: 'broken', version: '1', state: 'UNAVAILABLE', reason: 'the model ends in the middle of a tensor' },
          { name: 'large', version: '3', state: 'LOADING', reason: '' },
        ]);
      }
      if (path === '/v2/models/stats') {
        return send(200, { model_stats: models.map((model) => ({ name: model.name, version: '1', last_inference: model.last, inference_count: model.success, execution_count: model.executions, batch_stats: [] })) });
      }
      const match = /^\/v2\/models\/(.+?)(?:\/versions\/1)?(\/infer)?$/.exec(path);
      const model = models.find((one) => one.name === match?.[1]);
      if (!model) return send(404, { error: 'no such model' });
      const { name, inputs, outputs, kind } = model;
      if (!match[2]) return send(200, { name, versions: ['1'], platform: 'onnx_onnxv1', inputs, outputs, ...kind, properties: { licence: kHostile } });
      if (state.overloaded) {
        ++model.failures.overloaded;
        return send(503, { error: `model '${name}': 256 requests wait already` }, { 'retry-after': '1' });
      }
      const body = Buffer.concat(chunks);
      const length = Number(request.headers['inference-header-content-length'] ?? body.length);
      let head;
      try {
        head = JSON.parse(body.subarray(0, length).toString());
      } catch {
        return send(400, { error: 'the body is not JSON' });
      }
      const wrong = head.inputs.find((input) => Array.isArray(input.data) && input.shape.reduce((a, b) => a * b, 1) !== input.data.flat(9).length);
      if (wrong) return send(400, { error: `input '${wrong.name}': ${wrong.data.length} elements, expected ${wrong.shape.reduce((a, b) => a * b, 1)}` });
      const parts = count(model);
      model.batches.add(1);
      ++model.executions;
      const timing = ['queue', 'batch', 'compute'].map((part) => `${part};dur=${(parts[part] * 1000).toFixed(3)}`).join(', ');
      const answer = (tensors) => setTimeout(() => send(200, { model_name: name, model_version: '1', outputs: tensors, ...(head.parameters?.profile ? { profile: kSteps } : {}) }, { 'server-timing': timing }), 15);
      const tensor = (name, datatype, shape, data) => ({ name, datatype, shape, data });
      if (kind.detects) {
        return answer([tensor('boxes', 'FP32', [4, 4], kBoxes.flatMap(([, , box]) => box)), tensor('scores', 'FP32', [4], kBoxes.map(([, score]) => score)), tensor('labels', 'BYTES', [4], kBoxes.map(([label]) => label))]);
      }
      if (kind.takes_pictures) {
        return answer([tensor('top_scores', 'FP32', [1, 5], [0.81, 0.09, 0.04, 0.01, 0.004]), tensor('top_indices', 'INT64', [1, 5], [207, 208, 219, 2, 3]), tensor('top_labels', 'BYTES', [1, 5], ['golden retriever', 'Labrador retriever', 'cocker spaniel', kHostile, 'tiger shark'])]);
      }
      return answer(head.inputs.map((input) => tensor(`${input.name} again`, input.datatype, input.shape, input.data)));
    });
  });
  return new Promise((done) => server.listen(port, '127.0.0.1', () => done({
    url: `http://127.0.0.1:${server.address().port}/`, state,
    close: () => { clearInterval(traffic); server.close(); server.closeAllConnections(); },
  })));
}

if (process.argv[1] === import.meta.filename) {
  const mock = await startMock(process.argv[2], { port: 8000 });
  mock.state.load = 120;
  console.log(mock.url);
}
