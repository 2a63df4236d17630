// One model on a canvas: pan, zoom, what is hovered and selected, and the strip that shows where one is.
import { layoutModel } from './layout.js';
import { kindColour, timeShade } from './colours.js';

const kStrip = 46;                    // width of the overview
const kLine = 17;                     // height of a line of text
const kFont = '13px system-ui, "Segoe UI", "DejaVu Sans", sans-serif';
const kBold = `600 ${kFont}`;
const kSmallest = 0.45;               // below this scale there are no texts

export class View {
  // Calls events.select(view, node or null, group), events.hover(view, box or null, x, y), events.toggle(view, group).
  constructor(model, stage, events) {
    this.model = model;
    this.stage = stage;
    this.events = events;
    this.canvas = document.createElement('canvas');
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute('role', 'application');
    this.canvas.setAttribute('aria-label', `Graph of ${model.name}, ${model.nodes.length} nodes. Arrow keys move along edges.`);
    stage.append(this.canvas);
    this.context = this.canvas.getContext('2d');
    this.open = new Set();
    this.found = new Set();           // nodes
    this.selected = null;             // a box
    this.colour = 'time';
    this.scale = 1;
    this.x = this.y = 0;              // of the stage's corner in the graph
    this.layout = { w: 0, h: 0, boxes: [], lines: [] };
    this.groupOf = [];
    model.groups.forEach((group, g) => group.members.forEach((n) => { this.groupOf[n] = g; }));
    this.hottest = Math.max(0, ...model.groups.map((group) => group.ms ?? 0));
    new ResizeObserver(() => this.draw()).observe(stage);
    this.listen();
  }

  // Lays out anew. The box of `anchor` (a group) stays where it is on the screen.
  async arrange(anchor = null) {
    const before = anchor === null ? null : this.layout.boxes.find((box) => box.group === anchor && !box.inside);
    const busy = document.createElement('div');
    busy.className = 'busy';
    busy.textContent = 'Laying out…';
    this.stage.append(busy);
    try {
      const kept = this.selected;
      this.layout = await layoutModel(this.model, this.open, (g, n) => this.measure(g, n));
      this.layout.boxes.forEach((box, i) => { box.index = i; });
      this.selected = kept && (this.boxOfNode(kept.node) ?? this.boxOfGroup(kept.group));
    } finally {
      busy.remove();
    }
    const after = before && this.layout.boxes.find((box) => box.group === anchor && !box.inside);
    if (after) {
      this.x += after.x + after.w / 2 - before.x - before.w / 2;
      this.y += after.y - before.y;
    }
    this.draw();
  }

  texts(group, node) {
    if (node === null && this.model.groups[group].members.length > 1) {
      const it = this.model.groups[group];
      return [`${it.label}`, [`${it.members.length} nodes`, it.time].filter(Boolean).join(' · ')];
    }
    const it = this.model.nodes[node ?? this.model.groups[group].members[0]];
    const time = node === null || this.model.groups[this.groupOf[node]].members.length === 1
      ? this.model.groups[group ?? this.groupOf[node]].time : null;
    return [it.op, [it.shape, time].filter(Boolean).join(' · ') || it.name];
  }

  measure(group, node) {
    const [first, second] = this.texts(group, node).map(shorten);
    this.context.font = kBold;
    const wide = this.context.measureText(first).width;
    this.context.font = kFont;
    const several = group !== null && this.model.groups[group].members.length > 1;
    const marked = this.markOf({ group, node }) !== '';
    const top = wide + (several ? 16 : 0) + (marked ? 16 : 0);
    return { w: Math.max(70, Math.ceil(Math.max(top, this.context.measureText(second).width)) + 20),
             h: 2 * kLine + 10 };
  }

  boxOfNode(n) { return n === null ? undefined : this.layout.boxes.find((box) => box.node === n); }
  boxOfGroup(g) { return this.layout.boxes.find((box) => box.group === g && !box.inside); }
  // The box that shows a node, be it inside a closed one.
  boxShowing(n) { return this.boxOfNode(n) ?? this.boxOfGroup(this.groupOf[n]); }

  nodesOf(box) { return box.node !== null ? [box.node] : this.model.groups[box.group].members; }

  width() { return Math.max(50, this.stage.clientWidth - kStrip); }
  height() { return Math.max(50, this.stage.clientHeight); }

