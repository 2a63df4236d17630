// A model that takes pictures: a file dropped, chosen or pasted, or the camera; boxes or classes come back.
import { useEffect, useRef, useState } from 'preact/hooks';
import { inferPicture, type Answered, type ModelMetadata } from './api';
import { BoxList, BoxesOver, ClassList } from './boxes';
import { Camera } from './camera';
import { findingsOf } from './findings';
import { bytes } from './format';
import { Outputs, RawJson } from './outputs';
import { preparePicture, type PictureFile } from './picture_file';
import { Problem } from './problem';
import { Repeat } from './repeat';
import { Steps } from './steps';
import { pictureInput, pictureRequest } from './kinds';
import { TimingBar } from './timing';

export function Pictures({ metadata, version }: { metadata: ModelMetadata; version: string }) {
  const [picture, setPicture] = useState<PictureFile | null>(null);
  const [answered, setAnswered] = useState<Answered | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const [over, setOver] = useState(false);
  const [camera, setCamera] = useState(false);
  const [profile, setProfile] = useState(false);
  const [least, setLeast] = useState(0.25);
  const [chosen, setChosen] = useState<number | null>(null);
  const sending = useRef<AbortController | null>(null);
  const chooser = useRef<HTMLInputElement>(null);
  const input = pictureInput(metadata);
  useEffect(() => () => sending.current?.abort(), []);
  useEffect(() => () => { if (picture) URL.revokeObjectURL(picture.url); }, [picture]);

  const send = async (file: Blob): Promise<boolean> => {
    sending.current?.abort();
    const control = (sending.current = new AbortController());
    setBusy(true);
    setChosen(null);
    try {
      const result = await inferPicture(metadata.name, version, input, file, pictureRequest(metadata, profile), control.signal);
      setAnswered(result);
      setError(null);
      return true;
    } catch (caught) {
      if (control.signal.aborted) return false;
      setAnswered(null);
      setError(caught);
      return false;
    } finally {
      if (sending.current === control) setBusy(false);
    }
  };

  const take = async (file: Blob | null | undefined) => {
    if (!file) return;
    setCamera(false);
    setAnswered(null);
    setError(null);
    try {
      const prepared = await preparePicture(file);
      setPicture(prepared);
      await send(prepared.file);
    } catch (caught) {
      setPicture(null);
      setError(caught);
    }
  };

  useEffect(() => {
    const paste = (event: ClipboardEvent) => {
      const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith('image/'));
      if (file) void take(file);
    };
    addEventListener('paste', paste);
    return () => removeEventListener('paste', paste);
  });

  const findings = answered ? findingsOf(answered.answer) : null;
  const boxes = (findings?.boxes ?? []).filter((box) => box.score >= least);
  const drop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    void take(event.dataTransfer?.files[0]);
  };

  return (
    <div class="split-view pictures">
      <section class={over ? 'card drop over' : 'card drop'} onDragOver={(event) => { event.preventDefault(); setOver(true); }}
        onDragLeave={() => setOver(false)} onDrop={drop} aria-busy={busy}>
        <input ref={chooser} id="file" class="hidden-input" type="file" accept="image/*" aria-label="Choose a picture"
          onChange={(event) => {
            void take(event.currentTarget.files?.[0]);
            event.currentTarget.value = '';
          }} />
        {camera && (
          <Camera boxes={boxes} send={send} onStill={(frame) => void take(frame)} onClose={() => setCamera(false)} />
        )}
        {!camera && !picture && (
          <div class="invitation">
            <svg viewBox="0 0 24 24" aria-hidden="true"><path d="M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.5 9.5h.01" /></svg>
            <p><b>Drop a picture here</b><br />or paste one</p>
          </div>
        )}
        {!camera && picture && (
          <BoxesOver {...picture} boxes={boxes} chosen={chosen} onChoose={setChosen}>
            <img src={picture.url} alt="The picture sent to the model" />
          </BoxesOver>
        )}
        {!camera && (
          <div class="row">
            <label for="file" class="button primary">Choose a picture</label>
            <button type="button" onClick={() => { setCamera(true); setPicture(null); setAnswered(null); setError(null); }}>Use the camera</button>
            {picture && <button type="button" disabled={busy} onClick={() => void send(picture.file)}>Run again</button>}
            <label class="check"><input type="checkbox" checked={profile} onChange={(event) => setProfile(event.currentTarget.checked)} />Step times</label>
            {picture && <small>{picture.width} &times; {picture.height}, {bytes(picture.file.size)}</small>}
          </div>
        )}
        {!camera && picture && <Repeat prepare={() => () => inferPicture(metadata.name, version, input, picture.file, pictureRequest(metadata, false))} />}
      </section>
      <section class="card" aria-live="polite">
        <h2>Found</h2>
        {error !== null && <Problem error={error} />}
        {answered && <TimingBar timing={answered.timing} />}
        {findings?.boxes && (
          <>
            <label class="slider">Score at least <output>{Math.round(least * 100)} %</output>
              <input type="range" min="0" max="0.95" step="0.05" value={least}
                onInput={(event) => setLeast(Number(event.currentTarget.value))} />
            </label>
            <BoxList boxes={boxes} chosen={chosen} onChoose={setChosen} />
          </>
        )}
        {findings?.classes && <ClassList classes={findings.classes} />}
        {answered && !findings?.boxes && !findings?.classes && <Outputs answer={answered.answer} />}
        {answered?.answer.profile && <Steps steps={answered.answer.profile} />}
        {answered && !camera && <RawJson answer={answered.answer} />}
        {!answered && error === null && <p class="empty">{busy ? 'Waiting for the server\u2026' : 'Nothing has been sent yet.'}</p>}
      </section>
    </div>
  );
}
