import { render } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { apiKey } from './api';
import { Failures, Figures, Live } from './live';
import { KeyForm } from './key';
import { ModelPage, ModelTable, State, groups, modelLink } from './models';
import { server, useServer, type ServerState } from './server';
import { ThemeButton } from './theme';

function useModelName(): string {
  const read = () => {
    const match = /^#\/models\/(.+)$/.exec(location.hash);
    try {
      return match ? decodeURIComponent(match[1]!) : '';
    } catch {
      return '';
    }
  };
  const [name, setName] = useState(read);
  useEffect(() => {
    const changed = () => setName(read());
    addEventListener('hashchange', changed);
    return () => removeEventListener('hashchange', changed);
  }, []);
  return name;
}

function Health({ ready, error }: ServerState) {
  if (ready === null && !error) return <span class="state loading">connecting</span>;
  if (error?.status === 0) return <span class="state unavailable">not reachable</span>;
  if (error?.status === 401) return <span class="state loading">locked</span>;
  return ready ? <span class="state ready">ready</span> : <span class="state loading">not ready</span>;
}

function App() {
  const state = useServer();
  const [keyOpen, setKeyOpen] = useState(false);
  const name = useModelName();
  const models = groups(state.index ?? []);
  const model = models.find((one) => one.name === name);
  const { error } = state;

  useEffect(() => {
    document.title = name ? `${name} \u00b7 Sluice` : 'Sluice';
  }, [name]);

  return (
    <>
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); document.getElementById('main')?.focus(); }}>To the content</a>
      <header class="top">
        <a class="brand" href="#/"><img src="icon.svg" alt="" width="26" height="26" />Sluice</a>
        {state.metadata && <small>{state.metadata.version}</small>}
        <Health {...state} />
        <span class="space" />
        <button type="button" class="quiet" aria-expanded={keyOpen} onClick={() => setKeyOpen(!keyOpen)}>
          {apiKey.get() ? 'API key set' : 'API key'}
        </button>
        <ThemeButton />
      </header>
      <div class="columns">
        <nav aria-label="Models">
          <a href="#/" aria-current={name ? undefined : 'page'}>All models</a>
          {models.map((one) => (
            <a key={one.name} href={modelLink(one.name)} aria-current={one.name === name ? 'page' : undefined}>
              <span>{one.name}</span><State state={one.state} />
            </a>
          ))}
        </nav>
        <main id="main" tabIndex={-1}>
          {(state.keyWanted || keyOpen) && <KeyForm refused={state.keyWanted} onDone={() => setKeyOpen(false)} />}
          {error && !state.keyWanted && (
            <div class="notice bad" role="status"><strong>{error.title}.</strong> {error.message}</div>
          )}
          <Failures samples={state.samples} model={name} />
          {!name && state.index && (
            <>
              <header class="title"><h1>All models</h1></header>
              {state.counts && <Figures samples={state.samples} model="" />}
              <ModelTable models={models} stats={state.stats} />
              {state.counts
                ? <Live samples={state.samples} model="" />
                : <p class="hint">This address does not show what the server counts, so there are no charts.</p>}
            </>
          )}
          {name && model && <ModelPage key={name} model={model} samples={state.counts ? state.samples : null} />}
          {name && !model && state.index && <p class="notice bad">There is no model with this name.</p>}
        </main>
      </div>
    </>
  );
}

render(<App />, document.getElementById('app')!);
server.start();
