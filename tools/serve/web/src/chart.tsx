// A chart of lines over time, drawn again as the samples come and when light turns dark.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';

export interface Line {
  label: string;
  color: string;  // a custom property of the style sheet: "--blue"
  values: (number | null)[];
  fill?: boolean;
}

interface Props {
  title: string;
  note?: string;
  at: number[];
  lines: Line[];
  format: (value: number | null) => string;
  height?: number;
  seconds: number;  // of the time axis, once there are so many
}

const kLeastSeconds = 20;

const color = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Counts up when the page's colours change.
export function useColors(): number {
  const [version, setVersion] = useState(0);
  useEffect(() => {
    const changed = () => setVersion((old) => old + 1);
    const query = matchMedia('(prefers-color-scheme: dark)');
    query.addEventListener('change', changed);
    const observer = new MutationObserver(changed);
    observer.observe(document.documentElement, { attributeFilter: ['data-theme'] });
    return () => {
      query.removeEventListener('change', changed);
      observer.disconnect();
    };
  }, []);
  return version;
}

function options(lines: Line[], format: Props['format'], width: number, height: number): uPlot.Options {
  const axis = {
    stroke: color('--muted'), font: '11px system-ui, sans-serif',
    grid: { stroke: color('--grid'), width: 1 }, ticks: { show: false },
  };
  return {
    width, height, padding: [6, 10, 0, 0], cursor: { points: { size: 6 }, drag: { x: false, y: false }, y: false }, legend: { show: false },
    scales: { x: { time: true }, y: { range: (_, __, max) => [0, max > 0 ? max * 1.15 : 1] } },
    axes: [
      { ...axis, size: 26, gap: 8, space: 70, values: (_, ticks) => ticks.map((at) => new Date(at * 1000).toLocaleTimeString([], { hour12: false })) },
      { ...axis, size: 58, gap: 6, space: 30, values: (_, ticks) => ticks.map((value) => format(value)) },
    ],
    series: [
      {},
      ...lines.map((line) => ({
        label: line.label, stroke: color(line.color), width: 1.75, points: { show: false }, spanGaps: false,
        fill: line.fill ? `${color(line.color)}22` : undefined,
      })),
    ],
  };
}

export function Chart({ title, note, at, lines, format, height = 150, seconds }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [shown, setShown] = useState<number | null>(null);
  const colors = useColors();
  const names = useMemo(() => lines.map((line) => line.label + line.color).join(), [lines]);

  useEffect(() => {
    const element = box.current!;
    const made = new uPlot(options(lines, format, element.clientWidth, height), [[], ...lines.map(() => [])], element);
    made.hooks.setCursor = [(self) => setShown(self.cursor.idx ?? null)];
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [names, colors, height]);

  useEffect(() => {
    const last = at.at(-1) ?? Date.now() / 1000;
    plot.current?.batch(() => {
      plot.current!.setData([at, ...lines.map((line) => line.values)], false);
      plot.current!.setScale('x', { min: last - Math.min(seconds, Math.max(kLeastSeconds, last - (at[0] ?? last))), max: last });
    });
  }, [at, lines, colors]);

  const index = shown !== null && shown < at.length ? shown : at.length - 1;
  const values = lines.map((line) => format(line.values[index] ?? null));
  return (
    <section class="card chart" aria-label={`${title}: ${lines.map((line, i) => `${line.label} ${values[i]}`).join(', ')}`}>
      <h2>{title}{note && <small>{note}</small>}</h2>
      <ul class="legend">
        {lines.map((line, i) => (
          <li key={line.label}><i class="swatch" style={{ background: `var(${line.color})` }} />{line.label} <b>{values[i]}</b></li>
        ))}
      </ul>
      <div ref={box} class="plot" style={{ height: `${height}px` }} aria-hidden="true" />
    </section>
  );
}

// Bars of counts, as HTML.
export function Bars({ title, note, bars, format }: {
  title: string; note?: string; bars: [string, number][]; format: (value: number) => string;
}) {
  const max = Math.max(1, ...bars.map(([, value]) => value));
  return (
    <section class="card chart">
      <h2>{title}{note && <small>{note}</small>}</h2>
      {bars.every(([, value]) => value === 0) ? <p class="empty">Nothing has run yet.</p> : (
        <ul class="bars">
          {bars.map(([label, value]) => (
            <li key={label}>
              <div class="track">
                <b>{value ? format(value) : ''}</b>
                <i style={{ height: `${value ? Math.max(1, (value / max) * 84) : 0}%` }} />
              </div>
              <span>{label}</span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
