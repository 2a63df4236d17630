// Calls to the server that this page came from. All addresses are relative, so that a proxy may put it in a folder.

export interface TensorInfo {
  name: string;
  datatype: string;
  shape: number[];
}
export interface ModelMetadata {
  name: string;
  versions: string[];
  platform: string;
  inputs: TensorInfo[];
  outputs: TensorInfo[];
  properties?: Record<string, string>;
  takes_pictures?: boolean;  // picture files may be sent as BYTES
  detects?: boolean;  // and are answered with boxes
}
export interface IndexEntry {
  name: string;
  version: string;
  state: string;
  reason: string;
}
export interface ServerMetadata {
  name: string;
  version: string;
  extensions: string[];
}
export interface OutputTensor extends TensorInfo {
  data: unknown[];
}
export interface Step {
  node: string;
  op: string;
  kernel: string;
  ns: number;
}
export interface InferAnswer {
  model_name: string;
  model_version?: string;
  id?: string;
  parameters?: Record<string, unknown>;
  outputs: OutputTensor[];
  profile?: Step[];  // where the request asked for it
}
interface StatDuration {
  count: number;
  ns: number;
}
export interface ModelStats {
  name: string;
  version: string;
  last_inference: number;
  inference_count: number;
  execution_count: number;
  batch_stats: { batch_size: number; compute_infer: StatDuration }[];
}

// Milliseconds; what the server does not tell is null.
export interface Timing {
  total: number;
  queue: number | null;
  batch: number | null;
  compute: number | null;
  batchSize: number | null;
}

// An answer that is an error, in words for people. status 0: there was no answer.
export class CallError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly retryAfter: number | null = null,
  ) {
    super(message);
  }
  get title(): string {
    switch (this.status) {
      case 0: return 'The server cannot be reached';
      case 400: return 'The request does not fit the model';
      case 401: return 'An API key is needed';
      case 403: return 'This API key may not do that';
      case 404: return 'Not found';
      case 413: return 'The request is too large';
      case 429: return 'Too many requests with this API key';
      case 503: return 'The server is busy';
      case 504: return 'The request took too long';
      default: return 'The request failed';
    }
  }
}

const kKeyName = 'sluice-api-key';
let memoryKey = '';

export const apiKey = {
  get(): string {
    try {
      return sessionStorage.getItem(kKeyName) ?? memoryKey;
    } catch {
      return memoryKey;
    }
  },
  set(key: string): void {
    memoryKey = key;
    try {
      if (key) sessionStorage.setItem(kKeyName, key);
      else sessionStorage.removeItem(kKeyName);
    } catch {
      // Storage may be switched off; the key then lasts as long as the page.
    }
  },
};

async function errorOf(response: Response): Promise<CallError> {
  let message = '';
  try {
    const text = await response.text();
    try {
      message = String((JSON.parse(text) as { error?: unknown }).error ?? '');
    } catch {
      message = text.slice(0, 300);
    }
  } catch {
    // The connection broke; the status has to do.
  }
  const after = Number(response.headers.get('retry-after'));
  return new CallError(response.status, message || response.statusText, after > 0 ? after : null);
}

export async function call(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  const key = apiKey.get();
  if (key) headers.set('authorization', `Bearer ${key}`);
  let response: Response;
  try {
    response = await fetch(path, { ...init, headers, cache: 'no-store' });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new CallError(0, 'No answer came: it is not running, or the network is in the way.');
  }
  if (!response.ok) throw await errorOf(response);
  return response;
}

async function json<T>(path: string, init?: RequestInit): Promise<T> {
  return (await (await call(path, init)).json()) as T;
}

const encoded = encodeURIComponent;
export function modelPath(model: string, version: string): string {
  return `v2/models/${encoded(model)}${version ? `/versions/${encoded(version)}` : ''}`;
}

export const serverMetadata = () => json<ServerMetadata>('v2');
export const modelMetadata = (model: string, version: string) => json<ModelMetadata>(modelPath(model, version));
export const repositoryIndex = () =>
  json<IndexEntry[]>('v2/repository/index', {
    method: 'POST', body: '{}', headers: { 'content-type': 'application/json' },
  });
// null where they are kept from whoever comes this way, as by a proxy before several servers.
export async function metricsText(): Promise<string | null> {
  try {
    return await (await call('metrics')).text();
  } catch (error) {
    if (error instanceof CallError && error.status === 404) return null;
    throw error;
  }
}
export const modelStats = async () => (await json<{ model_stats: ModelStats[] }>('v2/models/stats')).model_stats;
export async function serverReady(): Promise<boolean> {
  try {
    return (await call('v2/health/ready')).ok;
  } catch (error) {
    if (error instanceof CallError && error.status !== 0) return false;
    throw error;
  }
}

// From "queue;dur=0.1, compute;dur=2" as in a Server-Timing header.
function parseServerTiming(header: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const part of header.split(',')) {
    const [name, ...parameters] = part.trim().split(';');
    for (const parameter of parameters) {
      const [key, value] = parameter.trim().split('=');
      if (name && value && (key === 'dur' || key === 'desc')) found.set(`${name}.${key}`, value.replace(/"/g, ''));
    }
  }
  return found;
}

function timingOf(response: Response, total: number): Timing {
  const parts = parseServerTiming(response.headers.get('server-timing') ?? '');
  const number = (name: string) => (parts.has(name) ? Number(parts.get(name)) : null);
  return {
    total, queue: number('queue.dur'), batch: number('batch.dur'), compute: number('compute.dur'),
    batchSize: number('batch.desc'),
  };
}

export interface Answered {
  answer: InferAnswer;
  timing: Timing;
}

async function infer(path: string, init: RequestInit): Promise<Answered> {
  const start = performance.now();
  const response = await call(path, { ...init, method: 'POST' });
  const text = await response.text();
  const timing = timingOf(response, performance.now() - start);
  return { answer: JSON.parse(text) as InferAnswer, timing };
}

export function inferJson(model: string, version: string, body: string, signal?: AbortSignal): Promise<Answered> {
  return infer(`${modelPath(model, version)}/infer`, {
    body, signal, headers: { 'content-type': 'application/json' },
  });
}

// A picture file as one BYTES element of the input, by the binary tensor extension.
export async function inferPicture(
  model: string, version: string, input: string, picture: Blob, request: object, signal?: AbortSignal,
): Promise<Answered> {
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, picture.size, true);
  const head = new TextEncoder().encode(JSON.stringify({
    ...request,
    inputs: [{
      name: input, shape: [1], datatype: 'BYTES', parameters: { binary_data_size: picture.size + 4 },
    }],
  }));
  return infer(`${modelPath(model, version)}/infer`, {
    body: new Blob([head, length, picture]), signal,
    headers: { 'content-type': 'application/octet-stream', 'inference-header-content-length': String(head.length) },
  });
}
