// Any model: a request as JSON, sent once or many times at once.
import { useEffect, useRef, useState } from 'preact/hooks';
import { inferJson, type Answered, type ModelMetadata } from './api';
import { expandBody, exampleBody } from './example';
import { Outputs, RawJson } from './outputs';
import { Problem } from './problem';
import { Repeat } from './repeat';
import { Steps } from './steps';
import { TimingBar } from './timing';

export function Tensors({ metadata, version }: { metadata: ModelMetadata; version: string }) {
  const [text, setText] = useState(() => exampleBody(metadata));
  const [answered, setAnswered] = useState<Answered | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [profile, setProfile] = useState(false);
  const [busy, setBusy] = useState(false);
  const sending = useRef<AbortController | null>(null);
  useEffect(() => () => sending.current?.abort(), []);

  const send = async () => {
    sending.current?.abort();
    const control = (sending.current = new AbortController());
    setBusy(true);
    setError(null);
    try {
      setAnswered(await inferJson(metadata.name, version, expandBody(text, profile), control.signal));
    } catch (caught) {
      if (control.signal.aborted) return;
      setAnswered(null);
      setError(caught);
    }
    setBusy(false);
  };

  return (
    <div class="split-view">
      <form class="card" onSubmit={(event) => { event.preventDefault(); void send(); }}>
        <h2><label for="body">Request</label></h2>
        <textarea id="body" spellcheck={false} autocomplete="off" rows={16} value={text}
          onInput={(event) => setText(event.currentTarget.value)}
          onKeyDown={(event) => { if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) void send(); }} />
        <p class="hint">
          Where <code>data</code> is <code>"zeros"</code>, <code>"ones"</code> or <code>"random"</code>, this page
          puts as many values as the shape asks for.
        </p>
        <div class="row">
          <button type="submit" class="primary" disabled={busy}>{busy ? 'Running\u2026' : 'Run'}</button>
          <button type="button" onClick={() => setText(exampleBody(metadata))}>Example</button>
          <label class="check"><input type="checkbox" checked={profile} onChange={(event) => setProfile(event.currentTarget.checked)} />Step times</label>
          <small class="keys"><kbd>Ctrl</kbd> <kbd>Enter</kbd> runs it</small>
        </div>
        <Repeat prepare={() => {
          const body = expandBody(text, false);
          return () => inferJson(metadata.name, version, body);
        }} />
      </form>
      <section class="card" aria-live="polite">
        <h2>Answer</h2>
        {error !== null && <Problem error={error} />}
        {answered && (
          <>
            <TimingBar timing={answered.timing} />
            <Outputs answer={answered.answer} />
            {answered.answer.profile && <Steps steps={answered.answer.profile} />}
            <RawJson answer={answered.answer} />
          </>
        )}
        {!answered && error === null && <p class="empty">{busy ? 'Waiting for the server\u2026' : 'Nothing has been sent yet.'}</p>}
      </section>
    </div>
  );
}
