// What a model says of a picture: boxes, or the best classes, or neither.
import type { InferAnswer, OutputTensor } from './api';

export interface Box {
  label: string;
  score: number;
  box: [left: number, top: number, right: number, bottom: number];  // pixels of the picture
}
export interface ClassScore {
  label: string;
  score: number;
}
export interface Findings {
  boxes: Box[] | null;
  classes: ClassScore[] | null;
}

function find(answer: InferAnswer, name: string): OutputTensor | undefined {
  return answer.outputs.find((output) => output.name === name);
}

export function findingsOf(answer: InferAnswer): Findings {
  const boxes = find(answer, 'boxes');
  const scores = find(answer, 'scores');
  const labels = find(answer, 'labels');
  if (boxes && scores && labels && labels.datatype === 'BYTES') {
    const corners = boxes.data.flat(2).map(Number);
    const found = scores.data.flat(2).map((score, i): Box => ({
      label: String(labels.data.flat(2)[i]), score: Number(score),
      box: [corners[4 * i]!, corners[4 * i + 1]!, corners[4 * i + 2]!, corners[4 * i + 3]!],
    }));
    return { boxes: found.sort((a, b) => b.score - a.score), classes: null };
  }
  const topScores = find(answer, 'top_scores');
  const topLabels = find(answer, 'top_labels');
  if (topScores && topLabels) {
    const names = topLabels.data.flat(4);
    return {
      boxes: null,
      classes: topScores.data.flat(4).map((score, i) => ({ label: String(names[i]), score: Number(score) })),
    };
  }
  return { boxes: null, classes: null };
}

// A hue that a label always has, far from those of other labels.
export function hue(label: string): number {
  let hash = 2166136261;
  for (const char of label) hash = Math.imul(hash ^ char.codePointAt(0)!, 16777619);
  return Math.round((((hash >>> 0) * 0.618033988749895) % 1) * 360);
}
