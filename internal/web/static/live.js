// Live parts over Server-Sent Events. The server sends small HTML pieces; each has an id and is merged into the element
// with the same id. A quiet stream is shown as "Not live", never as "fine".
//
// A browser gives a host six connections over HTTP/1.1, however many tabs it has: so the tabs elect one of them, by a
// Web Lock, that holds the stream for all, and passes on what comes: what is about one page to the tabs that show it, on
// a channel of their own, so that two hundred tabs are not two hundred times the work of one. Which pages there are is read
// from the locks that the tabs hold: one that crashes lets go of its own. Without Web Locks (over plain HTTP to another machine) each tab
// has a stream of its own.
const silence = 11_000; // looked at every second: said within 12 s
const here = location.pathname + location.search.replace(/([?&])done=[^&]*&?/, '$1').replace(/[?&]$/, '');
const banner = document.getElementById('not-live'), polite = document.getElementById('say');
const told = banner.querySelector('[data-not-live]');
let seen = performance.now(), shown = told.dataset.moment, nextTry = 0;

/* ---- pieces ---- */
const keep = new Set(['aria-expanded', 'open', 'hidden', 'data-live']);
let last = '', held = false; // what came last of this page, and whether a part of it was not put in place

/* merge makes old like fresh and keeps the nodes, so that focus and what was typed survive. An open menu stays as it is,
   and what holds the focus is not taken away: both are caught up with when they are let go. */
function merge(old, fresh) {
  if (old.matches('.menu:popover-open')) { held = true; return; }
  for (const { name, value } of [...fresh.attributes]) if (!keep.has(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes]) if (!keep.has(name) && name !== 'style' && !fresh.hasAttribute(name)) old.removeAttribute(name);
  const mine = new Map(), coming = new Set([...fresh.children].map(c => c.id));
  for (const c of old.children) if (c.id) mine.set(c.id, c);
  let at = old.firstChild;
  for (const f of [...fresh.childNodes]) {
    while (at?.id && !coming.has(at.id)) { const gone = at; at = at.nextSibling; drop(gone); }
    const same = f.id && mine.get(f.id);
    if (same && same !== at) at = bring(old, same, at, coming);
    const o = same || at;
    if (o && like(o, f)) {
      if (o.nodeType === Node.ELEMENT_NODE) merge(o, f); else if (o.nodeValue !== f.nodeValue) o.nodeValue = f.nodeValue;
      at = o.nextSibling;
    } else old.insertBefore(f, at);
  }
  while (at) { const gone = at; at = at.nextSibling; drop(gone); }
}
const like = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.id ?? '') === (b.id ?? '');
const holds = node => node.nodeType === Node.ELEMENT_NODE && (node.contains(document.activeElement) || node.querySelector('.menu:popover-open'));
function drop(node) { if (holds(node)) held = true; else node.remove(); }
/* bring makes same the node at its place. What is moved loses its focus and its open menu: rather go nodes that are not
   wanted any more, then what stands in the way of a node that holds them. It returns where to go on. */
function bring(parent, same, at, coming) {
  let n = at;
  while (n && n !== same && !(n.id && coming.has(n.id))) n = n.nextSibling;
  const free = n === same;
  if (!free && !holds(same)) { parent.insertBefore(same, at); return at; }
  while (at !== same) { const gone = at; at = at.nextSibling; if (free) drop(gone); else parent.insertBefore(gone, same.nextSibling); }
  return same;
}
function patch(html) {
  last = html; held = false;
  const box = document.createElement('template');
  box.innerHTML = html;
  const of = root => root.getElementById('around')?.dataset.organization;
  if (of(box.content) !== of(document)) { following.leave(); location.reload(); return; } // another tab went to another organization
  for (const el of [...box.content.children]) {
    const old = document.getElementById(el.id);
    if (old) merge(old, el);
  }
  for (const el of document.querySelectorAll('[data-print]')) el.hidden = false;
  if (navigator.clipboard) for (const el of document.querySelectorAll('[data-copy]')) el.hidden = false;
  title();
}
const letGo = () => { if (held) setTimeout(() => { if (held) patch(last); }); };
document.addEventListener('focusout', letGo);
document.addEventListener('toggle', e => { if (e.newState === 'closed') letGo(); }, true);