  fit() {
    this.scale = Math.min(1.2, (this.width() - 20) / this.layout.w, (this.height() - 20) / this.layout.h);
    this.centre(this.layout.w / 2, this.layout.h / 2);
  }
  // Readable, from the top.
  begin() {
    this.fit();
    if (this.scale >= 0.6) return;
    this.scale = Math.max(this.scale, Math.min(0.9, Math.max(0.6, (this.width() - 20) / this.layout.w)));
    const first = this.layout.boxes.reduce((best, box) => (!best || box.y < best.y ? box : best), null);
    this.x = first.x + first.w / 2 - this.width() / 2 / this.scale;
    this.y = -10 / this.scale;
    this.draw();
  }
  centre(x, y) {
    this.x = x - this.width() / 2 / this.scale;
    this.y = y - this.height() / 2 / this.scale;
    this.draw();
  }
  zoom(factor, px = this.width() / 2, py = this.height() / 2) {
    const lowest = Math.min(0.02, this.width() / this.layout.w / 2, this.height() / this.layout.h / 2);
    const scale = Math.min(4, Math.max(lowest, this.scale * factor));
    this.x += px / this.scale - px / scale;
    this.y += py / this.scale - py / scale;
    this.scale = scale;
    this.draw();
  }
  // Moves no farther than needed to see the box.
  reveal(box) {
    if (this.scale < kSmallest) this.scale = 0.8;
    const w = this.width() / this.scale, h = this.height() / this.scale, pad = 40 / this.scale;
    const out = box.x < this.x + pad || box.x + box.w > this.x + w - pad || box.y < this.y + pad || box.y + box.h > this.y + h - pad;
    if (out) this.centre(box.x + box.w / 2, box.y + Math.min(box.h, h) / 2); else this.draw();
  }

  select(box, tell = true) {
    this.selected = box;
    if (box) this.reveal(box); else this.draw();
    if (tell) this.events.select(this, box);
  }

  at(px, py) {
    const x = this.x + px / this.scale, y = this.y + py / this.scale;
    // Those inside come last.
    return this.layout.boxes.findLast((box) => x >= box.x && x <= box.x + box.w && y >= box.y && y <= box.y + box.h) ?? null;
  }

  // The box where an arrow key leads.
  neighbour(key) {
    const from = this.selected;
    const centre = (box) => box.x + box.w / 2;
    if (!from) return this.layout.boxes.reduce((best, box) => (!best || box.y < best.y ? box : best), null);
    if (key === 'ArrowDown' || key === 'ArrowUp') {
      const ends = this.layout.lines.flatMap((line) => (key === 'ArrowDown'
        ? line.from === from.index ? [line.to] : [] : line.to === from.index ? [line.from] : []));
      let best = null;
      for (const i of ends) {
        const box = this.layout.boxes[i];
        if (!best || Math.abs(centre(box) - centre(from)) < Math.abs(centre(best) - centre(from))) best = box;
      }
      // From inside an open box to its surroundings, and into it.
      if (!best && from.inside) best = this.boxOfGroup(from.group);
      return best ?? from;
    }
    const sign = key === 'ArrowRight' ? 1 : -1;
    let best = from, distance = Infinity;
    for (const box of this.layout.boxes) {
      const apart = (centre(box) - centre(from)) * sign;
      if (box === from || apart <= 0 || Math.abs(box.y - from.y) > 120 || Boolean(box.inside) !== Boolean(from.inside)) continue;
      const far = apart + 3 * Math.abs(box.y - from.y);
      if (far < distance) [best, distance] = [box, far];
    }
    return best;
  }

