// The search palette: Ctrl-K, a few letters, Enter. What can be found is asked of the server when it is first opened.
const dialog = document.getElementById("palette");

if (dialog) {
  const input = dialog.querySelector("input");
  const list = dialog.querySelector("ul");
  const nothing = dialog.querySelector("p");
  let all;
  let shown = [];
  let at = 0;

  const rank = (entry, words) => {
    const text = `${entry.name} ${entry.kind} ${entry.more || ""}`.toLowerCase();
    if (!words.every((word) => text.includes(word))) return -1;
    return words.length && entry.name.toLowerCase().startsWith(words[0]) ? 1 : 0;
  };

  const mark = () => {
    [...list.children].forEach((item, place) => item.setAttribute("aria-selected", String(place === at)));
    const item = list.children[at];
    input.setAttribute("aria-activedescendant", item ? item.id : "");
    item?.scrollIntoView({ block: "nearest" });
  };

  const go = ({ address, presses }) => {
    const button = presses && document.getElementById(presses);
    if (!button) return location.assign(address);
    button.form.requestSubmit(button);
  };

  const show = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = (all || []).map((entry) => [rank(entry, words), entry]).filter(([score]) => score >= 0);
    found.sort(([a], [b]) => b - a);
    shown = found.slice(0, 30).map(([, entry]) => entry);
    at = 0;
    list.replaceChildren(
      ...shown.map((entry, place) => {
        const item = document.createElement("li");
        item.id = `palette-${place}`;
        item.role = "option";
        const name = document.createElement("span");
        const kind = document.createElement("span");
        name.textContent = entry.name;
        kind.textContent = entry.more || entry.kind;
        item.append(name, kind);
        item.addEventListener("click", () => go(entry));
        return item;
      }),
    );
    nothing.hidden = shown.length > 0 || !all;
    list.hidden = shown.length === 0;
    mark();
  };

  const open = async () => {
    if (dialog.open) return;
    dialog.showModal();
    input.value = "";
    show();
    const answer = await fetch(dialog.dataset.from, { headers: { accept: "application/json" } }).catch(() => null);
    if (answer?.ok) all = (await answer.json()).entries;
    show();
  };

  document.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      open();
    }
  });
  for (const button of document.querySelectorAll("[data-opens-palette]")) {
    button.hidden = false;
    button.addEventListener("click", open);
  }
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  input.addEventListener("input", show);
  input.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && shown.length) {
      event.preventDefault();
      at = (at + step + shown.length) % shown.length;
      mark();
    } else if (event.key === "Enter" && shown[at]) {
      event.preventDefault();
      go(shown[at]);
    }
  });
}
