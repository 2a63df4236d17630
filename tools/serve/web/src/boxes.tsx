// A picture, or the camera's, with boxes over it and the list of them beside it.
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { hue, type Box, type ClassScore } from './findings';

interface Props {
  width: number;
  height: number;
  boxes: Box[];
  chosen: number | null;
  onChoose: (index: number | null) => void;
  children: ComponentChildren;  // the picture
}

const kTextPixels = 13;  // on the screen

// Boxes come best first and are drawn best last, over the others. Everything is measured in pixels of the picture; text and lines have the same size on the screen for any picture.
export function BoxesOver({ width, height, boxes, chosen, onChoose, children }: Props) {
  const stage = useRef<HTMLDivElement>(null);
  const [shown, setShown] = useState(width);
  useEffect(() => {
    const observer = new ResizeObserver(() => setShown(stage.current?.clientWidth || width));
    observer.observe(stage.current!);
    return () => observer.disconnect();
  }, []);
  const em = (kTextPixels * width) / shown;
  return (
    <div ref={stage} class="stage" style={{ aspectRatio: `${width} / ${height}`, maxWidth: `calc(68vh * ${width / height})` }}>
      {children}
      <svg viewBox={`0 0 ${width} ${height}`} role="img" aria-label={`${boxes.length} boxes`}>
        {boxes.map((box, i) => [box, i] as const).reverse().map(([{ label, score, box: [left, top, right, bottom] }, i]) => {
          const color = `hsl(${hue(label)} 85% 55%)`;
          const text = `${label} ${Math.round(score * 100)}%`;
          const wide = text.length * em * 0.56 + em * 0.6;
          const x = Math.max(0, Math.min(left, width - wide));
          const y = top >= em * 1.4 ? top - em * 1.4 : Math.max(0, top);
          return (
            <g key={i} class={chosen === null ? '' : chosen === i ? 'chosen' : 'faded'}
              onMouseEnter={() => onChoose(i)} onMouseLeave={() => onChoose(null)}>
              <rect class="box" x={left} y={top} width={Math.max(0, right - left)} height={Math.max(0, bottom - top)}
                stroke={color} stroke-width={em / 7} />
              <rect x={x} y={y} width={wide} height={em * 1.4} fill={color} rx={em / 8} />
              <text x={x + em * 0.3} y={y + em * 1.02} font-size={em} textLength={wide - em * 0.6}
                lengthAdjust="spacingAndGlyphs">{text}</text>
            </g>
          );
        })}
      </svg>
    </div>
  );
}

export function BoxList({ boxes, chosen, onChoose }: Pick<Props, 'boxes' | 'chosen' | 'onChoose'>) {
  if (boxes.length === 0) return <p class="empty">Nothing found above this score.</p>;
  return (
    <ul class="found">
      {boxes.map(({ label, score, box }, i) => (
        <li key={i}>
          <button type="button" class={chosen === i ? 'chosen' : ''} onMouseEnter={() => onChoose(i)}
            onMouseLeave={() => onChoose(null)} onFocus={() => onChoose(i)} onBlur={() => onChoose(null)}>
            <i class="swatch" style={{ background: `hsl(${hue(label)} 85% 55%)` }} />
            <span class="name">{label}</span>
            <span class="score">{(score * 100).toFixed(1)} %</span>
            <small>{box.map((value) => Math.round(value)).join(', ')}</small>
          </button>
        </li>
      ))}
    </ul>
  );
}

// Scores that are no probabilities (logits) get bars by their softmax among those shown.
export function ClassList({ classes }: { classes: ClassScore[] }) {
  const probabilities = classes.every(({ score }) => score >= 0 && score <= 1);
  const max = Math.max(...classes.map(({ score }) => score));
  return (
    <ol class="classes">
      {classes.map(({ label, score }, i) => (
        <li key={i}>
          <span class="name">{label}</span>
          <span class="score">{probabilities ? `${(score * 100).toFixed(1)} %` : score.toFixed(3)}</span>
          <i style={{ width: `${Math.max(0.5, (probabilities ? score : Math.exp(score - max)) * 100)}%` }} />
        </li>
      ))}
    </ol>
  );
}