function title() {
  const a = document.getElementById('around');
  if (!a?.dataset.title) return;
  document.title = banner.hidden ? a.dataset.title : `${banner.dataset.title} · ${a.dataset.plain}`;
  const icon = document.querySelector('link[rel="icon"]');
  if (icon.getAttribute('href') !== a.dataset.icon) icon.setAttribute('href', a.dataset.icon);
}

/* ---- live or not ---- */
function mark(ok) {
  for (const m of document.querySelectorAll('.live')) {
    m.hidden = false;
    m.dataset.live = ok ? 'on' : 'lost';
    const text = m.querySelector('[data-live-text]'), word = ok ? text.dataset.fine : text.dataset.lost;
    if (text.textContent !== word) text.textContent = word;
  }
  if (banner.hidden !== ok) { banner.hidden = ok; title(); }
}
function alive() { seen = performance.now(); nextTry = 0; mark(true); }
function long(ms) {
  const s = Math.max(1, Math.round(ms / 1000));
  return s < 120 ? banner.dataset.seconds.replace('{number}', s) : banner.dataset.minutes.replace('{number}', Math.floor(s / 60));
}
setInterval(() => {
  const now = performance.now();
  if (now - seen <= silence) return;
  mark(false);
  const text = (nextTry > now ? banner.dataset.waiting : banner.dataset.trying)
    .replace('{silence}', long(now - seen)).replace('{moment}', shown).replace('{wait}', long(nextTry - now));
  if (told.textContent !== text) told.textContent = text;
  following.silent(now);
}, 1000);
banner.querySelector('[data-try]').addEventListener('click', e => { e.preventDefault(); following.now(); });

/* take is every message, whichever tab it came to. */
function take(m) {
  if (m.page && m.page !== here) return;
  switch (m.name) {
    case 'beat': shown = m.data; break;
    case 'patch': patch(m.data); break;
    case 'say': polite.textContent = m.data; break; // only step changes and quarters
    case 'done': following.leave(); location.assign(here); return;
    case 'wait': nextTry = performance.now() + m.data; return; // the stream is lost, and tried again in so many ms
  }
  alive();
}

/* ---- one connection ---- */
class Stream {
  constructor(pages, say) {
    this.pages = pages; this.say = say; this.heard = performance.now();
    this.source = new EventSource('/events?' + pages.map(p => 'page=' + encodeURIComponent(p)).join('&'));
    for (const name of ['patch', 'say', 'done', 'beat']) this.source.addEventListener(name, e => {
      this.heard = performance.now();
      const cut = name === 'beat' ? -1 : e.data.indexOf('\n');
      this.say({ name, page: cut < 0 ? '' : e.data.slice(0, cut), data: e.data.slice(cut + 1) });
    });
  }
  get silent() { return performance.now() - this.heard > silence; }
  close() { this.source.close(); }
}

/* A Link keeps a stream open for some pages: it opens it again when it breaks or falls silent, or the pages change. */
class Link {
  constructor(say) { this.say = say; this.tries = 0; this.pages = []; }
  follow(pages) {
    if (this.stream && pages.join('\n') === this.pages.join('\n')) return;
    this.pages = pages;
    this.open();
  }
  open() {
    this.close();
    if (!this.pages.length) return;
    this.stream = new Stream(this.pages, m => { this.tries = 0; this.say(m); });
    this.stream.source.onerror = () => this.again();
    this.watch = setInterval(() => { if (this.stream?.silent) this.again(); }, 1000); // open but silent
  }
  again() {
    this.close();
    const wait = Math.min(8_000, 1000 * 2 ** this.tries++);
    this.timer = setTimeout(() => this.open(), wait);
    this.say({ name: 'wait', data: wait });
  }
  close() { clearTimeout(this.timer); clearInterval(this.watch); this.stream?.close(); this.stream = null; }
}

