// Small comforts: times that stay true, buttons that copy, questions asked in place, no form sent twice.
const UNITS = [
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
];

const ago = (seconds) => {
  const size = Math.abs(seconds);
  if (size < 45) return seconds > 0 ? "in a moment" : "just now";
  const [unit, length] = UNITS.find(([, length]) => size >= length) ?? UNITS.at(-1);
  const count = Math.max(1, Math.trunc(size / length));
  const said = `${count} ${unit}${count === 1 ? "" : "s"}`;
  return seconds > 0 ? `in ${said}` : `${said} ago`;
};

export const freshen = () => {
  for (const time of document.querySelectorAll("time[data-relative]")) {
    const said = ago((Date.parse(time.dateTime) - Date.now()) / 1000);
    if (time.textContent !== said) time.textContent = said;
  }
};
setInterval(freshen, 15000);

document.addEventListener("click", async (event) => {
  const copies = event.target.closest("[data-copies]");
  if (copies) {
    const source = document.getElementById(copies.dataset.copies);
    await navigator.clipboard.writeText(source.textContent.trim());
    const said = copies.querySelector("[data-said]");
    const told = copies.nextElementSibling;
    if (said && told) {
      const before = said.textContent;
      said.textContent = told.textContent = "Copied";
      setTimeout(() => {
        said.textContent = before;
        told.textContent = "";
      }, 1500);
    }
  }
});

// Exact times and amounts are in titles, which need a pointer: with a finger, tap them.
document.addEventListener("click", (event) => {
  document.querySelector(".tip")?.remove();
  const exact = event.target.closest("time[title], data[title]");
  if (!exact || exact.closest("a, button, summary") || !matchMedia("(hover: none)").matches) return;
  const tip = document.createElement("span");
  tip.className = "tip";
  tip.role = "status";
  tip.textContent = exact.title;
  document.body.append(tip);
  const { left, width, bottom } = exact.getBoundingClientRect();
  const half = tip.offsetWidth / 2 + 8;
  tip.style.left = `${Math.min(Math.max(left + width / 2, half), innerWidth - half)}px`;
  tip.style.top = `${bottom + 4}px`;
});
document.addEventListener("scroll", () => document.querySelector(".tip")?.remove(), { passive: true });

// A link to a page that asks something before it is done: the question is shown over the present page. Without a
// script, or with another button of the mouse, the link leads to that page.
document.addEventListener("click", async (event) => {
  const link = event.target.closest("a[data-asks]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const answer = await fetch(link.href, { redirect: "error" }).catch(() => null);
  const page = answer && new DOMParser().parseFromString(await answer.text(), "text/html");
  const question = page?.querySelector("[data-question]");
  if (!answer?.ok || !question) return location.assign(link.href);
  const dialog = document.createElement("dialog");
  dialog.className = "dialog";
  dialog.setAttribute("aria-labelledby", "question");
  const box = document.createElement("div");
  box.append(document.importNode(question, true));
  dialog.append(box);
  document.body.append(dialog);
  dialog.addEventListener("close", () => {
    dialog.remove();
    link.focus();
  });
  dialog.addEventListener("click", (one) => {
    if (one.target === dialog || one.target.closest("[data-closes]")) {
      one.preventDefault();
      dialog.close();
    }
  });
  dialog.showModal();
});

document.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (event.defaultPrevented || !button || event.target.method !== "post") return;
  if (button.getAttribute("aria-busy") === "true") return event.preventDefault();
  button.setAttribute("aria-busy", "true");
});
window.addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("[aria-busy]")) button.removeAttribute("aria-busy");
});

// Filters apply as they are changed; the button is for those without a script.
for (const form of document.querySelectorAll("form[data-applies]")) {
  form.addEventListener("change", () => form.requestSubmit());
}

// What is there for those without a script goes, what needs one comes: also in a part of the page that came later.
export const dress = () => {
  for (const button of document.querySelectorAll("[data-plain]")) button.hidden = true;
  for (const button of document.querySelectorAll("[data-copies]")) button.hidden = false;
};
dress();
document.addEventListener("htmx:after:swap", dress);

// Of tabs that are wider than a phone, the one that is open is seen.
for (const tab of document.querySelectorAll("nav.tabs [aria-current]")) {
  const row = tab.closest("nav");
  row.scrollLeft = tab.offsetLeft + tab.offsetWidth / 2 - row.offsetLeft - row.clientWidth / 2;
}

// Menus close like menus.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open], details.switcher[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open], details.switcher[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// Tabs that scroll begin where the present one can be seen. That is measured with the next frame, which lays the page out
// anyhow: asked for at once it would be done twice.
requestAnimationFrame(() => {
  for (const tabs of document.querySelectorAll(".tabs")) {
    const here = tabs.querySelector("[aria-current]");
    if (here) tabs.scrollLeft = here.offsetLeft - tabs.offsetLeft - (tabs.clientWidth - here.offsetWidth) / 2;
  }
});
