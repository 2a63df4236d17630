// Where the time of one request went, as a bar and in numbers.
import type { Timing } from './api';
import { milliseconds } from './format';

export function TimingBar({ timing }: { timing: Timing }) {
  const { total, queue, batch, compute, batchSize } = timing;
  const known = queue !== null || batch !== null || compute !== null;
  const network = Math.max(0, total - (queue ?? 0) - (batch ?? 0) - (compute ?? 0));
  const parts: [string, string, number][] = known
    ? [
      ['Queue', 'queue', queue ?? 0], ['Batch', 'batch', batch ?? 0], ['Compute', 'compute', compute ?? 0],
      ['Network', 'network', network],
    ]
    : [['All together', 'network', total]];
  return (
    <section class="timing" aria-label="Latency">
      <h3>Latency <b>{milliseconds(total)}</b>
        {batchSize !== null && <small>ran in a batch of {batchSize}</small>}
      </h3>
      <div class="split" aria-hidden="true">
        {parts.map(([, name, value]) => <i key={name} class={name} style={{ flexGrow: value / (total || 1) }} />)}
      </div>
      <ul class="legend">
        {parts.map(([label, name, value]) => (
          <li key={name}><i class={`swatch ${name}`} />{label} <b>{milliseconds(value)}</b></li>
        ))}
      </ul>
    </section>
  );
}
