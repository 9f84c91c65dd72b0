// Small helps on top of pages that work without them.

// A form is sent once, however often its button is pressed.
for (const form of document.querySelectorAll('form[method="post"]')) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    if (form.dataset.passkey && !form.elements.response.value) return; // the passkey answers first
    form.dataset.sent = "yes";
  });
}
// Coming back by the browser's history, the form may be sent again.
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  for (const form of document.querySelectorAll("form[data-passkey]")) form.elements.response.value = "";
});

// What is wrong is read out first.
document.querySelector("[data-problem]")?.focus();

// "/" goes to the search, unless one is typing.
addEventListener("keydown", (event) => {
  const typing = event.target instanceof Element && event.target.closest("input, textarea, select");
  const search = document.querySelector("[data-search]");
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || typing || !search) return;
  event.preventDefault();
  search.focus();
  search.select();
});

// "3 min ago" stays true while the page stays open.
const loaded = Date.now();
const ago = (then) => {
  const minutes = Math.floor((Date.now() - then) / 60000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes} min ago`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ago` : `${Math.floor(hours / 24)} days ago`;
};
setInterval(() => {
  if (document.hidden || Date.now() - loaded < 60000) return;
  for (const time of document.querySelectorAll("time[data-ago]")) {
    const then = Date.parse(time.dateTime);
    const days = (Date.now() - then) / 86400000;
    if (days >= 0 && days < 60) time.textContent = ago(then);
  }
}, 30000);

// A form with data-passkey asks the passkey the question in data-ask, and sends the answer.
// What stands in the question and the answer as bytes travels as base64url:
// https://www.w3.org/TR/webauthn-3/#typedefdef-publickeycredentialjson
const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
const text = (buffer) => buffer && btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

const asked = (json) => {
  const question = JSON.parse(json).publicKey;
  question.challenge = bytes(question.challenge);
  if (question.user) question.user.id = bytes(question.user.id);
  for (const name of ["allowCredentials", "excludeCredentials"]) {
    question[name] = question[name]?.map((one) => ({ ...one, id: bytes(one.id) }));
  }
  return question;
};

const answered = (credential) => {
  const { response } = credential;
  const out = { id: credential.id, rawId: text(credential.rawId), type: credential.type, clientExtensionResults: credential.getClientExtensionResults(), response: { clientDataJSON: text(response.clientDataJSON) } };
  if (credential.authenticatorAttachment) out.authenticatorAttachment = credential.authenticatorAttachment;
  if (response.attestationObject) {
    out.response.attestationObject = text(response.attestationObject);
    out.response.transports = response.getTransports?.() ?? [];
  } else {
    out.response.authenticatorData = text(response.authenticatorData);
    out.response.signature = text(response.signature);
    if (response.userHandle) out.response.userHandle = text(response.userHandle);
  }
  return JSON.stringify(out);
};

// What people read where a passkey does not answer.
const troubles = {
  NotAllowedError: "Your passkey did not answer, or you stopped it. Nothing was done. Press the button to try again.",
  InvalidStateError: "This passkey is registered already. Use another device or security key.",
  SecurityError: "Passkeys do not work at this address. Open Ward by its own name, with https.",
};

for (const form of document.querySelectorAll("form[data-passkey]")) {
  const status = form.querySelector("[data-passkey-status]");
  form.addEventListener("submit", async (event) => {
    const field = form.elements.response;
    if (field.value) return;
    event.preventDefault();
    if (form.dataset.asking) return;
    if (!navigator.credentials || !window.PublicKeyCredential) {
      status.textContent = "This browser has no passkeys. Use a current one, and open Ward with https.";
      return;
    }
    form.dataset.asking = "yes";
    status.textContent = "Your passkey is asked…";
    try {
      const publicKey = asked(form.dataset.ask);
      const credential = form.dataset.passkey === "create" ? await navigator.credentials.create({ publicKey }) : await navigator.credentials.get({ publicKey });
      field.value = answered(credential);
      status.textContent = "Thank you. It is being checked.";
      form.requestSubmit();
    } catch (error) {
      status.textContent = troubles[error.name] ?? "Your passkey could not be asked. Open this page again and try once more.";
    } finally {
      delete form.dataset.asking;
    }
  });
}
