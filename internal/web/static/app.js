// Small enhancements over plain HTML. No dependencies, no eval, no inline handlers.
// Everything here has a plain counterpart: dialogs are also pages, a menu's items are also on the details page.

/* ---- menu button (APG): Enter/Space/Down open on the first item, Up on the last, Esc returns ---- */
const items = m => [...m.querySelectorAll('[role="menuitem"]:not([aria-disabled="true"])')];
const anchored = CSS.supports('position-area', 'block-end span-inline-start');
const buttonOf = menu => document.querySelector(`[data-menu="${CSS.escape(menu.id)}"]`);

function place(menu, btn) { // only where CSS anchor positioning is missing
  const b = btn.getBoundingClientRect(), m = menu.getBoundingClientRect(), gap = 4, edge = 8;
  const rtl = getComputedStyle(btn).direction === 'rtl';
  let x = rtl ? b.left : b.right - m.width;
  x = Math.max(edge, Math.min(x, innerWidth - m.width - edge));
  let y = b.bottom + gap;
  if (y + m.height > innerHeight - edge) y = Math.max(edge, b.top - m.height - gap);
  menu.style.left = x + 'px'; menu.style.top = y + 'px'; // CSSOM writes are allowed under a strict CSP
}

function openMenu(btn, which = 0) {
  const menu = document.getElementById(btn.dataset.menu);
  menu.showPopover({ source: btn });
  if (!anchored) place(menu, btn);
  items(menu).at(which)?.focus();
}

// toggle does not bubble, so listen on the way down; this also covers light dismiss
document.addEventListener('toggle', e => {
  if (e.target.matches?.('.menu')) buttonOf(e.target)?.setAttribute('aria-expanded', String(e.newState === 'open'));
}, true);

document.addEventListener('keydown', e => {
  const btn = e.target.closest?.('[data-menu]');
  if (btn && (e.key === 'ArrowDown' || e.key === 'ArrowUp')) { e.preventDefault(); openMenu(btn, e.key === 'ArrowUp' ? -1 : 0); return; }
  const menu = e.target.closest?.('[role="menu"]');
  if (!menu) return;
  const list = items(menu), at = list.indexOf(document.activeElement);
  const go = i => { e.preventDefault(); list[(i + list.length) % list.length].focus(); };
  if (e.key === 'ArrowDown') go(at + 1);
  else if (e.key === 'ArrowUp') go(at - 1);
  else if (e.key === 'Home') go(0);
  else if (e.key === 'End') go(list.length - 1);
  else if (e.key === 'Escape') { e.preventDefault(); menu.hidePopover(); buttonOf(menu)?.focus(); }
  else if (e.key === 'Tab') menu.hidePopover();
  else if (e.key.length === 1 && /\S/.test(e.key)) {
    const k = e.key.toLocaleLowerCase(), next = [...list.slice(at + 1), ...list.slice(0, at + 1)].find(x => x.textContent.trim().toLocaleLowerCase().startsWith(k));
    if (next) { e.preventDefault(); next.focus(); }
  }
});

/* ---- one press of Enter, one deed: a link acts when the key goes down, and what has the focus then would act on the rest of
   the same press, or on its repetitions: the menu button beneath a question that was cancelled, for one ---- */
let spent = false;
document.addEventListener('keydown', e => {
  if (!e.repeat) spent = false; else if (e.key === 'Enter' && e.target.closest?.('a, button')) e.preventDefault();
}, true);
document.addEventListener('keypress', e => { if (spent) e.preventDefault(); }, true);

/* ---- Space presses what looks like a button, or is an item of a menu, also where it is a link: as on a button, when the key
   goes up where it went down ---- */
const buttonLike = 'a.btn, a.icon-btn, a[role="button"], a[role="menuitem"]';
let held = null;
document.addEventListener('keydown', e => {
  held = e.key === ' ' && !e.ctrlKey && !e.altKey && !e.metaKey && !e.shiftKey ? e.target.closest?.(buttonLike) : null;
  if (held) e.preventDefault(); // the page does not scroll
});
document.addEventListener('keyup', e => { if (e.key === ' ' && held && held === e.target) held.click(); held = null; });

/* ---- typed confirmation: the button says why it will not act instead of being dead ---- */
const gateOf = form => form?.querySelector('[data-gate]');
const goOf = form => form.querySelector('footer button[type="submit"]');
const matches = input => input.value.trim() === input.dataset.gate;
function syncGate(form) {
  const input = gateOf(form);
  if (!input) return;
  goOf(form).setAttribute('aria-disabled', String(!matches(input)));
  if (matches(input)) { form.querySelector('#e-confirm').hidden = true; input.removeAttribute('aria-invalid'); }
}
document.addEventListener('input', e => { if (e.target.matches('[data-gate]')) syncGate(e.target.form); });
document.addEventListener('submit', e => {
  const input = gateOf(e.target);
  if (!input || matches(input)) return;
  e.preventDefault(); e.stopImmediatePropagation();
  formError(e.target, input);
}, true);
function formError(form, input) {
  form.querySelector('#e-confirm').hidden = false; input.setAttribute('aria-invalid', 'true'); input.focus();
}

