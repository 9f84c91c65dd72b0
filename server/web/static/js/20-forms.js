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

// A filter that is chosen by pointing is sent at once. By the keyboard one may pass over
// choices, so there the button sends it.
let pointed = false;
addEventListener("pointerdown", () => { pointed = true; }, true);
addEventListener("keydown", () => { pointed = false; }, true);
for (const form of document.querySelectorAll("form[data-filter]")) {
  form.addEventListener("change", (event) => {
    if (pointed && event.target.matches("select")) form.requestSubmit();
  });
  // What is empty stands in no address.
  form.addEventListener("submit", () => {
    for (const field of form.elements) if (field.name && field.value === "") field.disabled = true;
  });
}
addEventListener("pageshow", () => {
  for (const field of document.querySelectorAll("form[data-filter] :disabled")) field.disabled = false;
});

// An open menu closes when one goes elsewhere, or with Escape.
const menus = () => document.querySelectorAll("details.menu[open], .handset details[open]");
addEventListener("click", (event) => {
  for (const menu of menus()) if (!menu.contains(event.target)) menu.open = false;
});
addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of menus()) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});
