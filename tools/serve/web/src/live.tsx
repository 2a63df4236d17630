// Charts of what the server does now, of one model or of all.
import { useMemo } from 'preact/hooks';
import { Bars, Chart } from './chart';
import { count, milliseconds } from './format';
import { batchSizes, failuresNow, seriesOf, kParts, type Sample } from './samples';

const kShownSeconds = 120;
const kPartColors = { queue: '--amber', batch: '--violet', compute: '--blue', network: '--teal' } as const;

const last = (values: (number | null)[]) => values.at(-1) ?? null;

function Figure({ label, value, alarming }: { label: string; value: string; alarming?: boolean }) {
  return <div class={alarming ? 'figure alarming' : 'figure'}><dt>{label}</dt><dd>{value}</dd></div>;
}

const kReasons: Record<string, string> = {
  overloaded: 'refused because the queue is full', timeout: 'over their time limit', invalid: 'not fitting the model',
  cancelled: 'given up by clients', internal: 'failed in the server', unavailable: 'while the model was not ready',
  rate_limited: 'beyond the rate of their key', too_large: 'too large',
};

// What goes wrong now, in a sentence.
export function Failures({ samples, model }: { samples: Sample[]; model: string }) {
  const failing = failuresNow(samples, model);
  if (failing.length === 0) return null;
  const overloaded = failing.some(([reason]) => reason === 'overloaded');
  return (
    <div class={overloaded ? 'notice bad' : 'notice warn'} role="status">
      <strong>{overloaded ? 'Overloaded.' : 'Requests fail.'}</strong>{' '}
      {failing.map(([reason, rate]) => `${count(rate)} a second ${kReasons[reason] ?? reason}`).join('; ')}.
    </div>
  );
}

export function Figures({ samples, model }: { samples: Sample[]; model: string }) {
  const series = useMemo(() => seriesOf(samples, model), [samples, model]);
  const failures = last(series.failures);
  return (
    <dl class="figures">
      <Figure label="Answers a second" value={count(last(series.throughput))} />
      <Figure label="Median latency" value={milliseconds(last(series.p50))} />
      <Figure label="99th percentile" value={milliseconds(last(series.p99))} />
      <Figure label="Waiting" value={count(last(series.queued))} />
      <Figure label="Errors a second" value={count(failures)} alarming={(failures ?? 0) > 0} />
      <Figure label="Cores busy" value={count(last(series.cores))} />
    </dl>
  );
}

export function Live({ samples, model }: { samples: Sample[]; model: string }) {
  const series = useMemo(() => seriesOf(samples, model), [samples, model]);
  const bars = useMemo(() => batchSizes(samples, model), [samples, model]);
  const common = { at: series.at, seconds: kShownSeconds };
  return (
    <div class="charts">
      <Chart {...common} title="Throughput" note="a second" format={count} lines={[
        { label: 'answered', color: '--blue', values: series.throughput, fill: true },
        { label: 'failed', color: '--red', values: series.failures },
      ]} />
      <Chart {...common} title="Latency" note="percentiles over 5 s, from histograms" format={milliseconds} lines={[
        { label: '50 %', color: '--teal', values: series.p50 },
        { label: '90 %', color: '--amber', values: series.p90 },
        { label: '99 %', color: '--red', values: series.p99 },
      ]} />
      <Chart {...common} title="Where time goes" note="mean of a request" format={milliseconds} lines={
        kParts.map((part) => ({ label: part, color: kPartColors[part], values: series.parts[part] }))
      } />
      <Chart {...common} title="Queue" note="requests" format={count} lines={[
        { label: 'waiting', color: '--amber', values: series.queued, fill: true },
        { label: 'running', color: '--blue', values: series.running },
      ]} />
      <Bars title="Batch sizes" note="executions in the last 3 minutes" bars={bars} format={count} />
      <Chart {...common} title="Processor" note="cores busy, the whole server" format={count} lines={[
        { label: 'cores', color: '--violet', values: series.cores, fill: true },
      ]} />
    </div>
  );
}
