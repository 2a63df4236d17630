// Tabs as the WAI-ARIA practices have them: arrow keys move, one tab stop.
import type { ComponentChildren } from 'preact';

export interface Tab {
  id: string;
  label: string;
  content: () => ComponentChildren;
}

export function Tabs({ label, tabs, chosen, onChoose }: {
  label: string; tabs: Tab[]; chosen: string; onChoose: (id: string) => void;
}) {
  const at = Math.max(0, tabs.findIndex((tab) => tab.id === chosen));
  const keys = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, Home: -at, End: tabs.length - 1 - at }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const next = tabs[(at + step + tabs.length) % tabs.length]!;
    onChoose(next.id);
    document.getElementById(`tab-${next.id}`)?.focus();
  };
  return (
    <>
      <div role="tablist" class="tabs" aria-label={label} onKeyDown={keys}>
        {tabs.map((tab, i) => (
          <button type="button" role="tab" id={`tab-${tab.id}`} key={tab.id} aria-selected={i === at} tabIndex={i === at ? 0 : -1}
            aria-controls="panel" onClick={() => onChoose(tab.id)}>{tab.label}</button>
        ))}
      </div>
      <div role="tabpanel" id="panel" aria-labelledby={`tab-${tabs[at]?.id}`}>{tabs[at]?.content()}</div>
    </>
  );
}