/* ---- each tab for itself ---- A hidden one gives its connection back after a while, and then claims no state. */
class Alone {
  constructor() {
    this.link = new Link(take);
    this.link.follow([here]);
    this.hidden = 0;
    document.addEventListener('visibilitychange', () => {
      clearTimeout(this.hidden);
      if (!document.hidden) { if (!this.link.stream) this.link.open(); return; }
      this.hidden = setTimeout(() => { this.link.close(); document.title = document.getElementById('around')?.dataset.plain ?? document.title; }, 30_000);
    });
  }
  now() { this.link.tries = 0; this.link.open(); }
  silent() {}
  leave() { this.link.close(); }
}

/* ---- all tabs together ---- */
const leads = 'safepoint-live', shows = 'safepoint-page:', most = 250;
class Shared {
  constructor() {
    this.others = new BroadcastChannel(leads);
    this.same = new BroadcastChannel(shows + here); // the tabs that show the same page
    this.others.onmessage = this.same.onmessage = e => this.hear(e.data);
    this.channels = new Map(); // the leader's: by page
    this.heard = performance.now();
    this.cache = new Map(); // the leader's: what it last passed on of each page
    navigator.locks.request(shows + here, { mode: 'shared' }, () => {
      this.others.postMessage({ name: 'join', page: here });
      if (this.link) this.gather();
      return new Promise(done => { this.left = done; });
    }).catch(() => {}); // the page went away before it was its turn
    this.queue();
    addEventListener('pagehide', () => this.leave());
    addEventListener('pageshow', e => { if (e.persisted) location.reload(); });
  }
  queue(steal = false) {
    navigator.locks.request(leads, { steal }, () => new Promise(done => this.lead(done))).catch(() => { this.follow(); this.queue(); }); // another took it
  }
  lead(done) {
    this.done = done;
    this.link = new Link(m => this.pass(m));
    this.looking = setInterval(() => this.gather(), 10_000); // tabs that went away
    this.gather();
  }
  follow() {
    clearInterval(this.looking);
    this.link?.close(); this.link = null;
    for (const channel of this.channels.values()) channel.close();
    this.channels.clear(); this.cache.clear();
    this.heard = performance.now();
  }
  async gather() {
    const { held } = await navigator.locks.query();
    const pages = new Set([here, ...held.map(l => l.name).filter(n => n.startsWith(shows)).map(n => n.slice(shows.length)).sort()]);
    for (const page of this.cache.keys()) if (!pages.has(page)) this.cache.delete(page);
    for (const [page, channel] of this.channels) if (!pages.has(page)) { channel.close(); this.channels.delete(page); }
    this.link?.follow([...pages].slice(0, most));
  }
  pass(m) {
    if (m.name === 'patch') this.cache.set(m.page, m);
    if (m.name === 'done') this.cache.delete(m.page);
    this.tell(m);
    take(m);
  }
  tell(m) {
    if (!m.page) return this.others.postMessage(m);
    if (m.page === here) return this.same.postMessage(m); // another channel of this tab would be heard by itself
    if (!this.channels.has(m.page)) this.channels.set(m.page, new BroadcastChannel(shows + m.page));
    this.channels.get(m.page).postMessage(m);
  }
  hear(m) {
    if (m.name === 'join') { // a page that is followed already is passed on as it is; another one needs a stream with it
      if (!this.link) return;
      const known = this.cache.get(m.page);
      if (known) this.tell(known); else this.soon();
    } else if (m.name === 'try') { if (this.link) this.now(); } else { this.heard = performance.now(); take(m); }
  }
  soon() { clearTimeout(this.gathering); this.gathering = setTimeout(() => this.gather(), 200); } // many tabs may open at once
  now() { if (this.link) { this.link.tries = 0; this.link.open(); } else this.others.postMessage({ name: 'try' }); }
  // A leader that says nothing at all, not even that it waits, is stopped: a tab that is looked at takes over.
  silent(now) { if (!this.link && !document.hidden && now - this.heard > silence + 4000) { this.heard = now; this.queue(true); } }
  leave() { this.follow(); this.done?.(); this.left?.(); this.others.close(); this.same.close(); }
}

const following = navigator.locks && self.BroadcastChannel ? new Shared() : new Alone();
