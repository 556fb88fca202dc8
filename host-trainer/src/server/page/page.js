// The status page: asks the server for its records and shows them. No build step, no other scripts.
'use strict';

const $ = (id) => document.getElementById(id);
const number = new Intl.NumberFormat('en');
let token = sessionStorage.getItem('gmcf-token');

// Every text of the server goes into the page as text, never as markup.
function element(name, content, attributes = {}) {
  const made = document.createElement(name);
  if (content instanceof Node) made.append(content);
  else if (content !== undefined) made.textContent = content;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function drawn(name, attributes, content) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (content !== undefined) made.textContent = content;
  return made;
}

async function ask(path) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch(path, { headers });
  if (answer.status === 401 || answer.status === 403) {
    $('token').hidden = false;
    throw new Error(token ? 'The token is not good for this.' : 'A token is needed to read.');
  }
  const record = await answer.json();
  if (!answer.ok) throw new Error(record.detail || answer.statusText);
  return record;
}

const bytes = (count) => number.format(count);
const percent = (part, whole) => (whole ? `${(100 * part / whole).toFixed(part < whole / 100 ? 2 : 1)} %` : '');
const day = (time) => time.slice(0, 10);
const short = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

function row(body, cells) {
  const line = element('tr');
  for (const [content, kind] of cells) line.append(element('td', content, kind ? { class: kind } : {}));
  body.append(line);
}

function totals(status) {
  const saved = Math.max(0, status.whole_bytes - status.sent_bytes);
  const cards = [
    [bytes(status.names), 'names'],
    [bytes(status.versions), 'versions'],
    [bytes(status.clients), 'clients seen'],
    [bytes(status.deltas), `deltas kept, ${bytes(status.delta_bytes)} bytes`],
    [bytes(saved), `bytes saved against whole files${saved ? `, ${percent(saved, status.whole_bytes)}` : ''}`],
    [percent(status.cache_hits, status.cache_lookups) || '–', 'deltas found made'],
  ];
  $('totals').replaceChildren(...cards.map(([value, label]) => {
    const card = element('div');
    card.append(element('b', value), element('span', label));
    return card;
  }));
  $('server').textContent = `${status.server}, up for ${duration(status.uptime_s)}`;
}

function duration(seconds) {
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} days`;
}

function names(record) {
  const body = $('names').tBodies[0];
  body.replaceChildren();
  $('none').hidden = record.names.length > 0;
  for (const { name, latest, versions } of record.names) {
    const button = element('button', name, { class: 'name', type: 'button' });
    button.addEventListener('click', () => { location.hash = name; });
    const kind = latest.kind === 'tree' ? `${latest.version} (folder)` : latest.version;
    row(body, [[button], [kind], [bytes(latest.len), 'number'], [bytes(versions), 'number'], [day(latest.published_at)]]);
  }
}

// An arc diagram: the versions on a line, the deltas above it.
function graph(versions, fleet) {
  const step = Math.max(64, Math.min(140, 900 / versions.length));
  const width = step * versions.length;
  const place = new Map(versions.map((version, index) => [version.version, step * (index + 0.5)]));
  const arcs = fleet.deltas.filter((delta) => delta.from && place.has(delta.from) && place.has(delta.to));
  const widest = Math.max(0, ...arcs.map((delta) => Math.abs(place.get(delta.to) - place.get(delta.from))));
  const height = Math.min(220, widest / 2.5) + 12;
  const most = Math.max(1, ...arcs.map((delta) => delta.times));
  const svg = drawn('svg', { width, height: height + 48, viewBox: `0 0 ${width} ${height + 48}`, role: 'img',
    'aria-label': 'Versions and the deltas between them' });
  for (const delta of arcs) {
    const [from, to] = [place.get(delta.from), place.get(delta.to)];
    const high = Math.max(12, (height - 12) * Math.abs(to - from) / widest);
    const arc = drawn('path', { class: 'arc', tabindex: 0, d: `M${from} ${height} C${from} ${height - high * 1.3} ${to} ${height - high * 1.3} ${to} ${height}`,
      'stroke-width': (1.5 + 6 * Math.log1p(delta.times) / Math.log1p(most)).toFixed(1) });
    arc.append(drawn('title', {}, `${delta.from} to ${delta.to}: ${bytes(delta.len)} bytes (${delta.form}), asked for ${bytes(delta.times)} times`));
    svg.append(arc);
  }
  const clients = new Map(fleet.clients.map(({ version, clients: count }) => [version, count]));
  for (const { version } of versions) {
    const x = place.get(version);
    const count = clients.get(version) || 0;
    svg.append(drawn('circle', { class: 'node', cx: x, cy: height, r: 4 + Math.min(8, 2 * Math.log1p(count)) }));
    svg.append(drawn('text', { x, y: height + 28 }, short(version, Math.floor(step / 7))));
    if (count) svg.append(drawn('text', { x, y: height + 44 }, `${bytes(count)} clients`));
  }
  $('graph').replaceChildren(svg);
}

async function detail() {
  const name = decodeURIComponent(location.hash.slice(1));
  $('detail').hidden = !name;
  if (!name) return;
  const at = `/names/${encodeURIComponent(name)}`;
  const [record, fleet] = await Promise.all([ask(`${at}/versions`), ask(`${at}/fleet`)]);
  $('title').textContent = name;
  graph(record.versions, fleet);
  const clients = new Map(fleet.clients.map(({ version, clients: count }) => [version, count]));
  const body = $('versions').tBodies[0];
  body.replaceChildren();
  for (const version of record.versions.toReversed()) {
    const newest = version.version === record.latest.version;
    const deltas = fleet.deltas.filter((delta) => delta.from === version.version && delta.to === record.latest.version);
    const least = deltas.length ? Math.min(...deltas.map((delta) => delta.len)) : undefined;
    const label = newest ? `${version.version} (counts)` : version.version;
    row(body, [[label], [bytes(version.len), 'number'], [bytes(clients.get(version.version) || 0), 'number'],
      [newest ? '' : least === undefined ? 'not made yet' : bytes(least), 'number'],
      [least === undefined || newest ? '' : percent(least, record.latest.len), 'number'],
      [day(version.published_at)], [version.signed ? 'yes' : 'no']]);
  }
}

async function show() {
  try {
    totals(await ask('/delta/status'));
    names(await ask('/names'));
    await detail();
    $('problem').hidden = true;
  } catch (error) {
    $('problem').textContent = error.message;
    $('problem').hidden = false;
  }
}

$('token').addEventListener('submit', (event) => {
  event.preventDefault();
  token = new FormData(event.target).get('token').trim();
  sessionStorage.setItem('gmcf-token', token);
  $('token').hidden = true;
  show();
});
window.addEventListener('hashchange', show);
show();
setInterval(() => { if (document.visibilityState === 'visible' && $('token').hidden) show(); }, 15000);
