// Places for the boxes of one model: chains are taken together, elkjs lays out what remains.
import ELK from 'elkjs/lib/elk-api.js';
import workerSource from 'elkjs/lib/elk-worker.min.js?text';

const kGap = 14;       // between the boxes of a chain
const kHeader = 24;    // of an open box
const kMargin = 10;    // inside an open box
// Edges over more rows than this are left out of the layout, which pays for every row of each, where the graph is
// large; they are drawn as curves.
const kLongEdge = 24;
const kLargeGraph = 300;

let elk = null;

function engine() {
  if (elk === null) {
    const url = URL.createObjectURL(new Blob([workerSource], { type: 'text/javascript' }));
    elk = new ELK({ workerFactory: () => new Worker(url) });
  }
  return elk;
}

// units: [{w, h}], edges: [[from, to]] without repetition or cycles.
// Returns {w, h, places: [{x, y, w}], lines: [{from, to, points, long}]}.
export async function place(units, edges) {
  const chains = chainsOf(units, edges);
  const sizes = chains.members.map((list) => ({
    w: Math.max(...list.map((u) => units[u].w)),
    h: list.reduce((sum, u) => sum + units[u].h + kGap, -kGap),
  }));
  const between = edges.filter(([a, b]) => chains.of[a] !== chains.of[b]);
  const depth = depths(chains.members.length, between.map(([a, b]) => [chains.of[a], chains.of[b]]));
  const isLong = ([a, b]) => chains.members.length > kLargeGraph && depth[chains.of[b]] - depth[chains.of[a]] > kLongEdge;
  const laid = await engine().layout({
    id: 'root',
    layoutOptions: {
      'elk.algorithm': 'layered', 'elk.direction': 'DOWN', 'elk.edgeRouting': 'POLYLINE',
      'elk.layered.thoroughness': chains.members.length > kLargeGraph ? '1' : '7',
      'elk.layered.nodePlacement.strategy': 'BRANDES_KOEPF', 'elk.layered.nodePlacement.bk.fixedAlignment': 'BALANCED',
      'elk.spacing.nodeNode': '24', 'elk.layered.spacing.nodeNodeBetweenLayers': '34',
      'elk.layered.spacing.edgeNodeBetweenLayers': '14', 'elk.spacing.edgeNode': '14', 'elk.spacing.edgeEdge': '10',
    },
    children: sizes.map((size, c) => ({ id: `n${c}`, width: size.w, height: size.h })),
    edges: between.flatMap((edge, e) => (isLong(edge) ? [] :
      [{ id: `e${e}`, sources: [`n${chains.of[edge[0]]}`], targets: [`n${chains.of[edge[1]]}`] }])),
  });
  const places = new Array(units.length);
  for (const child of laid.children) {
    const c = Number(child.id.slice(1));
    let y = child.y;
    for (const u of chains.members[c]) {
      places[u] = { x: child.x, y, w: sizes[c].w };
      y += units[u].h + kGap;
    }
  }
  const bottom = (u) => ({ x: places[u].x + places[u].w / 2, y: places[u].y + units[u].h });
  const top = (u) => ({ x: places[u].x + places[u].w / 2, y: places[u].y });
  const lines = [];
  for (const edge of laid.edges ?? []) {
    const [from, to] = between[Number(edge.id.slice(1))];
    const section = edge.sections[0];
    lines.push({ from, to, points: [section.startPoint, ...(section.bendPoints ?? []), section.endPoint] });
  }
  for (const edge of between.filter(isLong)) {
    lines.push({ from: edge[0], to: edge[1], points: [bottom(edge[0]), top(edge[1])], long: true });
  }
  for (const [from, to] of edges) {
    if (chains.of[from] === chains.of[to]) lines.push({ from, to, points: [bottom(from), top(to)] });
  }
  return { w: laid.width, h: laid.height, places, lines };
}

// Boxes that follow each other with nothing beside them. `of` is the chain of each unit.
function chainsOf(units, edges) {
  const next = units.map(() => []), before = units.map(() => []);
  for (const [a, b] of edges) {
    next[a].push(b);
    before[b].push(a);
  }
  const of = new Array(units.length).fill(-1), members = [];
  for (let u = 0; u < units.length; ++u) {
    const inside = before[u].length === 1 && next[before[u][0]].length === 1;
    if (inside) continue;
    const chain = [];
    for (let at = u; ; at = next[at][0]) {
      of[at] = members.length;
      chain.push(at);
      if (next[at].length !== 1 || before[next[at][0]].length !== 1) break;
    }
    members.push(chain);
  }
  return { of, members };
}

