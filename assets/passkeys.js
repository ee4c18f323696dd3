// Passkeys: the one thing on these pages that needs a script. A form marked with data-passkey asks the server for a
// challenge, the browser for an answer, and is then sent as a form like any other.

const toBytes = (text) => {
  const plain = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
  return Uint8Array.from(plain, (letter) => letter.charCodeAt(0));
};

const toText = (buffer) => {
  const plain = String.fromCharCode(...new Uint8Array(buffer));
  return btoa(plain).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
};

const withBytes = (options) => {
  const listed = (list) => (list || []).map((one) => ({ ...one, id: toBytes(one.id) }));
  const found = { ...options, challenge: toBytes(options.challenge) };
  if (options.user) found.user = { ...options.user, id: toBytes(options.user.id) };
  if (options.excludeCredentials) found.excludeCredentials = listed(options.excludeCredentials);
  if (options.allowCredentials) found.allowCredentials = listed(options.allowCredentials);
  return found;
};

const asJson = (credential) => {
  const response = {};
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (credential.response[name]) response[name] = toText(credential.response[name]);
  }
  return JSON.stringify({ id: credential.id, rawId: credential.id, type: credential.type, response });
};

const answer = async (form) => {
  const csrf = form.elements.csrf.value;
  const asked = await fetch(form.dataset.options, {
    method: "POST",
    headers: { accept: "application/json" },
    body: new URLSearchParams({ csrf }),
  });
  const found = await asked.json();
  if (found.first) {
    location.assign(found.first);
    return false;
  }
  if (!asked.ok) throw new Error(found.error);
  const publicKey = withBytes(found.options);
  const container = navigator.credentials;
  const credential = await (form.dataset.passkey === "create" ? container.create({ publicKey }) : container.get({ publicKey }));
  form.elements.token.value = found.token;
  form.elements.credential.value = asJson(credential);
  return true;
};

const said = {
  NotAllowedError: "The passkey was not used. Try again, or choose another way.",
  InvalidStateError: "This device has a passkey for this account already.",
};

for (const form of document.querySelectorAll("form[data-passkey]")) {
  if (!window.PublicKeyCredential) continue;
  form.hidden = false;
  form.addEventListener("submit", (event) => {
    if (form.elements.credential.value) return;
    event.preventDefault();
    const problem = form.querySelector("[data-problem]");
    const button = form.querySelector("button");
    problem.hidden = true;
    button.disabled = true;
    answer(form)
      .then((isReady) => isReady && form.submit())
      .catch((reason) => {
        problem.textContent = said[reason.name] || reason.message;
        problem.hidden = false;
      })
      .finally(() => {
        button.disabled = false;
      });
  });
}