/* ---- dialogs from the server: a link works on its own as a page; with scripts it opens in place ----
   GET with "X-Fragment: dialog" answers only the form. POST answers 422 with the form again, or a redirect. */
const dlg = document.getElementById('dlg');
let opener = null;

function fill(html) {
  dlg.innerHTML = html;
  const body = dlg.firstElementChild;
  dlg.classList.toggle('wide', body?.hasAttribute('data-wide') ?? false);
  dlg.toggleAttribute('data-any', body?.hasAttribute('data-dismiss-any') ?? false);
  if (body?.hasAttribute('data-alert')) dlg.setAttribute('role', 'alertdialog'); else dlg.removeAttribute('role');
  if (dlg.querySelector('#dlg-b')) dlg.setAttribute('aria-describedby', 'dlg-b'); else dlg.removeAttribute('aria-describedby');
  for (const f of dlg.querySelectorAll('form')) syncGate(f);
  for (const a of dlg.querySelectorAll('a[data-close]')) a.setAttribute('role', 'button'); // here it closes, and leads nowhere
  reveal(dlg);
}
function focusIn() {
  (dlg.querySelector('[aria-invalid="true"]') ?? dlg.querySelector('[autofocus]'))?.focus();
}
async function openFrom(url) {
  let r;
  try { r = await fetch(url, { headers: { 'X-Fragment': 'dialog' } }); } catch { return location.assign(url); }
  if (r.redirected || !(r.ok || [403, 404, 409].includes(r.status))) return location.assign(url); // signed out or broken: the page says it better
  fill(await r.text());
  if (!dlg.open) dlg.showModal();
  focusIn();
}

document.addEventListener('click', e => {
  const btn = e.target.closest('[data-menu]');
  if (btn) { e.preventDefault(); const m = document.getElementById(btn.dataset.menu); m.matches(':popover-open') ? m.hidePopover() : openMenu(btn); return; }
  const item = e.target.closest('[role="menuitem"]');
  if (item) { const m = item.closest('.menu'); m.hidePopover(); buttonOf(m)?.focus(); opener = buttonOf(m); }
  const link = e.target.closest('a[data-dialog-link]');
  if (link && !e.metaKey && !e.ctrlKey && !e.shiftKey && e.button === 0) {
    e.preventDefault();
    if (!item && !dlg.contains(link)) opener = link;
    openFrom(link.href);
    return;
  }
  if (e.target.closest('#dlg [data-close]')) { e.preventDefault(); spent = true; dlg.close(); return; }
  if (e.target === dlg && dlg.hasAttribute('data-any')) dlg.close(); // the backdrop closes what only shows
  const copy = e.target.closest('[data-copy]');
  if (copy) navigator.clipboard?.writeText(copy.dataset.copy).then(() => toast(words.copied));
  if (e.target.closest('[data-print]')) print();
});
dlg.addEventListener('close', () => { dlg.innerHTML = ''; (opener?.isConnected ? opener : document.getElementById('main'))?.focus(); });

dlg.addEventListener('submit', async e => {
  if (e.target.hasAttribute('data-page')) return; // it leads to a page of its own
  e.preventDefault();
  const form = e.target, btn = e.submitter ?? goOf(form);
  const body = new URLSearchParams(new FormData(form, btn));
  btn.disabled = true; btn.setAttribute('aria-busy', 'true');
  try {
    const r = await fetch(form.action, { method: 'POST', body, headers: { 'X-Fragment': 'dialog' } });
    if (r.redirected) return go(r.url);
    fill(await r.text());
    focusIn();
  } catch {
    btn.disabled = false; btn.removeAttribute('aria-busy');
    const p = form.querySelector('[data-net]'); if (p) { p.hidden = false; p.setAttribute('role', 'alert'); }
  }
});
/* ---- a form that is answered with itself keeps the passwords typed into it: the server never sends one back ---- */
document.addEventListener('submit', async e => {
  const form = e.target, btn = e.submitter;
  if (!form.matches?.('main form[data-keep]') || !btn) return;
  e.preventDefault();
  const typed = [...form.querySelectorAll('input[type="password"]')].map(i => [i.id, i.value]);
  const body = new URLSearchParams(new FormData(form, btn));
  btn.disabled = true; btn.setAttribute('aria-busy', 'true');
  try {
    const r = await fetch(form.action, { method: 'POST', body });
    if (r.redirected) return go(r.url);
    const main = document.getElementById('main'), next = new DOMParser().parseFromString(await r.text(), 'text/html').getElementById('main');
    if (!next) return location.reload();
    main.replaceChildren(...next.childNodes);
    for (const [id, value] of typed) { const i = document.getElementById(id); if (i) i.value = value; }
    for (const f of main.querySelectorAll('form')) { showGroups(f); syncGate(f); }
    reveal(main);
    const to = main.querySelector('[data-summary]') ?? main.querySelector('form [aria-invalid="true"]') ?? main.querySelector('#test');
    to?.focus(); to?.scrollIntoView({ block: 'center' });
  } catch {
    btn.disabled = false; btn.removeAttribute('aria-busy');
    form.querySelector('[data-net]')?.remove();
    const p = Object.assign(document.createElement('p'), { className: 'callout bad', role: 'alert', textContent: words.noAnswer });
    p.dataset.net = '';
    form.prepend(p);
  }
});

