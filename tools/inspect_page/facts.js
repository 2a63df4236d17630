// What is told about a box, as elements. All texts of the model go in as text.
export function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  if (text !== null && text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function table(rows) {
  const made = element('table');
  for (const cells of rows) {
    const row = element('tr');
    for (const cell of cells) row.append(element('td', cell));
    made.append(row);
  }
  return made;
}

function section(into, title, ...parts) {
  into.append(element('h4', title), ...parts);
}

function nodeFacts(model, node, into) {
  const it = model.nodes[node];
  const domain = it.domain ? `${it.domain}.` : '';
  into.append(element('h3', `${domain}${it.op}`));
  if (it.name) into.append(element('p', it.name));
  if (it.doc) into.append(element('p', it.doc));
  if (it.mark === 'only') into.append(element('p', 'Only in this model', { class: 'difference' }));
  for (const difference of it.differences ?? []) into.append(element('p', `≠ ${difference}`, { class: 'difference' }));
  if (it.inputs?.length) section(into, 'Inputs', table(it.inputs));
  if (it.outputs?.length) section(into, 'Outputs', table(it.outputs));
  if (it.attributes?.length) section(into, 'Attributes', table(it.attributes));
  for (const w of it.weights ?? []) {
    section(into, 'Weights', element('p', w.name), table([['type', w.type], ...w.facts]));
  }
}

function stepFacts(group, into) {
  if (group.time) into.append(element('p', `Takes ${group.time}`));
  if (group.kernel) into.append(element('p', `Kernel: ${group.kernel}`));
}

// For a box of the view; `go` is called with a node to go to, and makes the members buttons.
export function facts(model, box, go = null) {
  const into = element('div', null, { class: 'facts' });
  const group = model.groups[box.group];
  if (box.node !== null) {
    nodeFacts(model, box.node, into);
    if (group.members.length > 1) section(into, 'Runs in', element('p', group.label));
    if (group.time || group.kernel) {
      section(into, 'Step');
      stepFacts(group, into);
    }
    return into;
  }
  into.append(element('h3', group.label));
  if (group.name) into.append(element('p', group.name));
  stepFacts(group, into);
  section(into, `${group.members.length} nodes in one step`);
  for (const n of group.members) {
    const it = model.nodes[n];
    const text = [it.op, it.name, it.shape].filter(Boolean).join(' · ') + (it.mark ? ' ≠' : '');
    if (!go) {
      into.append(element('p', text));
      continue;
    }
    const button = element('button', text, { type: 'button' });
    button.addEventListener('click', () => go(n));
    into.append(button);
  }
  return into;
}
