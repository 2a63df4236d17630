// The camera's picture, with one button that takes a still and one that sends frame after frame.
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Box } from './findings';
import { BoxesOver } from './boxes';
import { toBlob } from './picture_file';

interface Props {
  boxes: Box[];
  // Sends a frame; resolves when its answer is shown, false if it failed.
  send: (frame: Blob, width: number, height: number) => Promise<boolean>;
  onStill: (frame: Blob) => void;
  onClose: () => void;
}

const kPauseMs = 40;  // between the answer to a frame and the next frame

export function Camera({ boxes, send, onStill, onClose }: Props) {
  const video = useRef<HTMLVideoElement>(null);
  const [size, setSize] = useState<[number, number] | null>(null);
  const [problem, setProblem] = useState('');
  const [live, setLive] = useState(false);

  useEffect(() => {
    let stream: MediaStream | null = null;
    let closed = false;
    const devices = navigator.mediaDevices as MediaDevices | undefined;
    if (!devices) {
      setProblem('Browsers give pages a camera on https:// and on localhost only.');
      return;
    }
    devices.getUserMedia({ video: { facingMode: 'environment', width: { ideal: 1280 } } }).then(
      (opened) => {
        stream = opened;
        if (closed) opened.getTracks().forEach((track) => track.stop());
        else video.current!.srcObject = opened;
      },
      (error: Error) => setProblem(
        error.name === 'NotAllowedError' ? 'The browser was not allowed to use the camera.' : 'There is no camera to use.',
      ),
    );
    return () => {
      closed = true;
      stream?.getTracks().forEach((track) => track.stop());
    };
  }, []);

  const frame = async (): Promise<Blob> => {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = size!;
    canvas.getContext('2d')!.drawImage(video.current!, 0, 0);
    return toBlob(canvas, 'image/jpeg');
  };

  useEffect(() => {
    if (!live || !size) return;
    let stopped = false;
    void (async () => {
      while (!stopped && video.current) {
        if (!(await send(await frame(), ...size))) break;
        await new Promise((done) => setTimeout(done, kPauseMs));
      }
      if (!stopped) setLive(false);
    })();
    return () => {
      stopped = true;
    };
  }, [live, size]);

  if (problem) {
    return (
      <div class="notice warn" role="alert">
        <strong>No camera</strong><p>{problem}</p>
        <button type="button" onClick={onClose}>Close</button>
      </div>
    );
  }
  const [width, height] = size ?? [16, 9];
  return (
    <div>
      <BoxesOver width={width} height={height} boxes={live ? boxes : []} chosen={null} onChoose={() => undefined}>
        <video ref={video} autoplay muted playsInline
          onLoadedMetadata={(event) => setSize([event.currentTarget.videoWidth, event.currentTarget.videoHeight])} />
      </BoxesOver>
      <div class="row">
        <button type="button" class="primary" disabled={!size} onClick={() => setLive(!live)}>
          {live ? 'Stop' : 'Send every frame'}
        </button>
        <button type="button" disabled={!size} onClick={() => void frame().then(onStill)}>Take a picture</button>
        <button type="button" onClick={onClose}>Close the camera</button>
      </div>
    </div>
  );
}
