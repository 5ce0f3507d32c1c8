// The reader's choice of light or dark, kept in this browser. It runs before the page is painted.
"use strict";
(() => {
  const root = document.documentElement, key = "tutti-theme";
  const read = () => { try { return localStorage.getItem(key); } catch { return null; } };
  const set = theme => { if (theme === "light" || theme === "dark") root.dataset.theme = theme; };
  set(read());
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    if (!button) return;
    const say = () => { button.textContent = dark() ? "Light" : "Dark"; button.setAttribute("aria-label", dark() ? "Switch to light colours" : "Switch to dark colours"); };
    button.hidden = false;
    say();
    button.addEventListener("click", () => {
      const next = dark() ? "light" : "dark";
      set(next);
      try { localStorage.setItem(key, next); } catch { /* for this page only */ }
      say();
    });
  });
})();
