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