// The longest way to each unit.
function depths(count, edges) {
  const next = Array.from({ length: count }, () => []), waiting = new Array(count).fill(0);
  for (const [a, b] of edges) {
    next[a].push(b);
    ++waiting[b];
  }
  const depth = new Array(count).fill(0), ready = [];
  waiting.forEach((n, u) => n === 0 && ready.push(u));
  while (ready.length) {
    const u = ready.pop();
    for (const v of next[u]) {
      depth[v] = Math.max(depth[v], depth[u] + 1);
      if (--waiting[v] === 0) ready.push(v);
    }
  }
  return depth;
}

// The boxes of a model with the groups in `open` shown with their members.
// measure(group index or null, node index or null) -> {w, h} of a closed box.
// Returns {w, h, boxes: [{x, y, w, h, group, node}], lines: [{from, to, points, long}]} where from and to are boxes;
// outer boxes come before those inside them.
export async function layoutModel(model, open, measure) {
  const units = [], inner = new Map();
  const groupOf = new Array(model.nodes.length);
  model.groups.forEach((group, g) => group.members.forEach((n) => { groupOf[n] = g; }));
  for (const [g, group] of model.groups.entries()) {
    if (group.members.length === 1 || !open.has(g)) {
      units.push(measure(g, null));
      continue;
    }
    const at = new Map(group.members.map((n, i) => [n, i]));
    const edges = unique(model.edges.filter(([a, b]) => at.has(a) && at.has(b)).map(([a, b]) => [at.get(a), at.get(b)]));
    const laid = await place(group.members.map((n) => measure(null, n)), edges);
    inner.set(g, laid);
    units.push({ w: Math.max(laid.w + 2 * kMargin, measure(g, null).w), h: laid.h + kHeader + kMargin });
  }
  const edges = acyclic(units.length, unique(model.edges.map(([a, b]) => [groupOf[a], groupOf[b]]).filter(([a, b]) => a !== b)));
  const laid = await place(units, edges);
  const boxes = [], boxOfGroup = [];
  for (const [g, group] of model.groups.entries()) {
    boxOfGroup.push(boxes.length);
    const single = group.members.length === 1;
    boxes.push({ ...laid.places[g], h: units[g].h, group: g, node: single ? group.members[0] : null, open: inner.has(g) });
  }
  const lines = laid.lines.map((line) => ({ ...line, from: boxOfGroup[line.from], to: boxOfGroup[line.to] }));
  for (const [g, part] of inner) {
    const outer = boxes[boxOfGroup[g]], first = boxes.length;
    const dx = outer.x + (outer.w - part.w) / 2, dy = outer.y + kHeader;
    model.groups[g].members.forEach((node, i) => {
      const own = part.places[i];
      boxes.push({ x: own.x + dx, y: own.y + dy, w: own.w, h: measure(null, node).h, group: g, node, inside: true });
    });
    for (const line of part.lines) {
      lines.push({ from: first + line.from, to: first + line.to, long: line.long, inside: true,
                   points: line.points.map((p) => ({ x: p.x + dx, y: p.y + dy })) });
    }
  }
  return { w: laid.w, h: laid.h, boxes, lines };
}

function unique(edges) {
  const seen = new Set();
  return edges.filter(([a, b]) => {
    const key = `${a} ${b}`;
    return !seen.has(key) && seen.add(key);
  });
}

// Groups of nodes that a pass moved may wait for each other: edges that close a circle are left out.
function acyclic(count, edges) {
  const next = Array.from({ length: count }, () => []);
  edges.forEach(([, b], e) => next[edges[e][0]].push([b, e]));
  const state = new Array(count).fill(0), closing = new Set();
  for (let root = 0; root < count; ++root) {
    if (state[root] !== 0) continue;
    const path = [[root, 0]];
    state[root] = 1;
    while (path.length) {
      const top = path[path.length - 1];
      if (top[1] === next[top[0]].length) {
        state[top[0]] = 2;
        path.pop();
        continue;
      }
      const [v, e] = next[top[0]][top[1]++];
      if (state[v] === 1) closing.add(e);
      if (state[v] === 0) {
        state[v] = 1;
        path.push([v, 0]);
      }
    }
  }
  return edges.filter((_, e) => !closing.has(e));
}
