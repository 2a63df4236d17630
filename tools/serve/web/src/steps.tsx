// Where a run spent its time, step by step, the longest first.
import type { Step } from './api';
import { milliseconds } from './format';

const kShown = 10;

export function Steps({ steps }: { steps: Step[] }) {
  const sorted = [...steps].sort((a, b) => b.ns - a.ns);
  const total = sorted.reduce((sum, step) => sum + step.ns, 0) || 1;
  return (
    <section class="step-times" aria-label="Steps">
      <h3>Steps <small>{steps.length} in {milliseconds(total / 1e6)}, the longest first</small></h3>
      <ol class="classes steps">
        {sorted.slice(0, kShown).map((step, i) => (
          <li key={i}>
            <span class="name"><b>{step.op}</b> {step.node}</span>
            <span class="score">{milliseconds(step.ns / 1e6)}</span>
            <small>{step.kernel}</small><small class="score">{((100 * step.ns) / total).toFixed(1)} %</small>
            <i style={{ width: `${Math.max(0.3, (100 * step.ns) / total)}%` }} />
          </li>
        ))}
      </ol>
    </section>
  );
}
