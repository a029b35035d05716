// What of the page's layout is broken. It is evaluated in the page by the browser's debugger.
// phone: also measure what is pressed with a finger.
(phone) => {
  const said = (e) => '<' + e.tagName.toLowerCase() + (e.className && e.className.baseVal === undefined ? ' class="' + e.className + '"' : '') + '> "' + (e.innerText || e.getAttribute('aria-label') || e.name || '').replace(/\s+/g, ' ').trim().slice(0, 50) + '"';
  const root = document.documentElement, modal = document.querySelector('dialog:modal'), base = modal || document.body;
  const found = [];

  // Nothing is wider than the window.
  const wide = root.scrollWidth - root.clientWidth;
  if (wide > 0) found.push('the page is ' + wide + ' px wider than its window');

  // No text or control is cut off, or outside what it stands in.
  const styles = new Map(), style = (e) => { let s = styles.get(e); if (!s) styles.set(e, s = getComputedStyle(e)); return s; };
  const seen = (e) => e.checkVisibility({ visibilityProperty: true }) && e.getClientRects().length > 0;
  const hidden = (e) => { // read aloud only, or off the screen until it is focused
    for (let a = e; a && a !== document.body; a = a.parentElement) if (a.matches('.vh, .skip, .sprite') || a.clientWidth === 1 && a.clientHeight === 1) return true;
    return false;
  };
  const leaves = [...base.querySelectorAll('*')].filter((e) => !e.matches('script, style, option, svg *, datalist *') &&
    (e.matches('input, select, textarea, button, svg, progress, meter') || [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))).filter((e) => seen(e) && !hidden(e));
  for (const e of leaves) {
    if (e.matches('.menu:not(:popover-open) *')) continue;
    let box;
    if (e.matches('input, select, textarea, button, svg, progress, meter')) box = e.getBoundingClientRect();
    else { // its own text, without what stands in it
      const boxes = [...e.childNodes].filter((n) => n.nodeType === 3 && n.data.trim()).map((n) => { const r = document.createRange(); r.selectNodeContents(n); return r.getBoundingClientRect(); });
      box = { left: Math.min(...boxes.map((b) => b.left)), right: Math.max(...boxes.map((b) => b.right)) };
    }
    if (box.left >= box.right) continue;
    let from = 0, to = root.clientWidth, clip = null;
    for (let a = e; a && a !== document.body; a = a.parentElement) {
      const over = style(a).overflowX;
      if (over === 'auto' || over === 'scroll') { clip = 'scrolls'; break; }
      if (over === 'visible' || a === e && e.matches('input, select, textarea, progress, meter, svg')) continue;
      if (style(a).textOverflow === 'ellipsis') { clip = 'scrolls'; break; }
      const r = a.getBoundingClientRect();
      from = r.left; to = r.right; clip = a; break;
    }
    if (clip === 'scrolls') continue;
    const out = Math.max(from - box.left, box.right - to);
    if (out > 1.5) found.push(said(e) + ' is cut by ' + Math.round(out) + ' px' + (clip ? ' in ' + said(clip).split('> ')[0] + '>' : ''));
  }

  // Buttons beside and above one another do not touch.
  for (const row of new Set([...base.querySelectorAll('.btn')].filter(seen).map((e) => e.parentElement))) {
    const boxes = [...row.children].filter((e) => e.matches('.btn') && seen(e)).map((e) => [e, e.getBoundingClientRect()]);
    boxes.forEach(([e, a], i) => {
      for (const [, b] of boxes.slice(i + 1)) if (a.left < b.right + 3.5 && b.left < a.right + 3.5 && a.top < b.bottom + 3.5 && b.top < a.bottom + 3.5) { found.push(said(e) + ' touches the next button'); break; }
    });
  }

  // The words of a label stay whole, or break where they may (a name is none: it may be of any length).
  for (const e of base.querySelectorAll('dt, th, label, legend, h1, h2, h3, .btn, .pill, .tabs a')) {
    if (!seen(e) || hidden(e) || e.matches('[translate="no"], [translate="no"] *')) continue;
    for (const n of e.childNodes) {
      if (n.nodeType !== 3) continue;
      for (const word of n.data.matchAll(/[\p{L}\u00ad]{6,}/gu)) {
        if (word[0].includes('\u00ad')) continue; // it says where
        const r = document.createRange();
        r.setStart(n, word.index); r.setEnd(n, word.index + word[0].length);
        if (new Set([...r.getClientRects()].map((b) => Math.round(b.top))).size > 1) { found.push('"' + word[0] + '" is broken in ' + said(e)); break; }
      }
    }
  }

  // What is pressed with a finger is large enough: a control 44 px high, anything else 24 px in both directions, but for
  // a link inside a sentence.
  if (phone) {
    const inSentence = (e) => style(e).display === 'inline' && [...e.parentElement.childNodes].some((n) => n.nodeType === 3 && /\p{L}/u.test(n.data));
    for (const e of base.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, summary, [role=menuitem]')) {
      if (!seen(e) || hidden(e) || e.matches('.menu:not(:popover-open) *') || style(e).pointerEvents === 'none') continue;
      const boxes = [e, ...(e.labels || [])].map((x) => x.getBoundingClientRect());
      const w = Math.max(...boxes.map((b) => b.width)), h = Math.max(...boxes.map((b) => b.height));
      const control = e.matches('.btn, .icon-btn, .avatar, select, textarea, [role=menuitem], .tabs a, input:not([type=file])') && !e.matches('.link, [data-copy]');
      if (control && h < 43.5) found.push(said(e) + ' is ' + Math.round(h) + ' px high, a control needs 44');
      else if (!inSentence(e) && (w < 23.5 || h < 23.5)) found.push(said(e) + ' is ' + Math.round(w) + ' × ' + Math.round(h) + ' px, a target needs 24');
    }
  }
  return found;
}
