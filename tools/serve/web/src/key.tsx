// The key that the server asks for, kept until the tab is closed.
import { useState } from 'preact/hooks';
import { apiKey } from './api';
import { server } from './server';

export function KeyForm({ refused, onDone }: { refused: boolean; onDone: () => void }) {
  const [key, setKey] = useState('');
  const had = apiKey.get() !== '';
  return (
    <form class={refused ? 'notice warn key' : 'notice key'} onSubmit={(event) => {
      event.preventDefault();
      server.setKey(key.trim());
      setKey('');
      onDone();
    }}>
      <label for="key"><strong>{refused ? (had ? 'This API key is not known here.' : 'This server asks for an API key.') : 'API key'}</strong></label>
      <div class="row">
        <input id="key" type="password" autocomplete="off" spellcheck={false} value={key} autofocus={!refused}
          onInput={(event) => setKey(event.currentTarget.value)} />
        <button type="submit" class="primary">Use it</button>
        {had && <button type="button" onClick={() => { server.setKey(''); onDone(); }}>Forget it</button>}
        {!refused && <button type="button" onClick={onDone}>Close</button>}
      </div>
      <small>It stays in this tab and is forgotten when the tab is closed.</small>
    </form>
  );
}
