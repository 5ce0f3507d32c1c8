// Moments in the reader's own time zone, and clocks that run. The server writes them in UTC, which stays in the title.
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "long" });
const dayYear = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "long", year: "numeric" });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const minute = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const moment = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

// lasting puts seconds into words, as the server does.
export function lasting(s) {
  s = Math.max(0, Math.round(s));
  if (s < 100) return s + " s";
  if (s < 6000) return Math.floor(s / 60) + " min" + (s < 600 && s % 60 ? " " + s % 60 + " s" : "");
  if (s < 172800) return Math.floor(s / 3600) + " h " + Math.floor(s % 3600 / 60) + " min";
  return Math.round(s / 86400) + " days";
}

function run(at) {
  const s = (Date.parse(at.dateTime) - Date.now()) / 1000;
  at.textContent = at.dataset.as === "since" ? lasting(-s) : s > 0 ? "in " + lasting(s) : "now";
}

// localise rewrites every time element below a node.
export function localise(node) {
  for (const at of node.querySelectorAll("time[data-as]")) {
    const t = new Date(at.dateTime);
    if (isNaN(t)) continue;
    if (!at.title) at.title = at.dateTime.replace("T", " ").replace("Z", " UTC");
    switch (at.dataset.as) {
      case "day": at.textContent = (Math.abs(t - Date.now()) > 15e9 ? dayYear : day).format(t); break;
      case "clock": at.textContent = (Math.abs(t - Date.now()) > 864e5 ? moment : clock).format(t); break;
      case "minute": at.textContent = (Math.abs(t - Date.now()) > 432e5 ? moment : minute).format(t); break;
      case "moment": at.textContent = moment.format(t); break;
      default: run(at);
    }
  }
}

localise(document);
setInterval(() => { for (const at of document.querySelectorAll("time[data-as=since],time[data-as=until]")) run(at); }, 1000);
