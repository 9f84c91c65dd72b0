// A page that is open shows what changed: when the server says that something did, the page
// asks for itself again and takes over the marked parts. It works without this.

const live = document.querySelector("main[data-live]");
const liveNote = document.querySelector("[data-live-note]");
const restAfter = 20 * 60 * 1000; // nobody is there: a session may end by itself
const apart = 5000; // between two updates
let source, waiting, updating, used = Date.now(), lastUpdate = Date.now(), lastSaid = 0;

// What somebody is using now is left alone.
const inUse = (part) => part.contains(document.activeElement) || part.querySelector("details[open], input:checked") !== null;

const update = async () => {
  waiting = undefined;
  if (updating || document.hidden) return;
  updating = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "error" });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    let changed = false;
    for (const part of document.querySelectorAll("[data-region]")) {
      const other = fresh.querySelector(`[data-region="${part.dataset.region}"]`);
      if (!other || inUse(part)) continue;
      if (part.textContent !== other.textContent) changed = true;
      part.replaceWith(document.adoptNode(other));
    }
    lastUpdate = Date.now();
    if (changed && Date.now() - lastSaid > 60000) { // said once a minute at most
      lastSaid = Date.now();
      liveNote.textContent = `Updated ${new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}`;
      setTimeout(() => { liveNote.textContent = ""; }, 8000);
    }
  } catch {
    // The next event tries again.
  } finally {
    updating = false;
  }
};

const soon = () => { waiting ??= setTimeout(update, Math.max(300, lastUpdate + apart - Date.now())); };

const follow = () => {
  if (source || document.hidden || !live) return;
  source = new EventSource(live.dataset.live);
  source.addEventListener("changed", soon);
};

const rest = () => {
  source?.close();
  source = undefined;
  clearTimeout(waiting);
  waiting = undefined;
};

if (live && "EventSource" in window) {
  follow();
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return rest();
    follow();
    soon();
  });
  addEventListener("pagehide", rest);
  for (const kind of ["pointerdown", "keydown", "scroll"]) {
    addEventListener(kind, () => {
      used = Date.now();
      follow();
    }, { passive: true });
  }
  setInterval(() => { if (Date.now() - used > restAfter) rest(); }, 60000);
}
