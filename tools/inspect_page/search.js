// The field that finds nodes by operator, name, values and attributes.
import { element } from './facts.js';

const kShown = 60;

export class Search {
  // Calls found(view -> Set of nodes) on every change, go(view, node) for the one chosen.
  constructor(views, found, go) {
    this.views = views;
    this.found = found;
    this.go = go;
    this.field = document.getElementById('search');
    this.list = document.getElementById('found');
    this.hits = [];
    this.at = -1;
    this.field.addEventListener('input', () => this.look());
    this.field.addEventListener('keydown', (event) => this.key(event));
    this.field.addEventListener('blur', () => setTimeout(() => this.show(false), 200));
    this.field.addEventListener('focus', () => this.show(this.hits.length > 0));
  }

  look() {
    const words = this.field.value.toLowerCase().split(/\s+/).filter(Boolean);
    this.hits = [];
    this.at = -1;
    const sets = new Map();
    for (const view of this.views) {
      const set = new Set();
      view.model.nodes.forEach((node, n) => {
        node.haystack ??= [node.op, node.name, ...(node.outputs ?? []).flat(), ...(node.attributes ?? []).flat()].join(' ').toLowerCase();
        if (words.length === 0 || !words.every((word) => node.haystack.includes(word))) return;
        set.add(n);
        this.hits.push([view, n]);
      });
      sets.set(view, set);
    }
    this.list.replaceChildren(...this.hits.slice(0, kShown).map(([view, n], i) => this.item(view, n, i)));
    if (words.length && !this.hits.length) this.list.append(element('li', 'Nothing found'));
    if (this.hits.length > kShown) this.list.append(element('li', `and ${this.hits.length - kShown} more`));
    this.show(words.length > 0);
    this.found(sets);
  }

  item(view, n, i) {
    const node = view.model.nodes[n];
    const item = element('li', `${node.op} `, { role: 'option', id: `found-${i}`, 'aria-selected': 'false' });
    item.append(element('small', [node.name, node.shape, this.views.length > 1 ? view.model.name : ''].filter(Boolean).join(' · ')));
    item.addEventListener('mousedown', (event) => {
      event.preventDefault();
      this.choose(i);
    });
    return item;
  }

  choose(i) {
    this.at = i;
    [...this.list.children].forEach((item, k) => item.setAttribute('aria-selected', String(k === i)));
    this.list.children[i]?.scrollIntoView({ block: 'nearest' });
    this.field.setAttribute('aria-activedescendant', `found-${i}`);
    this.go(...this.hits[i]);
  }

  key(event) {
    const count = this.hits.length;
    if (event.key === 'Escape') {
      this.field.value = '';
      this.look();
      this.views[0].canvas.focus();
    } else if (count && (event.key === 'Enter' || event.key === 'ArrowDown')) {
      event.preventDefault();
      this.choose((this.at + 1) % count);
    } else if (count && event.key === 'ArrowUp') {
      event.preventDefault();
      this.choose((this.at - 1 + count) % count);
    }
  }

  show(shown) {
    this.list.hidden = !shown;
    this.field.setAttribute('aria-expanded', String(shown));
  }
}
