// Begins with the data that the command put into the page, an element of JSON; tools/inspect_html.cpp writes it.
import { families } from './colours.js';
import { element, facts } from './facts.js';
import { Search } from './search.js';
import { View } from './view.js';

const data = JSON.parse(document.getElementById('data').textContent);
const byId = (id) => document.getElementById(id);
const root = document.documentElement;
const views = [];
let active = null;    // the view that keys go to
let hottest = -1, difference = -1;

const events = {
  hover(view, box, x, y) {
    const tip = byId('tip');
    tip.hidden = box === null;
    if (!box) {
      tip.shown = null;
      return;
    }
    if (tip.shown !== box) tip.replaceChildren(facts(view.model, box));
    tip.shown = box;
    tip.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${Math.max(4, Math.min(y + 14, innerHeight - tip.offsetHeight - 8))}px`;
  },
  select(view, box) {
    active = view;
    tell(view, box);
    if (!box || views.length < 2) return;
    // Its counterpart on the other side.
    const other = views[1 - views.indexOf(view)];
    const partner = view.nodesOf(box).map((n) => view.model.nodes[n].partner).find((n) => n !== undefined);
    other.select(partner === undefined ? null : other.boxShowing(partner), false);
  },
  async toggle(view, group) {
    if (view.model.groups[group].members.length === 1) return;
    if (!view.open.delete(group)) view.open.add(group);
    await view.arrange(group);
    // What is told of a box has a button that opens or closes it.
    if (view.selected && view === active) tell(view, view.selected);
  },
};

function tell(view, box) {
  const panel = byId('details');
  if (!box) return summary();
  panel.replaceChildren(facts(view.model, box, (n) => go(view, n)));
  if (box.node === null) {
    const open = element('button', view.open.has(box.group) ? 'Close the box' : 'Open the box', { type: 'button' });
    open.addEventListener('click', () => events.toggle(view, box.group));
    panel.firstChild.append(open);
  }
}

// What the models are, where nothing is selected.
function summary() {
  const panel = byId('details');
  panel.replaceChildren();
  for (const view of views) {
    const part = element('div', null, { class: 'facts' });
    part.append(element('h3', view.model.name));
    const rows = element('table');
    for (const [name, value] of view.model.facts) {
      const row = element('tr');
      row.append(element('td', name), element('td', value));
      rows.append(row);
    }
    part.append(rows);
    const slow = slowest(view).slice(0, 8);
    if (slow.length) part.append(element('h4', 'Slowest steps'));
    for (const g of slow) {
      const button = element('button', `${view.model.groups[g].time} · ${view.model.groups[g].label}`, { type: 'button' });
      button.addEventListener('click', () => view.select(view.boxOfGroup(g)));
      part.append(button);
    }
    panel.append(part);
  }
}

function slowest(view) {
  return [...view.model.groups.keys()].filter((g) => view.model.groups[g].ms > 0)
    .sort((a, b) => view.model.groups[b].ms - view.model.groups[a].ms);
}

// Selects a node, in its box opened if need be.
async function go(view, node) {
  const group = view.groupOf[node];
  if (view.model.groups[group].members.length > 1 && !view.open.has(group)) {
    view.open.add(group);
    await view.arrange(group);
  }
  view.select(view.boxShowing(node));
}

function differing(view) {
  return [...view.model.nodes.keys()].filter((n) => view.model.nodes[n].mark);
}

function nextDifference() {
  const all = views.flatMap((view) => differing(view)
    // Pairs once, at the first model.
    .filter((n) => view === views[0] || view.model.nodes[n].mark === 'only').map((n) => [view, n]));
  if (!all.length) return;
  difference = (difference + 1) % all.length;
  go(...all[difference]);
}

function legend() {
  const parts = [];
  const sample = (text, css) => {
    const item = element('span', text);
    const box = element('i');
    Object.assign(box.style, css);
    item.prepend(box);
    parts.push(item);
  };
  const dark = root.dataset.theme === 'dark';
  if (views[0]?.colour === 'kind') {
    for (const [name, , light, night] of families()) sample(name, { background: dark ? night : light });
  } else if (views.some((view) => view.hottest > 0)) {
    sample('no time', { background: 'var(--node)' });
    sample('the slowest step', { background: 'var(--hot)' });
  }
  if (views.length > 1) {
    sample('≠ differs', { border: '2px solid var(--changed)' });
    sample('+ only in this model', { border: '2px dashed var(--only)' });
    parts.push(element('span', data.summary));
  }
  parts.push(element('span', '▸ several nodes in one step'));
  byId('legend').replaceChildren(...parts);
}

function setTheme(dark) {
  root.dataset.theme = dark ? 'dark' : 'light';
  byId('theme').textContent = dark ? 'Light' : 'Dark';
  for (const view of views) {
    view.dark = dark;
    view.draw();
  }
  legend();
}

function setColour(colour) {
  byId('colour').value = colour;
  for (const view of views) {
    view.colour = colour;
    view.draw();
  }
  legend();
}

async function openAll(open) {
  for (const view of views) {
    view.open = new Set(open ? [...view.model.groups.keys()].filter((g) => view.model.groups[g].members.length > 1) : []);
    await view.arrange(view.selected?.group ?? null);
  }
}

function toggleHelp() {
  byId('help').hidden = !byId('help').hidden;
  byId('help-button').setAttribute('aria-expanded', String(!byId('help').hidden));
}

function key(event) {
  const typing = /^(INPUT|SELECT)$/.test(event.target.tagName);
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const view = active ?? views[0], onButton = event.target.tagName === 'BUTTON';
  const actions = {
    '/': () => byId('search').focus(), '?': toggleHelp, d: nextDifference, Escape: () => view.select(null),
    '+': () => view.zoom(1.25), '=': () => view.zoom(1.25), '-': () => view.zoom(0.8), 0: () => view.fit(),
    h: () => {
      const all = slowest(view);
      if (all.length) view.select(view.boxOfGroup(all[hottest = (hottest + 1) % all.length]));
    },
  };
  if (/^Arrow/.test(event.key)) actions[event.key] = () => view.select(view.neighbour(event.key));
  if (event.key === 'Enter' && !onButton) actions.Enter = () => view.selected && events.toggle(view, view.selected.group);
  if (!actions[event.key]) return;
  event.preventDefault();
  actions[event.key]();
}

async function begin() {
  document.title = `${data.models.map((model) => model.name).join(' and ')} - Sluice`;
  byId('title').textContent = data.models.map((model) => model.name).join(' | ');
  for (const model of data.models) {
    const pane = element('section', null, { class: 'pane', 'aria-label': model.name });
    if (data.models.length > 1) {
      const heading = element('h2', `${model.name} `);
      heading.append(element('small', model.file));
      pane.append(heading);
    }
    const stage = element('div', null, { class: 'stage' });
    pane.append(stage);
    byId('panes').append(pane);
    const view = new View(model, stage, events);
    view.canvas.addEventListener('focus', () => { active = view; });
    views.push(view);
  }
  active = views[0];
  byId('next-difference').hidden = views.length < 2;
  setTheme(matchMedia('(prefers-color-scheme: dark)').matches);
  setColour(views.some((view) => view.hottest > 0) ? 'time' : 'kind');
  const search = new Search(views, (sets) => {
    for (const [view, set] of sets) {
      view.found = set;
      view.draw();
    }
  }, go);
  byId('theme').addEventListener('click', () => setTheme(root.dataset.theme !== 'dark'));
  byId('colour').addEventListener('change', (event) => setColour(event.target.value));
  byId('fit').addEventListener('click', () => views.forEach((view) => view.fit()));
  byId('open-all').addEventListener('click', () => openAll(true));
  byId('close-all').addEventListener('click', () => openAll(false));
  byId('next-difference').addEventListener('click', nextDifference);
  byId('help-button').addEventListener('click', toggleHelp);
  document.addEventListener('keydown', key);
  summary();
  for (const view of views) {
    await view.arrange();
    view.begin();
  }
  requestAnimationFrame(() => { root.dataset.ready = String(Math.round(performance.now())); });
  // For scripts and tests.
  window.sluice = { views, go, search };
}

begin().catch((error) => {
  byId('details').replaceChildren(element('p', `The graph cannot be drawn: ${error.message}`));
  root.dataset.error = error.message;
});
