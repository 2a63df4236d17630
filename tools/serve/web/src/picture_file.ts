// Makes a picture file one that every server reads: JPEG or PNG, upright.

// The orientation in a JPEG's EXIF data, 1 to 8; 1 where there is none.
export function orientation(bytes: DataView): number {
  if (bytes.byteLength < 4 || bytes.getUint16(0) !== 0xffd8) return 1;
  for (let at = 2; at + 4 <= bytes.byteLength;) {
    const marker = bytes.getUint16(at);
    const size = bytes.getUint16(at + 2);
    if ((marker & 0xff00) !== 0xff00 || marker === 0xffda || size < 2) return 1;
    if (marker === 0xffe1 && at + 18 <= bytes.byteLength && bytes.getUint32(at + 4) === 0x45786966) {
      const tiff = at + 10;
      const little = bytes.getUint16(tiff) === 0x4949;
      const directory = tiff + bytes.getUint32(tiff + 4, little);
      if (directory + 2 > bytes.byteLength) return 1;
      const entries = bytes.getUint16(directory, little);
      for (let i = 0; i < entries; ++i) {
        const entry = directory + 2 + i * 12;
        if (entry + 12 > bytes.byteLength) return 1;
        if (bytes.getUint16(entry, little) === 0x0112) return bytes.getUint16(entry + 8, little);
      }
      return 1;
    }
    at += 2 + size;
  }
  return 1;
}

export function toBlob(canvas: HTMLCanvasElement, type: string): Promise<Blob> {
  return new Promise((done, fail) => {
    canvas.toBlob((blob) => (blob ? done(blob) : fail(new Error('The picture cannot be encoded.'))), type, 0.92);
  });
}

export interface PictureFile {
  file: Blob;
  url: string;  // of it; revoke it
  width: number;
  height: number;
}

export async function preparePicture(file: Blob): Promise<PictureFile> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Error('This file is not a picture that the browser can read.');
  }
  const { width, height } = bitmap;
  const head = new DataView(await file.slice(0, 128 * 1024).arrayBuffer());
  const plain = (file.type === 'image/jpeg' && orientation(head) === 1) || file.type === 'image/png';
  if (!plain) {
    const canvas = document.createElement('canvas');
    canvas.width = width;
    canvas.height = height;
    canvas.getContext('2d')!.drawImage(bitmap, 0, 0);
    file = await toBlob(canvas, file.type === 'image/jpeg' ? 'image/jpeg' : 'image/png');
  }
  bitmap.close();
  return { file, url: URL.createObjectURL(file), width, height };
}
