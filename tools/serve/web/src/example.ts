// A request that a model takes, as text to edit, and what becomes of it when it is sent.
import type { ModelMetadata, TensorInfo } from './api';

// Inputs of more elements than this show "zeros" or the like for their data, so that the text stays short.
const kWrittenElements = 64;
const kMostElements = 8_000_000;

const kFills = ['zeros', 'ones', 'random'] as const;
type Fill = (typeof kFills)[number];

function elements(shape: number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

function value(datatype: string, fill: Fill): unknown {
  if (datatype === 'BYTES') return fill === 'zeros' ? '' : 'text';
  if (datatype === 'BOOL') return fill === 'ones' || (fill === 'random' && Math.random() < 0.5);
  if (fill === 'zeros') return 0;
  if (fill === 'ones') return 1;
  // Integers may be places in tables of which nothing is known: small ones fit most.
  if (!/^(FP|BF)/.test(datatype)) return Math.floor(Math.random() * 2);
  return Math.round(Math.random() * 1e4) / 1e4;
}

function exampleInput({ name, datatype, shape }: TensorInfo): object {
  const concrete = shape.map((size) => (size < 0 ? 1 : size));
  const size = elements(concrete);
  const data = size > kWrittenElements ? 'random' : Array.from({ length: size }, () => value(datatype, datatype === 'BYTES' ? 'ones' : 'random'));
  return { name, shape: concrete, datatype, data };
}

export function exampleBody(metadata: ModelMetadata): string {
  const inputs = metadata.inputs.map((input) => {
    const members = Object.entries(exampleInput(input)).map(
      ([name, member]) => `${JSON.stringify(name)}: ${Array.isArray(member) ? `[${member.map((one) => JSON.stringify(one)).join(', ')}]` : JSON.stringify(member)}`,
    );
    return `    {\n      ${members.join(',\n      ')}\n    }`;
  });
  return `{\n  "inputs": [\n${inputs.join(',\n')}\n  ]\n}`;
}

interface Body {
  parameters?: Record<string, unknown>;
  inputs?: { name?: string; shape?: number[]; datatype?: string; data?: unknown }[];
}

// Puts numbers where data is one of the words, and asks for the times of steps if wanted. Throws an Error that says what is wrong with the text.
export function expandBody(text: string, profile: boolean): string {
  let body: Body;
  try {
    body = JSON.parse(text) as Body;
  } catch (error) {
    throw new Error(`This is not JSON: ${(error as Error).message}`);
  }
  if (profile && body && typeof body === 'object') body.parameters = { ...body.parameters, profile: true };
  if (!Array.isArray(body?.inputs)) return JSON.stringify(body);
  for (const input of body.inputs) {
    if (typeof input?.data !== 'string') continue;
    const fill = kFills.find((word) => word === input.data);
    const named = `Input '${input.name ?? ''}'`;
    if (!fill) throw new Error(`${named}: data is "${input.data}", expected an array or one of ${kFills.join(', ')}.`);
    const shape = Array.isArray(input.shape) ? input.shape : [];
    const size = elements(shape);
    if (!Number.isInteger(size) || size < 0 || size > kMostElements) {
      throw new Error(`${named}: shape has ${size} elements, at most ${kMostElements} are sent from here.`);
    }
    input.data = Array.from({ length: size }, () => value(input.datatype ?? 'FP32', fill));
  }
  return JSON.stringify(body);
}
