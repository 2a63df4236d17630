// ONNX Runtime as a worker of cross_check.py: one line of JSON asks for one run, one line answers.
//   {"model": FILE, "inputs": [{"name", "type", "dims", "file"}], "output": FOLDER}
//   {"outputs": [{"name", "type", "dims", "file"}]} or {"error": TEXT}
// Files hold little-endian elements; int64 and bool as numpy has them.
'use strict';
const fs = require('fs');
const path = require('path');
const readline = require('readline');
const ort = require(path.join(process.env.SLUICE_PEERS_MODULES, 'onnxruntime-node'));

// Warnings about models are not what is asked for.
ort.env.logLevel = 'error';

const ARRAYS = {
  float32: Float32Array, float64: Float64Array, float16: Uint16Array, bool: Uint8Array,
  int8: Int8Array, int16: Int16Array, int32: Int32Array, int64: BigInt64Array,
  uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, uint64: BigUint64Array,
};

function readTensor({type, dims, file}) {
  const bytes = fs.readFileSync(file);
  const data = new ARRAYS[type](bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  return new ort.Tensor(type, data, dims);
}

async function run({model, inputs, output}) {
  const session = await ort.InferenceSession.create(model, {
    executionProviders: ['cpu'],
    // The model as it is written: what is compared with is the operators, not the optimiser.
    graphOptimizationLevel: 'disabled',
    intraOpNumThreads: 1,
    logSeverityLevel: 4,
  });
  try {
    const results = await session.run(Object.fromEntries(inputs.map((input) => [input.name, readTensor(input)])));
    return session.outputNames.map((name, i) => {
      const {type, data, dims} = results[name];
      const file = path.join(output, `${i}.bin`);
      fs.writeFileSync(file, Buffer.from(data.buffer, data.byteOffset, data.byteLength));
      return {name, type, dims, file};
    });
  } finally {
    await session.release();
  }
}

async function main() {
  for await (const line of readline.createInterface({input: process.stdin})) {
    let reply;
    try {
      reply = {outputs: await run(JSON.parse(line))};
    } catch (error) {
      reply = {error: String(error.message || error)};
    }
    fs.writeSync(1, JSON.stringify(reply) + '\n');
  }
}

main();
