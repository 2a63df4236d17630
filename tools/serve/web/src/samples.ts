// What /metrics said each second of the last minutes, and the series that charts draw of it.
import { buckets, since, quantile, total, totalsBy, type Labels, type Metrics } from './metrics';

export interface Sample {
  at: number;  // seconds since 1970
  metrics: Metrics;
}

export const kKeptSeconds = 180;
// Percentiles and means look this far back, so that a few requests a second make no saw.
const kWindowSeconds = 5;

export interface Series {
  at: number[];
  throughput: (number | null)[];
  failures: (number | null)[];
  p50: (number | null)[];
  p90: (number | null)[];
  p99: (number | null)[];
  queued: (number | null)[];
  running: (number | null)[];
  batch: (number | null)[];
  cores: (number | null)[];
  parts: Record<Part, (number | null)[]>;
}
export const kParts = ['queue', 'batch', 'compute', 'network'] as const;
export type Part = (typeof kParts)[number];

const kMs = 1000;

function rate(now: Sample, before: Sample | undefined, name: string, wanted: Labels): number | null {
  if (!before || now.at <= before.at) return null;
  const change = total(now.metrics, name, wanted) - total(before.metrics, name, wanted);
  // A server that started anew counts from zero.
  return change < 0 ? null : change / (now.at - before.at);
}

// Mean milliseconds of what a histogram counted between two samples.
function mean(now: Sample, before: Sample, name: string, wanted: Labels): number | null {
  const count = total(now.metrics, `${name}_count`, wanted) - total(before.metrics, `${name}_count`, wanted);
  const sum = total(now.metrics, `${name}_sum`, wanted) - total(before.metrics, `${name}_sum`, wanted);
  return count > 0 && sum >= 0 ? (sum / count) * kMs : null;
}

// The youngest sample at least kWindowSeconds older than samples[index], or the oldest.
function windowStart(samples: Sample[], index: number): Sample {
  let i = index;
  while (i > 0 && samples[index]!.at - samples[i]!.at < kWindowSeconds - 0.2) --i;
  return samples[i]!;
}

// Of one model, or of all for model "".
export function seriesOf(samples: Sample[], model: string): Series {
  const wanted: Labels = model ? { model } : {};
  const series: Series = {
    at: [], throughput: [], failures: [], p50: [], p90: [], p99: [], queued: [], running: [], batch: [], cores: [],
    parts: { queue: [], batch: [], compute: [], network: [] },
  };
  samples.forEach((now, index) => {
    const before = samples[index - 1];
    const start = windowStart(samples, index);
    series.at.push(now.at);
    series.throughput.push(rate(now, before, 'sluice_inference_request_success', wanted));
    series.failures.push(rate(now, before, 'sluice_inference_request_failure', wanted));
    const latency = 'sluice_inference_request_seconds';
    const counts = since(buckets(now.metrics, latency, wanted), buckets(start.metrics, latency, wanted));
    for (const [name, q] of [['p50', 0.5], ['p90', 0.9], ['p99', 0.99]] as const) {
      const seconds = quantile(counts, q);
      series[name].push(seconds === null ? null : seconds * kMs);
    }
    series.queued.push(total(now.metrics, 'sluice_inference_pending_request_count', wanted));
    series.running.push(total(now.metrics, 'sluice_inference_running_request_count', wanted));
    const executions = rate(now, start, 'sluice_inference_exec_count', wanted);
    const inferences = rate(now, start, 'sluice_inference_count', wanted);
    series.batch.push(executions && inferences !== null ? inferences / executions : null);
    series.cores.push(rate(now, before, 'process_cpu_seconds_total', {}));
    for (const part of kParts) {
      const name = part === 'network' ? 'sluice_network_seconds' : `sluice_inference_${part}_seconds`;
      series.parts[part].push(mean(now, start, name, wanted));
    }
  });
  return series;
}

// Executions by batch size in the time that is kept: [["1", 12], ["2", 3], ["3-4", 1]].
export function batchSizes(samples: Sample[], model: string): [label: string, count: number][] {
  const now = samples.at(-1);
  const before = samples[0];
  if (!now || !before) return [];
  const wanted: Labels = model ? { model } : {};
  const name = 'sluice_inference_batch_size';
  const counts = since(buckets(now.metrics, name, wanted), buckets(before.metrics, name, wanted));
  const bars: [string, number][] = [];
  let below = 0;
  let last = 0;
  for (const [bound, count] of counts) {
    const label = bound === Infinity ? `>${last}` : bound - last > 1 ? `${last + 1}\u2013${bound}` : String(bound);
    bars.push([label, count - below]);
    below = count;
    last = bound;
  }
  while (bars.length > 4 && bars.at(-1)![1] === 0) bars.pop();
  return bars;
}

// Failures a second by reason in the last seconds, most frequent first.
export function failuresNow(samples: Sample[], model: string): [reason: string, perSecond: number][] {
  const now = samples.at(-1);
  if (!now || samples.length < 2) return [];
  const start = windowStart(samples, samples.length - 1);
  const wanted: Labels = model ? { model } : {};
  const name = 'sluice_inference_request_failure';
  const before = totalsBy(start.metrics, name, 'reason', wanted);
  const seconds = now.at - start.at;
  return [...totalsBy(now.metrics, name, 'reason', wanted)]
    .map(([reason, count]): [string, number] => [reason, (count - (before.get(reason) ?? 0)) / seconds])
    .filter(([, perSecond]) => perSecond > 0)
    .sort((a, b) => b[1] - a[1]);
}
