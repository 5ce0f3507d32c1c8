// Live news of one task. The server sends the parts of the page that changed, as it would render them, and what happened.
import { localise } from "./times.js";

const main = document.querySelector("main[data-events]");
const link = document.getElementById("link"), said = document.getElementById("said"), news = document.getElementById("news");
const shown = 60, patience = 45000, pause = 15000;
let last = main.dataset.after, source, watchdog, saidAt = 0;

function state(kind, text) {
  link.className = "link " + kind;
  if (link.textContent !== text) link.textContent = text;
}

// adopt puts a part in the place of the one that the page has, and leaves open what was open, focus and scrolling as they were.
function adopt(id, html) {
  const old = document.getElementById(id);
  const fresh = document.adoptNode(new DOMParser().parseFromString(html, "text/html").getElementById(id));
  if (!old || !fresh) return;
  for (const d of old.querySelectorAll("details[open][id]")) {
    const same = fresh.querySelector("#" + CSS.escape(d.id));
    if (same) same.open = true;
  }
  const active = old.contains(document.activeElement) ? document.activeElement : null;
  const rolled = [...old.querySelectorAll(".scroll")].map(x => x.scrollLeft);
  localise(fresh);
  old.replaceWith(fresh);
  fresh.querySelectorAll(".scroll").forEach((x, i) => { x.scrollLeft = rolled[i] || 0; });
  if (active) {
    const same = active.id ? document.getElementById(active.id) : [...fresh.querySelectorAll("a,summary")].find(x => x.getAttribute("href") === active.getAttribute("href") && x.textContent === active.textContent);
    same?.focus({ preventScroll: true });
  }
}

function tell(x) {
  const line = document.createElement("li"), at = document.createElement("time"), words = document.createElement("span");
  at.dateTime = x.at;
  at.dataset.as = "clock";
  words.textContent = x.words;
  if (x.bad) words.className = "bad";
  line.className = "fresh";
  line.append(at, words);
  localise(line);
  news.querySelector(".empty")?.remove();
  news.prepend(line);
  while (news.children.length > shown) news.lastElementChild.remove();
  if (x.bad || Date.now() - saidAt > 4000) { // a screen reader is told the news, not every step of it
    saidAt = Date.now();
    said.textContent = x.words;
  }
}

function listen() {
  source?.close();
  source = new EventSource(main.dataset.events + "?after=" + last);
  const alive = () => {
    clearTimeout(watchdog);
    watchdog = setTimeout(listen, patience); // a connection that only looks open
    state("live", "live");
  };
  source.onopen = alive;
  source.onerror = () => {
    state("lost", "no connection to the server; trying again");
    if (source.readyState === EventSource.CLOSED) {
      clearTimeout(watchdog);
      watchdog = setTimeout(listen, pause);
    }
  };
  source.addEventListener("beat", alive);
  source.addEventListener("sections", e => {
    alive();
    for (const [id, html] of Object.entries(JSON.parse(e.data))) adopt(id, html);
  });
  source.addEventListener("happened", e => {
    alive();
    const x = JSON.parse(e.data);
    if (x.seq <= last) return;
    last = x.seq;
    tell(x);
  });
  source.addEventListener("missed", () => location.reload());
  source.addEventListener("ended", () => {
    source.close();
    clearTimeout(watchdog);
    state("lost", "your session has ended: reload the page to log in again");
  });
}

addEventListener("pagehide", () => source?.close());
addEventListener("pageshow", e => { if (e.persisted) listen(); });
listen();
