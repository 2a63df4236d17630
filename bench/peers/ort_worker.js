// ONNX Runtime as a worker of compare.py; the protocol is described there.
'use strict';
const fs = require('fs');
const path = require('path');
const readline = require('readline');
const ort = require(path.join(process.env.SLUICE_PEERS_MODULES, 'onnxruntime-node'));

const [model, threads, ...given] = process.argv.slice(2);
const reply = (value) => fs.writeSync(1, JSON.stringify(value) + '\n');
const now = () => Number(process.hrtime.bigint()) / 1e6;

function readInputs() {
  const inputs = {};
  for (const text of given) {
    const [name, shape, file] = text.split('=');
    const bytes = fs.readFileSync(file);
    const data = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4).slice();
    inputs[name] = new ort.Tensor('float32', data, shape.split('x').map(Number));
  }
  return inputs;
}

async function main() {
  const inputs = readInputs();
  const begin = now();
  const session = await ort.InferenceSession.create(model, {
    executionProviders: ['cpu'],
    graphOptimizationLevel: 'all',
    intraOpNumThreads: Number(threads),
    interOpNumThreads: 1,
    executionMode: 'sequential',
    logSeverityLevel: 3,
  });
  reply({load_ms: now() - begin, version: ort.env.versions.common});
  for await (const line of readline.createInterface({input: process.stdin})) {
    const [command, argument] = line.split(' ');
    if (command === 'run') {
      const ms = [];
      for (let i = 0; i < Number(argument); ++i) {
        const start = now();
        await session.run(inputs);
        ms.push(now() - start);
      }
      reply({ms});
    } else if (command === 'outputs') {
      const results = await session.run(inputs);
      const shapes = {};
      session.outputNames.forEach((name, i) => {
        const {data, dims} = results[name];
        fs.writeFileSync(path.join(argument, `${i}.f32`), Buffer.from(data.buffer, data.byteOffset, data.byteLength));
        shapes[name] = dims;
      });
      reply({shapes});
    } else if (command === 'memory') {
      const status = fs.readFileSync('/proc/self/status', 'utf8');
      reply({peak_rss_bytes: 1024 * Number(/VmHWM:\s+(\d+)/.exec(status)[1])});
    }
  }
}

main().catch((error) => {
  reply({error: String(error.message || error)});
  process.exitCode = 1;
});
