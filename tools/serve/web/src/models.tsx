// The models of the server, and the page of one of them.
import { useEffect, useMemo, useState } from 'preact/hooks';
import { modelMetadata, type IndexEntry, type ModelMetadata, type ModelStats, type TensorInfo } from './api';
import { ago, count, shape } from './format';
import { takesPictures } from './kinds';
import { Figures, Live } from './live';
import { Pictures } from './pictures';
import { Problem } from './problem';
import type { Sample } from './samples';
import { Tabs, type Tab } from './tabs';
import { Tensors } from './tensors';

const kStateWords: Record<string, string> = {
  READY: 'ready', LOADING: 'loading', UNLOADING: 'unloading', UNAVAILABLE: 'not available',
};

export function State({ state }: { state: string }) {
  return <span class={`state ${state.toLowerCase()}`}>{kStateWords[state] ?? state.toLowerCase()}</span>;
}

export interface ModelGroup {
  name: string;
  state: string;  // the best of its versions'
  entries: IndexEntry[];  // newest version first
}

const kOrder = ['READY', 'LOADING', 'UNLOADING', 'UNAVAILABLE'];

export function groups(index: IndexEntry[]): ModelGroup[] {
  const byName = new Map<string, IndexEntry[]>();
  for (const entry of index) byName.set(entry.name, [...(byName.get(entry.name) ?? []), entry]);
  return [...byName].sort(([a], [b]) => a.localeCompare(b)).map(([name, entries]) => ({
    name,
    state: kOrder.find((state) => entries.some((entry) => entry.state === state)) ?? entries[0]!.state,
    entries: entries.sort((a, b) => Number(b.version) - Number(a.version)),
  }));
}

export const modelLink = (name: string) => `#/models/${encodeURIComponent(name)}`;

export function ModelTable({ models, stats }: { models: ModelGroup[]; stats: ModelStats[] }) {
  if (models.length === 0) {
    return <p class="empty card">There are no models. Put NAME/1/model.onnx or NAME.onnx into the folder of <code>--models</code>.</p>;
  }
  return (
    <div class="card table models" tabIndex={0} role="region" aria-label="Models">
      <table>
        <thead><tr><th>Model</th><th>Version</th><th>State</th><th class="number">Inferences</th><th>Last</th></tr></thead>
        <tbody>
          {models.flatMap((model) => model.entries.map((entry) => {
            const own = stats.find((one) => one.name === entry.name && one.version === entry.version);
            return (
              <tr key={`${entry.name}/${entry.version}`}>
                <td><a href={modelLink(entry.name)}>{entry.name}</a></td>
                <td>{entry.version || '\u2013'}</td>
                <td><State state={entry.state} />{entry.reason && <small class="reason">{entry.reason}</small>}</td>
                <td class="number">{count(own?.inference_count ?? 0)}</td>
                <td>{ago(own?.last_inference ?? 0)}</td>
              </tr>
            );
          }))}
        </tbody>
      </table>
    </div>
  );
}

function Tensor({ info }: { info: TensorInfo }) {
  return (
    <tr><td><code>{info.name}</code></td><td><span class="type">{info.datatype}</span></td><td>{shape(info.shape)}</td></tr>
  );
}

function Signature({ metadata }: { metadata: ModelMetadata }) {
  const properties = Object.entries(metadata.properties ?? {});
  return (
    <div class="signature">
      {([['Inputs', metadata.inputs], ['Outputs', metadata.outputs]] as const).map(([title, tensors]) => (
        <section class="card table" key={title} tabIndex={0} aria-label={title}>
          <h2>{title}</h2>
          <table>
            <thead><tr><th>Name</th><th>Type</th><th>Shape</th></tr></thead>
            <tbody>{tensors.map((info) => <Tensor key={info.name} info={info} />)}</tbody>
          </table>
        </section>
      ))}
      {properties.length > 0 && (
        <section class="card">
          <h2>Properties</h2>
          <dl class="properties">
            {properties.map(([name, value]) => (
              <div key={name}><dt>{name}</dt><dd>{value.length > 400 ? `${value.slice(0, 400)}\u2026` : value}</dd></div>
            ))}
          </dl>
        </section>
      )}
      <p class="hint">Dimensions shown as <b>?</b> are open: the request says how large they are.</p>
    </div>
  );
}

export function ModelPage({ model, samples }: {
  model: ModelGroup;
  samples: Sample[] | null;  // null: there are none to be had
}) {
  const ready = model.entries.filter((entry) => entry.state === 'READY');
  const [version, setVersion] = useState('');  // "": the newest
  const [metadata, setMetadata] = useState<ModelMetadata | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [tab, setTab] = useState('');
  const serving = ready.map((entry) => entry.version).join();

  useEffect(() => {
    let old = false;
    setError(null);
    if (!serving) {
      setMetadata(null);
      return;
    }
    modelMetadata(model.name, version).then(
      (loaded) => { if (!old) setMetadata(loaded); },
      (caught: unknown) => { if (!old) setError(caught); },
    );
    return () => { old = true; };
  }, [model.name, version, serving]);

  const tabs = useMemo((): Tab[] => {
    if (!metadata) return [];
    const all: Tab[] = [];
    const key = `${metadata.name}/${version}/${metadata.versions?.join()}`;
    if (takesPictures(metadata)) {
      all.push({ id: 'picture', label: 'Picture', content: () => <Pictures key={key} metadata={metadata} version={version} /> });
    }
    all.push({ id: 'tensors', label: 'Tensors', content: () => <Tensors key={key} metadata={metadata} version={version} /> });
    all.push({ id: 'signature', label: 'Signature', content: () => <Signature metadata={metadata} /> });
    return all;
  }, [metadata, version]);
  const live: Tab[] = samples ? [{
    id: 'live', label: 'Live',
    content: () => <><Figures samples={samples} model={model.name} /><Live samples={samples} model={model.name} /></>,
  }] : [];

  return (
    <>
      <header class="title">
        <h1>{model.name}</h1>
        <State state={model.state} />
        {ready.length > 0 && (
          <label>Version{' '}
            <select value={version} onChange={(event) => setVersion(event.currentTarget.value)}>
              <option value="">newest ({ready[0]!.version})</option>
              {ready.map((entry) => <option key={entry.version} value={entry.version}>{entry.version}</option>)}
            </select>
          </label>
        )}
      </header>
      {model.entries.filter((entry) => entry.reason).map((entry) => (
        <div class={entry.state === 'READY' ? 'notice warn' : 'notice bad'} key={entry.version}>
          <strong>Version {entry.version || '?'}</strong> {entry.reason}
        </div>
      ))}
      {error !== null && <Problem error={error} />}
      {tabs.length > 0 && <Tabs label={`Model ${model.name}`} tabs={[...tabs, ...live]} chosen={tab} onChoose={setTab} />}
    </>
  );
}
