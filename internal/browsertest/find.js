// The page's side of browsertest: finds elements by the words a person reads. It is evaluated in the page by the
// browser's debugger, so it also works while the page's own scripts are off.
(scope, action, target, value) => {
  const clean = (s) => (s || '').replace(/\s+/g, ' ').trim();
  const seen = (e) => e.checkVisibility({ visibilityProperty: true }) && e.getClientRects().length > 0;
  const first = (list) => { const all = [...list]; return all.find(seen) || all[0]; };

  // Where to look: the scope, and inside a modal dialog while one is open, for nothing else can be reached then.
  let base = document.querySelector('dialog:modal') || document.body;
  if (!base) return { why: 'the document is empty' };
  for (const s of scope) {
    if (s.css) base = first(base.querySelectorAll(s.css));
    else {
      const rows = [...base.querySelectorAll('tr, li, article, [role=row], [role=listitem]')]
        .filter((e) => clean(e.innerText).includes(s.row) && !e.querySelector('th[scope=col]'));
      base = rows.find((e) => !rows.some((inner) => inner !== e && e.contains(inner)));
    }
    if (!base) return { why: 'there is no ' + (s.css || 'row with "' + s.row + '"') };
  }

  const names = (e) => [e.getAttribute('aria-label'), e.innerText, e.textContent, e.type === 'submit' && e.value,
    ...[...(e.labels || [])].map((l) => l.innerText), e.title].map(clean);
  const pick = (selector) => {
    if (target.startsWith('css:')) return first(base.querySelectorAll(target.slice(4)));
    const all = [...base.querySelectorAll(selector)];
    const exact = all.filter((e) => names(e).includes(target));
    return first(exact.length ? exact : all.filter((e) => names(e).some((n) => n.startsWith(target + ' '))));
  };
  const offer = (selector) => [...base.querySelectorAll(selector)].filter(seen).map((e) => names(e).find(Boolean))
    .filter(Boolean).slice(0, 40).join(' | ');
  const clickable = 'a[href], button, summary, [role=button], [role=menuitem], [role=tab], input, label, option';
  const fields = 'input, select, textarea';

  switch (action) {
    case 'text':
      return { text: clean(base.innerText) };
    case 'count':
      return { count: base.querySelectorAll(target).length };
    case 'point': {
      const e = pick(clickable);
      if (!e) return { why: 'nothing to click is called "' + target + '"; there is: ' + offer(clickable) };
      if (e.matches(':disabled')) return { why: '"' + target + '" is disabled' };
      e.scrollIntoView({ block: 'center', inline: 'center', behavior: 'instant' });
      const box = [...e.getClientRects()].find((r) => r.width > 0 && r.height > 0);
      if (!box) return { why: '"' + target + '" is not visible' };
      const x = box.left + box.width / 2, y = box.top + box.height / 2;
      const top = document.elementFromPoint(x, y);
      const hit = top && (e.contains(top) || top.contains(e) && top.matches('a, button, label, summary') ||
        [...(e.labels || [])].some((l) => l.contains(top)));
      if (!hit) return { why: '"' + target + '" is covered by ' + (top ? '<' + top.tagName.toLowerCase() + '> "' + clean(top.textContent).slice(0, 40) + '"' : 'nothing: it is outside the window') };
      return { x, y, same: e.getAttribute('href')?.startsWith('#') || false };
    }
    case 'focus': {
      const e = pick(fields);
      if (!e) return { why: 'no field is called "' + target + '"; there is: ' + offer(fields) };
      if (!seen(e)) return { why: 'the field "' + target + '" is not visible' };
      if (e.matches(':disabled') || e.readOnly) return { why: 'the field "' + target + '" cannot be changed' };
      e.scrollIntoView({ block: 'center', behavior: 'instant' });
      e.focus();
      if (e.select) e.select();
      return { value: e.value };
    }
    case 'value': {
      const e = pick(fields);
      return e ? { value: e.value } : { why: 'no field is called "' + target + '"; there is: ' + offer(fields) };
    }
    case 'choose': {
      const e = pick('select');
      if (!e) return { why: 'no list is called "' + target + '"; there is: ' + offer('select') };
      const option = [...e.options].find((o) => clean(o.text) === value) || [...e.options].find((o) => clean(o.text).startsWith(value));
      if (!option) return { why: '"' + target + '" does not offer "' + value + '" but ' + [...e.options].map((o) => clean(o.text)).join(' | ') };
      e.value = option.value;
      e.dispatchEvent(new Event('input', { bubbles: true }));
      e.dispatchEvent(new Event('change', { bubbles: true }));
      return { value: option.value };
    }
  }
  return { why: 'unknown action ' + action };
}
