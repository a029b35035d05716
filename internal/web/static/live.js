// Live state over one Server-Sent Events stream. The server sends small HTML pieces; each has an id and is merged
// into the element with the same id. A quiet stream is shown as "Not live", never as "fine".
const silence = 11_000; // looked at every second: said within 12 s
const here = location.pathname + location.search.replace(/([?&])done=[^&]*&?/, '$1').replace(/[?&]$/, '');
const source = '/events?page=' + encodeURIComponent(here);
const banner = document.getElementById('not-live'), polite = document.getElementById('say');
let es = null, seen = 0, shown = '', tries = 0, retry = 0, nextTry = 0, hiddenSince = 0;

/* merge makes old like fresh and keeps the nodes: focus, open menus and what was typed survive. */
const keep = new Set(['aria-expanded', 'open', 'hidden', 'data-live']);
function merge(old, fresh) {
  for (const { name, value } of [...fresh.attributes]) if (!keep.has(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes]) if (!keep.has(name) && name !== 'style' && !fresh.hasAttribute(name)) old.removeAttribute(name);
  const mine = new Map();
  for (const c of old.children) if (c.id) mine.set(c.id, c);
  let at = old.firstChild;
  for (const f of [...fresh.childNodes]) {
    const same = f.id && mine.get(f.id);
    if (same && same !== at) old.insertBefore(same, at);
    const o = same || at;
    if (o && like(o, f)) {
      if (o.nodeType === Node.ELEMENT_NODE) merge(o, f); else if (o.nodeValue !== f.nodeValue) o.nodeValue = f.nodeValue;
      at = o.nextSibling;
    } else old.insertBefore(f, at);
  }
  while (at) { const gone = at; at = at.nextSibling; gone.remove(); }
}
const like = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.id ?? '') === (b.id ?? '');

function patch(html) {
  const box = document.createElement('template');
  box.innerHTML = html;
  for (const el of [...box.content.children]) {
    const old = document.getElementById(el.id);
    if (old) merge(old, el);
  }
  for (const el of document.querySelectorAll('[data-print]')) el.hidden = false;
  if (navigator.clipboard) for (const el of document.querySelectorAll('[data-copy]')) el.hidden = false;
  title();
}
function title() {
  const a = document.getElementById('around');
  if (!a?.dataset.title) return;
  document.title = a.dataset.title;
  const icon = document.querySelector('link[rel="icon"]');
  if (icon.getAttribute('href') !== a.dataset.icon) icon.setAttribute('href', a.dataset.icon);
}
function mark(ok) {
  for (const m of document.querySelectorAll('.live')) {
    m.hidden = false;
    m.dataset.live = ok ? 'on' : 'lost';
    const text = m.querySelector('[data-live-text]'), word = ok ? 'Live' : 'Not live';
    if (text.textContent !== word) text.textContent = word;
  }
  if (banner.hidden !== ok) banner.hidden = ok;
}
function alive() { seen = performance.now(); shown = new Date().toLocaleTimeString([], { hour12: false }); tries = 0; nextTry = 0; mark(true); }

function open() {
  clearTimeout(retry); es?.close();
  es = new EventSource(source);
  es.addEventListener('beat', alive);
  es.addEventListener('patch', e => { patch(e.data); alive(); });
  es.addEventListener('say', e => { polite.textContent = e.data; }); // only step changes and quarters
  es.addEventListener('done', e => { es.close(); location.assign(e.data); });
  es.onerror = () => { es.close(); again(); };
}
function again() {
  const wait = Math.min(30_000, 1000 * 2 ** tries++);
  nextTry = performance.now() + wait;
  clearTimeout(retry); retry = setTimeout(open, wait);
}

// A hidden tab gives its connection back after a while (a browser has six a host), and then claims no state in its title.
document.addEventListener('visibilitychange', () => {
  hiddenSince = document.hidden ? performance.now() : 0;
  if (!document.hidden && (!es || es.readyState === EventSource.CLOSED)) open();
});
setInterval(() => {
  const now = performance.now();
  if (hiddenSince && now - hiddenSince > 30_000) {
    if (es && es.readyState !== EventSource.CLOSED) { es.close(); clearTimeout(retry); document.title = document.getElementById('around')?.dataset.plain ?? document.title; }
    return;
  }
  if (now - seen <= silence) return;
  mark(false);
  const text = `The console has not answered for ${Math.round((now - seen) / 1000)} s, so this page shows the state at ${shown}. A running backup or restore goes on without this page.` +
    (nextTry > now ? ` Trying again in ${Math.ceil((nextTry - now) / 1000)} s.` : ' Trying again.');
  const out = banner.querySelector('[data-not-live]');
  if (out.textContent !== text) out.textContent = text;
  if (es?.readyState === EventSource.OPEN) { es.close(); again(); } // open but silent
}, 1000);

seen = performance.now(); shown = new Date().toLocaleTimeString([], { hour12: false });
open();