// go opens the page an action led to, also where it is the one that is open.
function go(url) {
  const same = new URL(url), here = new URL(location.href);
  if (same.pathname + same.search === here.pathname + here.search) location.reload(); else location.assign(url);
}

/* ---- one press, one job ---- */
document.addEventListener('submit', e => {
  if (!e.target.matches('main form[data-busy]') || e.defaultPrevented) return; // what a script sends, it keeps an eye on itself
  setTimeout(() => { for (const b of e.target.querySelectorAll('button')) { b.disabled = true; b.setAttribute('aria-busy', 'true'); } });
});
addEventListener('pageshow', e => { if (e.persisted) for (const b of document.querySelectorAll('[aria-busy]')) { b.disabled = false; b.removeAttribute('aria-busy'); } });

/* ---- an upload: asked about before it is sent, and seen while it is ---- */
const number = (n, digits = 0) => n.toLocaleString(document.documentElement.lang, { minimumFractionDigits: digits, maximumFractionDigits: digits });
function bytes(n) { // as the server words sizes
  let u = 0;
  for (; n >= 1024 && u < 5; u++) n /= 1024;
  return number(n, u >= 3 || u && n < 9.95 ? 1 : 0) + '\u00a0' + ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'][u];
}
document.addEventListener('submit', async e => {
  const form = e.target, file = form.querySelector?.('input[type="file"][name="file"]')?.files[0];
  if (!form.matches?.('form[data-upload]') || !file) return;
  e.preventDefault();
  const button = e.submitter ?? goOf(form), box = form.querySelector('[data-sending]'), refused = form.querySelector('[data-refused]');
  const stop = text => {
    button.disabled = false; button.removeAttribute('aria-busy'); box.hidden = true;
    refused.textContent = text; refused.hidden = false; refused.scrollIntoView({ block: 'nearest' });
  };
  // why the server's answer refuses: the words of the form it sends again
  const why = html => {
    const page = new DOMParser().parseFromString(html, 'text/html');
    return [...page.querySelectorAll('.callout.bad, .err:not([hidden], [data-refused])')].map(p => p.textContent.trim()).join(' ') || box.dataset.broke;
  };
  refused.hidden = true; button.disabled = true; button.setAttribute('aria-busy', 'true');
  const about = new FormData(form);
  about.set('size', file.size);
  about.set('file', file.slice(0, 4096), file.name);
  try {
    const r = await fetch(form.dataset.upload, { method: 'POST', body: about, headers: { 'X-Fragment': 'dialog' } });
    if (r.redirected) return stop(box.dataset.lost);
    if (!r.ok) return stop(why(await r.text()));
  } catch { return stop(words.noAnswer); }
  send(form, file, box, stop, why);
});
function send(form, file, box, stop, why) {
  const request = new XMLHttpRequest(), part = name => box.querySelector(`[data-${name}]`), set = (name, text) => { if (part(name).textContent !== text) part(name).textContent = text; };
  const began = performance.now(), bar = box.querySelector('progress');
  let marks = [[began, 0]], told = 0;
  box.hidden = false; bar.value = 0;
  request.upload.onprogress = e => {
    const now = performance.now(), done = Math.min(e.loaded, file.size), percent = Math.floor(done / Math.max(file.size, 1) * 100);
    marks = [...marks.filter(([at]) => now - at < 10_000), [now, done]]; // over the last seconds
    const rate = (done - marks[0][1]) / Math.max(now - marks[0][0], 1) * 1000, left = (file.size - done) / Math.max(rate, 1);
    bar.value = percent;
    set('percent', number(percent) + '%');
    set('bytes', box.dataset.done.replace('{done}', bytes(done)).replace('{total}', bytes(file.size)));
    set('speed', rate > 0 ? box.dataset.rate.replace('{size}', bytes(rate)) : '');
    if (percent >= 5 && now - began > 5_000) set('left', left < 60 ? box.dataset.soon : box.dataset.minutes.replace('{number}', number(Math.round(left / 60))));
    if (percent >= told + 25 && percent < 100) { told = percent - percent % 25; set('say', number(told) + '%'); }
  };
  request.upload.onload = () => { bar.removeAttribute('value'); set('left', box.dataset.checking); set('speed', ''); set('say', box.dataset.checking); };
  request.onload = () => {
    if (new URL(request.responseURL).pathname !== new URL(form.action).pathname) return location.assign(request.responseURL);
    stop(why(request.responseText));
  };
  request.onerror = request.onabort = () => stop(box.dataset.broke);
  request.open('POST', form.action);
  request.setRequestHeader('X-Fragment', 'dialog');
  request.send(new FormData(form));
}