  listen() {
    let grabbed = null, moved = false;
    const canvas = this.canvas;
    canvas.addEventListener('pointerdown', (event) => {
      canvas.focus({ preventScroll: true });
      if (event.offsetX > this.width()) return this.jump(event.offsetY);
      grabbed = [event.clientX, event.clientY];
      moved = false;
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener('pointermove', (event) => {
      if (grabbed) {
        const dx = event.clientX - grabbed[0], dy = event.clientY - grabbed[1];
        if (!moved && Math.hypot(dx, dy) < 4) return;
        moved = true;
        this.x -= dx / this.scale;
        this.y -= dy / this.scale;
        grabbed = [event.clientX, event.clientY];
        this.events.hover(this, null, 0, 0);
        this.draw();
      } else {
        if (event.offsetX > this.width() && event.buttons) this.jump(event.offsetY);
        this.events.hover(this, event.offsetX > this.width() ? null : this.at(event.offsetX, event.offsetY), event.clientX, event.clientY);
      }
    });
    canvas.addEventListener('pointerup', (event) => {
      if (grabbed && !moved) this.select(this.at(event.offsetX, event.offsetY));
      grabbed = null;
    });
    canvas.addEventListener('pointerleave', () => this.events.hover(this, null, 0, 0));
    canvas.addEventListener('dblclick', (event) => {
      const box = this.at(event.offsetX, event.offsetY);
      if (box) this.events.toggle(this, box.group);
    });
    canvas.addEventListener('wheel', (event) => {
      event.preventDefault();
      const unit = event.deltaMode === 1 ? 16 : 1;
      this.zoom(Math.exp(-event.deltaY * unit * 0.0015), event.offsetX, event.offsetY);
    }, { passive: false });
  }

  jump(py) {
    this.centre(this.layout.w / 2, (py / this.height()) * this.layout.h);
  }

  draw() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      this.paint();
    });
  }

  paint() {
    const ratio = window.devicePixelRatio || 1, { context: c, canvas } = this;
    const w = this.stage.clientWidth, h = this.stage.clientHeight;
    if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) {
      canvas.width = Math.round(w * ratio);
      canvas.height = Math.round(h * ratio);
    }
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    this.theme = Object.fromEntries(['back', 'panel', 'text', 'soft', 'line', 'focus', 'node', 'group', 'edge', 'hot', 'changed', 'only', 'found']
      .map((name) => [name, colour(name)]));
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.clearRect(0, 0, w, h);
    c.save();
    c.beginPath();
    c.rect(0, 0, this.width(), h);
    c.clip();
    c.scale(this.scale, this.scale);
    c.translate(-this.x, -this.y);
    const seen = { x0: this.x, y0: this.y, x1: this.x + this.width() / this.scale, y1: this.y + h / this.scale };
    const inside = (box) => box.x <= seen.x1 && box.x + box.w >= seen.x0 && box.y <= seen.y1 && box.y + box.h >= seen.y0;
    // Long lines were given no room: boxes go over them.
    for (const line of this.layout.lines) if (line.long && !line.inside) this.paintLine(line, seen);
    for (const box of this.layout.boxes) if (!box.inside && inside(box)) this.paintBox(box);
    for (const line of this.layout.lines) if (!line.long && !line.inside) this.paintLine(line, seen);
    for (const box of this.layout.boxes) if (box.inside && inside(box)) this.paintBox(box);
    for (const line of this.layout.lines) if (line.inside) this.paintLine(line, seen);
    c.restore();
    this.paintStrip(h);
  }

  paintLine(line, seen) {
    const c = this.context, points = line.points;
    let x0 = Infinity, x1 = -Infinity, y0 = Infinity, y1 = -Infinity;
    for (const p of points) {
      x0 = Math.min(x0, p.x); x1 = Math.max(x1, p.x); y0 = Math.min(y0, p.y); y1 = Math.max(y1, p.y);
    }
    if (x1 < seen.x0 - 100 || x0 > seen.x1 + 100 || y1 < seen.y0 || y0 > seen.y1) return;
    const chosen = this.selected && (line.from === this.selected.index || line.to === this.selected.index);
    c.strokeStyle = c.fillStyle = chosen ? this.theme.focus : this.theme.edge;
    c.lineWidth = Math.max(chosen ? 2.4 : 1.2, 0.7 / this.scale);
    c.globalAlpha = line.long && !chosen ? 0.45 : 1;
    c.beginPath();
    c.moveTo(points[0].x, points[0].y);
    const last = points[points.length - 1];
    if (line.long) {
      const bend = 60 + Math.min(300, (last.y - points[0].y) / 8);
      c.bezierCurveTo(points[0].x + bend, points[0].y + bend, last.x + bend, last.y - bend, last.x, last.y);
    } else {
      for (let i = 1; i < points.length - 1; ++i) c.arcTo(points[i].x, points[i].y, points[i + 1].x, points[i + 1].y, 8);
      c.lineTo(last.x, last.y);
    }
    c.stroke();
    if (this.scale > 0.3) {
      c.beginPath();
      c.moveTo(last.x, last.y);
      c.lineTo(last.x - 4, last.y - 7);
      c.lineTo(last.x + 4, last.y - 7);
      c.fill();
    }
    c.globalAlpha = 1;
  }

  fillOf(box) {
    const group = this.model.groups[box.group];
    if (this.colour === 'kind') return kindColour(box.node !== null ? this.model.nodes[box.node] : this.model.nodes[group.members[group.main ?? 0]], this.dark);
    return this.hottest > 0 ? timeShade((group.ms ?? 0) / this.hottest, this.theme.node, this.theme.hot) : this.theme.node;
  }

  // 'changed', 'only' or '' for the worst of what a box holds.
  markOf(box) {
    const marks = this.nodesOf(box).map((n) => this.model.nodes[n].mark ?? '');
    return marks.includes('changed') ? 'changed' : marks.includes('only') ? (marks.every((m) => m === 'only') ? 'only' : 'changed') : '';
  }

  paintBox(box) {
    const c = this.context, several = box.node === null, mark = this.markOf(box);
    const searching = this.found.size > 0, hit = searching && this.nodesOf(box).some((n) => this.found.has(n));
    c.globalAlpha = searching && !hit && !box.open ? 0.35 : 1;
    const shape = (grow) => {
      c.beginPath();
      c.roundRect(box.x - grow, box.y - grow, box.w + 2 * grow, box.h + 2 * grow, 6 + grow);
    };
    if (several && !box.open && this.scale > 0.25) {
      c.strokeStyle = this.theme.edge;
      c.lineWidth = 1;
      c.beginPath();
      c.roundRect(box.x + 4, box.y + 4, box.w, box.h, 6);
      c.fillStyle = this.theme.group;
      c.fill();
      c.stroke();
    }
    shape(0);
    c.fillStyle = box.open ? this.theme.group : this.fillOf(box);
    c.fill();
    c.strokeStyle = mark ? this.theme[mark] : this.theme.edge;
    c.lineWidth = mark ? Math.max(3, 1.5 / this.scale) : Math.max(1, 0.5 / this.scale);
    c.setLineDash(mark === 'only' ? [7, 4] : box.open ? [4, 3] : []);
    c.stroke();
    c.setLineDash([]);
    if (hit || box === this.selected) {
      shape(4);
      c.strokeStyle = box === this.selected ? this.theme.focus : this.theme.found;
      c.lineWidth = Math.max(3, 2 / this.scale);
      c.stroke();
    }
    if (this.scale >= kSmallest) this.paintTexts(box, several, mark);
    c.globalAlpha = 1;
  }

  paintTexts(box, several, mark) {
    const c = this.context;
    const [first, second] = this.texts(several ? box.group : box.inside ? null : box.group, box.node).map(shorten);
    c.fillStyle = this.theme.text;
    c.textBaseline = 'middle';
    c.font = kBold;
    const sign = several ? (box.open ? '▾ ' : '▸ ') : '';
    c.fillText(sign + first, box.x + 10, box.y + (box.open ? 12 : 5 + kLine / 2));
    if (mark) {
      c.textAlign = 'right';
      c.fillStyle = this.theme[mark];
      c.fillText(mark === 'only' ? '+' : '≠', box.x + box.w - 6, box.y + 5 + kLine / 2);
      c.textAlign = 'left';
    }
    if (box.open) return;
    c.font = kFont;
    c.fillStyle = this.theme.text;
    c.fillText(second, box.x + 10, box.y + 5 + 1.5 * kLine);
  }

  paintStrip(h) {
    const c = this.context, left = this.width(), { layout } = this;
    c.fillStyle = this.theme.panel;
    c.fillRect(left, 0, kStrip, h);
    c.fillStyle = this.theme.line;
    c.fillRect(left, 0, 1, h);
    if (!layout.w) return;
    const sx = (kStrip - 8) / layout.w, sy = h / layout.h;
    for (const box of layout.boxes) {
      if (box.inside) continue;
      const mark = this.markOf(box), hit = this.found.size > 0 && this.nodesOf(box).some((n) => this.found.has(n));
      const hot = this.colour === 'time' && this.hottest > 0 && (this.model.groups[box.group].ms ?? 0) > 0.1 * this.hottest;
      c.fillStyle = hit ? this.theme.found : mark ? this.theme[mark] : hot ? this.fillOf(box) : this.theme.line;
      c.fillRect(left + 4 + box.x * sx, box.y * sy, Math.max(2, box.w * sx), Math.max(1.2, box.h * sy));
    }
    c.strokeStyle = this.theme.focus;
    c.lineWidth = 1.5;
    const y0 = Math.max(0, this.y * sy), y1 = Math.min(h, (this.y + h / this.scale) * sy);
    c.strokeRect(left + 2, y0, kStrip - 4, Math.max(3, y1 - y0));
  }
}

function shorten(text) {
  return text.length > 44 ? `${text.slice(0, 43)}…` : text;
}
