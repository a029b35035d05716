// Passkeys: asks the browser for one, and sends its answer with the form that wants it. The words are the server's, in data-
// attributes; without scripts, or in a browser without passkeys, the password is there.

const bytes = text => Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), c => c.charCodeAt(0));
const text = buffer => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');

/* ---- what is shown: a page names the origin at which passkeys are good ---- */
const stateOf = root => !window.PublicKeyCredential ? 'unsupported' : root.dataset.passkeys !== location.origin ? 'elsewhere' : 'ready';
for (const root of document.querySelectorAll('[data-passkeys]')) {
  const state = stateOf(root);
  for (const el of root.querySelectorAll('[data-when]')) el.hidden = el.dataset.when !== state;
}

/* ---- one question at a time: a new one ends the one before ---- */
let asked = null;

async function ask(button, mediation) {
  asked?.abort();
  const { signal } = asked = new AbortController(), making = button.dataset.passkey === 'create';
  const r = await fetch(button.dataset.ask, { method: 'POST', signal });
  if (r.redirected || r.status === 403) return location.reload(); // signed out, or to be asked again who it is: the page says it
  if (!r.ok) throw new Error(`status ${r.status}`);
  const { publicKey } = await r.json();
  signal.throwIfAborted();
  const renew = mediation && setTimeout(() => offer(button), publicKey.timeout * .8); // before it is too old to be answered
  signal.addEventListener('abort', () => clearTimeout(renew));
  publicKey.challenge = bytes(publicKey.challenge);
  if (making) publicKey.user.id = bytes(publicKey.user.id);
  for (const k of publicKey.allowCredentials ?? publicKey.excludeCredentials ?? []) k.id = bytes(k.id);
  const key = await navigator.credentials[making ? 'create' : 'get']({ publicKey, signal, ...mediation && { mediation } });
  clearTimeout(renew);
  send(button.form, answerOf(key));
}

function answerOf(key) {
  const response = {};
  for (const name of ['clientDataJSON', 'attestationObject', 'authenticatorData', 'signature', 'userHandle'])
    if (key.response[name]) response[name] = text(key.response[name]);
  if (key.response.getTransports) response.transports = key.response.getTransports();
  return { id: key.id, rawId: text(key.rawId), type: key.type, clientExtensionResults: {}, response };
}

// send posts the answer with what the form has for it; a password typed beside it stays here.
function send(form, answer) {
  const out = Object.assign(document.createElement('form'), { method: 'post', action: form.action, hidden: true });
  const put = (name, value) => out.append(Object.assign(document.createElement('input'), { type: 'hidden', name, value }));
  put('passkey', JSON.stringify(answer));
  for (const input of form.querySelectorAll('[data-with-passkey]')) put(input.name, input.value);
  document.body.append(out);
  out.submit();
}

/* ---- the button ---- */
async function press(button) {
  const said = button.form.querySelector('[data-said]');
  said.hidden = true; button.disabled = true; button.setAttribute('aria-busy', 'true');
  try { await ask(button); } catch (e) {
    button.disabled = false; button.removeAttribute('aria-busy');
    const { broke, cancelled, exists } = said.dataset;
    said.textContent = e.name === 'InvalidStateError' && exists ? exists : e.name === 'NotAllowedError' || e.name === 'AbortError' ? cancelled : broke;
    said.hidden = false;
    if (button.hasAttribute('data-autofill')) offer(button);
  }
}
document.addEventListener('click', e => {
  const button = e.target.closest('button[data-passkey]');
  if (button) press(button);
});
// where a passkey is all that a form is for, Enter in it is the button
document.addEventListener('submit', e => {
  const button = e.target.matches('form[data-passkey-only]') && e.target.querySelector('button[data-passkey]');
  if (!button) return;
  e.preventDefault();
  if (!button.hidden && !button.disabled) press(button);
});

/* ---- beside the names that the browser fills in, where it can ---- */
async function offer(button) {
  try { if (await window.PublicKeyCredential?.isConditionalMediationAvailable?.()) await ask(button, 'conditional'); } catch { /* nobody chose one */ }
}
function start() {
  const button = document.querySelector('button[data-autofill]:not([hidden])');
  if (button) offer(button);
}
start();
addEventListener('pageshow', e => { if (e.persisted) start(); });
