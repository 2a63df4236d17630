// What kind of model the metadata describes.
import type { ModelMetadata } from './api';

// Whether BYTES of picture files may be sent.
export function takesPictures(metadata: ModelMetadata): boolean {
  return metadata.takes_pictures === true;
}
export function detects(metadata: ModelMetadata): boolean {
  return metadata.detects === true;
}

// The input that a picture goes to: the first of the rank of a picture.
export function pictureInput(metadata: ModelMetadata): string {
  return (metadata.inputs.find((input) => input.shape.length >= 3) ?? metadata.inputs[0])?.name ?? '';
}

const kTopClasses = 5;

// What is asked of a picture: boxes of a detector, the best classes of what looks like a classifier, else all.
export function pictureRequest(metadata: ModelMetadata, profile: boolean): object {
  const extra = profile ? { profile: true } : {};
  if (detects(metadata)) return { parameters: extra, outputs: ['boxes', 'scores', 'labels'].map((name) => ({ name })) };
  const scores = metadata.outputs.find((output) => output.datatype === 'FP32');
  if (scores && scores.shape.length <= 2) {
    return {
      parameters: { ...extra, top: kTopClasses },
      outputs: ['top_scores', 'top_indices', 'top_labels'].map((name) => ({ name })),
    };
  }
  return { parameters: extra };
}
