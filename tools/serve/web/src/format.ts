// Numbers as people read them.

function digits(value: number): string {
  const size = Math.abs(value);
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  return value.toFixed(2);
}

export function count(value: number | null): string {
  if (value === null || !Number.isFinite(value)) return '\u2013';
  if (Math.abs(value) >= 1e6) return `${digits(value / 1e6)}M`;
  if (Math.abs(value) >= 1e4) return `${digits(value / 1e3)}k`;
  return Number.isInteger(value) ? String(value) : digits(value);
}

export function milliseconds(value: number | null): string {
  if (value === null || !Number.isFinite(value)) return '\u2013';
  if (value === 0) return '0 ms';
  if (value >= 1000) return `${digits(value / 1000)} s`;
  if (value < 1) return `${Math.round(value * 1000)} \u00b5s`;
  return `${digits(value)} ms`;
}

export function bytes(value: number): string {
  if (value < 1024) return `${value} bytes`;
  if (value < 1024 * 1024) return `${digits(value / 1024)} KiB`;
  return `${digits(value / 1024 / 1024)} MiB`;
}

// "1 \u00d7 3 \u00d7 416 \u00d7 416"; open dimensions are "?".
export function shape(dimensions: number[]): string {
  if (dimensions.length === 0) return 'scalar';
  return dimensions.map((size) => (size < 0 ? '?' : String(size))).join(' \u00d7 ');
}

export function ago(ms: number): string {
  if (!ms) return 'never';
  const seconds = Math.max(0, (Date.now() - ms) / 1000);
  if (seconds < 5) return 'now';
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  return new Date(ms).toLocaleString();
}
