// The page keeps itself up to date. The server says which records of the team have changed; then the page is fetched
// anew, and the parts that show them are changed in place. Only a page that is being looked at listens: a browser opens
// six connections to a server at most, and somebody may have more tabs than that.
import { dress, freshen } from "./small.js";

const address = document.body.dataset.live;
// How far this page knows what has changed: the next stream goes on from there.
let place = document.body.dataset.liveAt ?? "";
let source;
let waiting;
let heard = new Set();

const isBusy = (part) => {
  const at = document.activeElement;
  const isWriting = part.contains(at) && at.matches("input, textarea, select");
  return isWriting || part.querySelector("dialog[open], details[open]") !== null;
};

const refresh = async () => {
  const topics = heard;
  heard = new Set();
  const answer = await fetch(location.href, { headers: { "x-live": "yes" }, redirect: "manual" }).catch(() => null);
  if (!answer || answer.status >= 500) {
    for (const topic of topics) heard.add(topic);
    later(5000);
    return;
  }
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const { morph } = await import(document.body.dataset.htmx);
  for (const part of document.querySelectorAll("[data-live-on]")) {
    const wants = part.dataset.liveOn.split(" ").some((topic) => topics.has(topic));
    const now = fresh.getElementById(part.id);
    if (!wants || !now) continue;
    if (isBusy(part)) {
      for (const topic of part.dataset.liveOn.split(" ")) if (topics.has(topic)) heard.add(topic);
      continue;
    }
    morph(part, now);
  }
  // What came may be drawn by a script that this page had no use for until now.
  for (const { src, type } of fresh.head.querySelectorAll("script[src]")) {
    if ([...document.scripts].some((script) => script.src === src)) continue;
    document.head.append(Object.assign(document.createElement("script"), { src, type }));
  }
  dress();
  freshen();
  document.dispatchEvent(new Event("forebay:fresh"));
  if (heard.size) later(3000);
};

const later = (milliseconds) => {
  clearTimeout(waiting);
  waiting = setTimeout(refresh, milliseconds);
};

const listen = () => {
  source = new EventSource(`${address}?at=${place}`);
  source.addEventListener("at", (event) => {
    place = event.lastEventId;
  });
  source.addEventListener("changed", (event) => {
    place = event.lastEventId;
    for (const topic of event.data.split(" ")) heard.add(topic);
    later(150);
  });
};

if (address) {
  const follow = () => {
    if (document.visibilityState === "hidden") {
      source?.close();
      source = undefined;
    } else if (!source) {
      listen();
    }
  };
  document.addEventListener("visibilitychange", follow);
  window.addEventListener("pagehide", () => source?.close());
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) listen();
  });
  follow();
}