/* ---- choices that show their own group of inputs ---- */
function showGroups(form) {
  const on = form.querySelector('[data-shows]:checked');
  if (!on) return;
  for (const g of form.querySelectorAll('[data-shown]')) g.hidden = g.disabled = g.dataset.shown !== on.dataset.shows;
}
// a connection URL fills the fields below it and is gone: the password in it is not left in the clear
function spread(input) {
  let u;
  try { u = new URL(input.value.trim()); } catch { return; }
  if (!/^postgres(ql)?:$/.test(u.protocol)) return;
  const set = (name, value) => { const i = input.form.elements[name]; if (i && value) i.value = value; }, text = s => { try { return decodeURIComponent(s); } catch { return s; } };
  const bare = u.hostname.replace(/^\[|\]$/g, ''), mode = u.searchParams.get('sslmode');
  if (u.searchParams.get('sslrootcert')) return; // a file of this machine: the server says what to do
  set('host', text(u.searchParams.get('host') ?? bare)); set('port', u.port || '5432'); set('dbname', text(u.pathname.slice(1)));
  set('user', text(u.username)); set('password', text(u.password));
  if (mode) set('tls', mode);
  else if (/^(127\.|localhost$|::1$|\/)/.test(u.searchParams.get('host') ?? bare)) set('tls', 'disable');
  input.value = '';
}
// a small file chosen by its owner is read into a field, and not kept in the form
async function readInto(input) {
  const file = input.files[0], to = document.getElementById(input.closest('[data-reads]').dataset.reads);
  input.value = '';
  if (!file) return;
  if (file.size > 65536) return toast(words.tooBig);
  to.value = await file.text(); to.focus();
}
document.addEventListener('change', e => {
  if (e.target.matches('input[name="url"]')) spread(e.target);
  if (e.target.matches('[data-shows]')) showGroups(e.target.form);
  if (e.target.matches('[data-reads] input')) readInto(e.target);
  if (e.target.closest('form[data-filter]') && e.target.matches('select')) e.target.form.requestSubmit();
});

/* ---- what only works with scripts appears with them ---- */
function reveal(root) {
  for (const el of root.querySelectorAll('[data-print], [data-reads]')) el.hidden = false;
  if (navigator.clipboard) for (const el of root.querySelectorAll('[data-copy]')) el.hidden = false;
}
const words = document.querySelector('.toasts').dataset; // the server says them, in the reader's language
function toast(text) {
  const t = Object.assign(document.createElement('p'), { className: 'toast', textContent: text });
  document.querySelector('.toasts').append(t);
  setTimeout(() => t.remove(), 5000);
}

// zoneHere is the browser's time zone by the name that the list has for it: Chromium calls Europe/Kyiv by its old name
function zoneHere(listed) {
  const resolved = timeZone => { try { return new Intl.DateTimeFormat('en', { timeZone }).resolvedOptions().timeZone; } catch { return; } };
  const here = resolved();
  if (!here || here === 'Etc/Unknown') return;
  return listed.includes(here) ? here : listed.find(name => resolved(name) === here) ?? here;
}

for (const f of document.forms) { showGroups(f); syncGate(f); }
reveal(document);
document.querySelector('.filters[data-filter] > button')?.classList.add('vh');
const zone = document.querySelector('form[data-fresh] [name="time_zone"]');
if (zone && zone.value === zone.defaultValue) zone.value = zoneHere([...zone.list.options].map(o => o.value)) ?? zone.value;
(document.querySelector('main [data-summary]') ?? document.querySelector('main form [aria-invalid="true"]'))?.focus();
document.querySelector('.tabs [aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' });
