// The state of the server as this page knows it, asked for again and again while the page is seen.
import { useEffect, useState } from 'preact/hooks';
import {
  CallError, apiKey, metricsText, modelStats, repositoryIndex, serverMetadata, serverReady,
  type IndexEntry, type ModelStats, type ServerMetadata,
} from './api';
import { parseMetrics } from './metrics';
import { kKeptSeconds, type Sample } from './samples';

export interface ServerState {
  metadata: ServerMetadata | null;
  ready: boolean | null;
  index: IndexEntry[] | null;
  stats: ModelStats[];
  samples: Sample[];
  counts: boolean;  // whether /metrics is shown here
  error: CallError | null;  // of the last round
  keyWanted: boolean;
}

const kPollMs = 1000;
const kIndexRounds = 3;  // readiness and index are asked for in each third round

class Server {
  state: ServerState = {
    metadata: null, ready: null, index: null, stats: [], samples: [], counts: true, error: null, keyWanted: false,
  };
  private listeners = new Set<() => void>();
  private rounds = 0;
  private timer = 0;
  private busy = false;

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  start(): void {
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) this.now();
    });
    this.now();
  }

  setKey(key: string): void {
    apiKey.set(key);
    this.rounds = 0;
    this.set({ keyWanted: false });
    this.now();
  }

  // A call elsewhere was refused for want of a key.
  wantKey(): void {
    this.set({ keyWanted: true });
  }

  // Asks for everything at once.
  refresh(): void {
    this.rounds = 0;
    this.now();
  }

  private now(): void {
    clearTimeout(this.timer);
    void this.round();
  }

  private set(change: Partial<ServerState>): void {
    this.state = { ...this.state, ...change };
    for (const listener of this.listeners) listener();
  }

  private async round(): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    let pause = kPollMs;
    try {
      const withIndex = this.rounds % kIndexRounds === 0 || this.state.error !== null;
      const change: Partial<ServerState> = { error: null, keyWanted: false };
      if (!this.state.metadata || this.state.error) change.metadata = await serverMetadata();
      if (withIndex) [change.ready, change.index] = await Promise.all([serverReady(), repositoryIndex()]);
      const [text, stats] = await Promise.all([metricsText(), modelStats()]);
      change.stats = stats;
      change.counts = text !== null;
      if (text !== null) {
        const at = Date.now() / 1000;
        const sample = { at, metrics: parseMetrics(text) };
        change.samples = [...this.state.samples, sample].filter((old) => at - old.at <= kKeptSeconds);
      }
      ++this.rounds;
      this.set(change);
    } catch (error) {
      const known = error instanceof CallError ? error : new CallError(0, String(error));
      const change: Partial<ServerState> = { error: known, keyWanted: known.status === 401 };
      if (known.status === 0) change.ready = null;
      if (known.retryAfter) pause = known.retryAfter * 1000;
      this.set(change);
    } finally {
      this.busy = false;
      if (!document.hidden) this.timer = window.setTimeout(() => void this.round(), pause);
    }
  }
}

export const server = new Server();

export function useServer(): ServerState {
  const [state, setState] = useState(server.state);
  useEffect(() => server.subscribe(() => setState(server.state)), []);
  return state;
}
