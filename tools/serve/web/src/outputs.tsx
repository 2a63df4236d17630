// The outputs of an answer: what they are, their range and their first values.
import { useState } from 'preact/hooks';
import type { InferAnswer, OutputTensor } from './api';
import { count, shape } from './format';

const kShownValues = 24;
const kShownText = 20_000;

function range({ data, datatype }: OutputTensor): string {
  if (datatype === 'BYTES' || datatype === 'BOOL' || data.length === 0) return '';
  let min = Infinity;
  let max = -Infinity;
  let sum = 0;
  for (const item of data) {
    const number = Number(item);
    min = Math.min(min, number);
    max = Math.max(max, number);
    sum += number;
  }
  const short = (number: number) => (Number.isInteger(number) ? count(number) : number.toPrecision(4));
  return `${short(min)} to ${short(max)}, mean ${short(sum / data.length)}`;
}

function text(item: unknown): string {
  if (typeof item === 'number' && !Number.isInteger(item)) return String(Number(item.toPrecision(6)));
  return typeof item === 'string' ? JSON.stringify(item) : String(item);
}

export function Outputs({ answer }: { answer: InferAnswer }) {
  return (
    <ul class="outputs">
      {answer.outputs.map((output) => {
        const flat = { ...output, data: output.data.flat(16) };
        return (
          <li key={output.name}>
            <h3><code>{output.name}</code> <span class="type">{output.datatype}</span> <small>{shape(output.shape)}</small></h3>
            <p class="values">
              {flat.data.slice(0, kShownValues).map(text).join(', ')}
              {flat.data.length > kShownValues && ` \u2026 ${count(flat.data.length - kShownValues)} more`}
            </p>
            {range(flat) && <small>{range(flat)}</small>}
          </li>
        );
      })}
    </ul>
  );
}

export function RawJson({ answer }: { answer: InferAnswer }) {
  const [open, setOpen] = useState(false);
  const all = open ? JSON.stringify(answer) : '';
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>Answer as JSON</summary>
      {open && (
        <pre tabIndex={0}>{all.length > kShownText ? `${all.slice(0, kShownText)}\u2026 (${count(all.length)} characters)` : all}</pre>
      )}
    </details>
  );
}
