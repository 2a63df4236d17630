// Sends a request many times, some at once, and counts what comes back: a quick look at batching and at limits.
import { useEffect, useRef, useState } from 'preact/hooks';
import { CallError, type Answered } from './api';
import { count, milliseconds } from './format';

const kMostRequests = 100_000;
const kMostAtOnce = 256;  // browsers open few connections to a server of HTTP/1.1; the rest waits in them

interface Tally {
  sent: number;
  latencies: number[];
  errors: Map<string, number>;
  ms: number;
}

function quantile(sorted: number[], q: number): number | null {
  return sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]! : null;
}

// prepare gives the call to repeat, or throws where there is nothing to send.
export function Repeat({ prepare }: { prepare: () => () => Promise<Answered> }) {
  const [requests, setRequests] = useState(200);
  const [atOnce, setAtOnce] = useState(6);
  const [tally, setTally] = useState<Tally | null>(null);
  const [problem, setProblem] = useState('');
  const stop = useRef<(() => void) | null>(null);
  const [running, setRunning] = useState(false);
  useEffect(() => () => stop.current?.(), []);

  const run = async () => {
    let send: () => Promise<Answered>;
    try {
      send = prepare();
    } catch (error) {
      setProblem((error as Error).message);
      return;
    }
    setProblem('');
    let stopped = false;
    stop.current = () => { stopped = true; };
    setRunning(true);
    const now: Tally = { sent: 0, latencies: [], errors: new Map(), ms: 0 };
    const start = performance.now();
    const show = () => setTally({ ...now, latencies: [...now.latencies], ms: performance.now() - start });
    const timer = setInterval(show, 250);
    const client = async () => {
      while (!stopped && now.sent < requests) {
        ++now.sent;
        const sent = performance.now();
        try {
          await send();
          now.latencies.push(performance.now() - sent);
        } catch (error) {
          const name = error instanceof CallError ? `${error.status || ''} ${error.message}`.trim() : String(error);
          now.errors.set(name, (now.errors.get(name) ?? 0) + 1);
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(atOnce, requests) }, client));
    clearInterval(timer);
    show();
    setRunning(false);
  };

  const sorted = tally ? [...tally.latencies].sort((a, b) => a - b) : [];
  const failed = tally ? [...tally.errors.values()].reduce((sum, value) => sum + value, 0) : 0;
  const field = (set: (value: number) => void, most: number) => (event: Event) => {
    const value = Math.round(Number((event.currentTarget as HTMLInputElement).value));
    if (value >= 1) set(Math.min(most, value));
  };
  return (
    <details class="repeat">
      <summary>Send it many times</summary>
      <div class="row">
        <label>Requests <input type="number" min="1" max={kMostRequests} value={requests} onInput={field(setRequests, kMostRequests)} /></label>
        <label>At once <input type="number" min="1" max={kMostAtOnce} value={atOnce} onInput={field(setAtOnce, kMostAtOnce)} /></label>
        {running
          ? <button type="button" onClick={() => stop.current?.()}>Stop</button>
          : <button type="button" onClick={() => void run()}>Start</button>}
      </div>
      {problem && <p class="notice bad" role="alert">{problem}</p>}
      {tally && (
        <div aria-live="polite">
          <progress max={requests} value={sorted.length + failed} aria-label="Requests done" />
          <dl class="figures small">
            <div class="figure"><dt>Answered</dt><dd>{count(sorted.length)}</dd></div>
            <div class={failed ? 'figure alarming' : 'figure'}><dt>Failed</dt><dd>{count(failed)}</dd></div>
            <div class="figure"><dt>A second</dt><dd>{count(sorted.length / (tally.ms / 1000))}</dd></div>
            <div class="figure"><dt>Median</dt><dd>{milliseconds(quantile(sorted, 0.5))}</dd></div>
            <div class="figure"><dt>99 %</dt><dd>{milliseconds(quantile(sorted, 0.99))}</dd></div>
          </dl>
          {[...tally.errors].map(([message, times]) => (
            <p key={message} class="notice bad"><strong>{count(times)}&times;</strong> {message}</p>
          ))}
        </div>
      )}
    </details>
  );
}
