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
