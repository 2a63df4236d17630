// The text of /metrics, and what its histograms say of a span of time.

export type Labels = Record<string, string>;
export interface Series {
  labels: Labels;
  value: number;
}
// By name; a histogram's as NAME_bucket, NAME_sum and NAME_count.
export type Metrics = Map<string, Series[]>;

const kLine = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)/;
const kLabel = /([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"/g;

function unescapeLabel(text: string): string {
  return text.replace(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c));
}

function parseNumber(text: string): number {
  if (text === '+Inf' || text === 'Inf') return Infinity;
  if (text === '-Inf') return -Infinity;
  return Number(text);
}

export function parseMetrics(text: string): Metrics {
  const result: Metrics = new Map();
  for (const line of text.split('\n')) {
    const match = line.startsWith('#') ? null : kLine.exec(line);
    if (!match) continue;
    const labels: Labels = {};
    for (const [, name, value] of (match[2] ?? '').matchAll(kLabel)) labels[name!] = unescapeLabel(value!);
    const series = result.get(match[1]!);
    const one = { labels, value: parseNumber(match[3]!) };
    if (series) series.push(one);
    else result.set(match[1]!, [one]);
  }
  return result;
}

function matches(labels: Labels, wanted: Labels): boolean {
  return Object.entries(wanted).every(([name, value]) => labels[name] === value);
}

// The sum over all series that have the labels wanted.
export function total(metrics: Metrics, name: string, wanted: Labels = {}): number {
  let sum = 0;
  for (const { labels, value } of metrics.get(name) ?? []) if (matches(labels, wanted)) sum += value;
  return sum;
}

// Totals by the values of one label.
export function totalsBy(metrics: Metrics, name: string, label: string, wanted: Labels = {}): Map<string, number> {
  const sums = new Map<string, number>();
  for (const { labels, value } of metrics.get(name) ?? []) {
    const key = labels[label];
    if (key !== undefined && matches(labels, wanted)) sums.set(key, (sums.get(key) ?? 0) + value);
  }
  return sums;
}

// Cumulative counts by upper bound, ascending, over all series that have the labels wanted.
export type Buckets = [bound: number, count: number][];
export function buckets(metrics: Metrics, name: string, wanted: Labels = {}): Buckets {
  const sums = totalsBy(metrics, `${name}_bucket`, 'le', wanted);
  return [...sums].map(([le, count]): [number, number] => [parseNumber(le), count]).sort((a, b) => a[0] - b[0]);
}

// What came between two states of a histogram. A server that started anew counts from zero.
export function since(now: Buckets, before: Buckets): Buckets {
  const old = new Map(before);
  const restarted = now.some(([bound, count]) => count < (old.get(bound) ?? 0));
  return now.map(([bound, count]) => [bound, restarted ? count : count - (old.get(bound) ?? 0)]);
}

// The value below which a share q of what was counted lies, by linear interpolation within its bucket; null where
// nothing was counted.
export function quantile(counts: Buckets, q: number): number | null {
  const all = counts.at(-1)?.[1] ?? 0;
  if (all <= 0) return null;
  const rank = q * all;
  let below = 0;
  let start = 0;
  for (const [bound, count] of counts) {
    if (count >= rank && count > below) {
      if (bound === Infinity) return start;
      return start + ((bound - start) * (rank - below)) / (count - below);
    }
    below = count;
    start = bound;
  }
  return start;
}
