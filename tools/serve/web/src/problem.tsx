// An error of a call, in plain words; one for want of a key also asks for it.
import { useEffect } from 'preact/hooks';
import { CallError } from './api';
import { server } from './server';

export function Problem({ error }: { error: unknown }) {
  const known = error instanceof CallError ? error : null;
  useEffect(() => {
    if (known?.status === 401) server.wantKey();
  }, [known]);
  return (
    <div class="notice bad" role="alert">
      <strong>{known ? known.title : 'That did not work'}</strong>
      {known && known.status > 0 && <span class="status">HTTP {known.status}</span>}
      <p>{error instanceof Error ? error.message : String(error)}</p>
      {known?.retryAfter && <p>Try again in {known.retryAfter} s.</p>}
    </div>
  );
}
