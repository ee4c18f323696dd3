// The terminal of a machine: xterm.js over a WebSocket. Binary messages are its bytes, both ways; text is ours, in JSON.
import { FitAddon } from "@xterm/addon-fit";
import { Terminal } from "@xterm/xterm";
import "./terminal.css";

const place = document.getElementById("terminal");
const state = document.getElementById("terminal-state");
const again = document.getElementById("terminal-again");
const aloud = document.getElementById("terminal-aloud");
const control = document.querySelector('[data-key="control"]');

const terminal = new Terminal({
  documentOverride: document,
  cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
  fontFamily: 'ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace',
  fontSize: innerWidth < 640 ? 12 : 14,
  minimumContrastRatio: 4.5,
  scrollback: 5000,
  logLevel: "off",
  windowOptions: {},
  theme: { background: "#0e1116", foreground: "#e6e8ec", cursor: "#e6e8ec", selectionBackground: "#3a4a66" },
});
const fit = new FitAddon();
terminal.loadAddon(fit);
terminal.open(place);
fit.fit();

// What a machine prints may come from anybody: a log, a file, a guest. It is shown, and nothing else comes of it: no title
// of the page, no link that says one thing and leads to another, nothing in the clipboard, no notification.
const MUTE = [0, 1, 2, 8, 9, 52, 777, 1337];
for (const kind of MUTE) terminal.parser.registerOscHandler(kind, () => true);
// Programs ask a terminal what it is and where its cursor stands, and get fixed words without an Enter in them. Some in
// a second are a program's; thousands would be typed into the shell for nothing.
const ANSWER = /^\x1b(?:\[[?>]?[\d;]*(?:\$?[cnRy])|P[01]\$r|\]\d+;)/;
const MOST_ANSWERS = 50;
let answered = { since: 0, count: 0 };
const isTooMuch = (text) => {
  if (!ANSWER.test(text)) return false;
  const now = performance.now();
  if (now - answered.since > 1000) answered = { since: now, count: 0 };
  answered.count += 1;
  return answered.count > MOST_ANSWERS;
};
// A program that was cut off leaves the screen it had drawn, and the mouse.
const SOBER = "\x1b[?1049l\x1b[!p\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[0m\r\n";

let socket;
const say = (text) => {
  state.textContent = text;
};
const tell = (message) => {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
};
const PART = 16384;
const send = (bytes) => {
  if (socket?.readyState !== WebSocket.OPEN) return;
  for (let at = 0; at < bytes.length; at += PART) socket.send(bytes.subarray(at, at + PART));
};
const encoder = new TextEncoder();
const type = (text) => {
  if (isTooMuch(text)) return;
  if (control.getAttribute("aria-pressed") === "true" && text.length === 1) {
    control.setAttribute("aria-pressed", "false");
    text = String.fromCharCode(text.toUpperCase().charCodeAt(0) & 31);
  }
  send(encoder.encode(text));
};

// What comes faster than it can be shown is asked to wait, so that it never piles up here.
const MOST_UNSHOWN = 512 * 1024;
let unshown = 0;
let isHeld = false;
const hold = (wanted) => {
  if (wanted === isHeld) return;
  isHeld = wanted;
  tell({ hold: wanted });
};
const show = (bytes) => {
  unshown += bytes.length;
  if (unshown > MOST_UNSHOWN) hold(true);
  terminal.write(bytes, () => {
    unshown -= bytes.length;
    if (unshown < MOST_UNSHOWN / 4) hold(false);
  });
};

const connect = () => {
  const address = new URL(`${place.dataset.address}?columns=${terminal.cols}&rows=${terminal.rows}`, location.href);
  address.protocol = address.protocol.replace("http", "ws");
  again.hidden = true;
  isHeld = false;
  let wasOpen = false;
  say("Connecting…");
  const one = new WebSocket(address);
  socket = one;
  one.binaryType = "arraybuffer";
  one.addEventListener("open", () => {
    wasOpen = true;
    say("Connected");
    terminal.focus();
  });
  one.addEventListener("message", (event) => {
    if (event.data instanceof ArrayBuffer) show(new Uint8Array(event.data));
  });
  one.addEventListener("close", (event) => {
    const without = wasOpen ? "The connection was lost." : "It can’t be opened. Reload the page: you may have to sign in again.";
    say(event.reason || without);
    terminal.write(SOBER);
    again.hidden = false;
    if (place.contains(document.activeElement)) again.focus();
  });
};

terminal.onData(type);
terminal.onBinary((text) => send(Uint8Array.from(text, (letter) => letter.charCodeAt(0))));
terminal.onResize(({ cols, rows }) => tell({ columns: cols, rows }));
terminal.attachCustomKeyEventHandler((event) => {
  if (event.type === "keydown" && event.ctrlKey && event.shiftKey && event.code === "KeyL") {
    event.preventDefault();
    aloud.focus();
    return false;
  }
  return true;
});
let waiting;
new ResizeObserver(() => {
  clearTimeout(waiting);
  waiting = setTimeout(() => fit.fit(), 100);
}).observe(place);

again.addEventListener("click", connect);
aloud.addEventListener("click", () => {
  const isOn = aloud.getAttribute("aria-pressed") !== "true";
  aloud.setAttribute("aria-pressed", String(isOn));
  terminal.options.screenReaderMode = isOn;
});
const ARROWS = { up: "A", down: "B", right: "C", left: "D" };
const KEYS = { escape: "\x1b", tab: "\t", interrupt: "\x03", end: "\x04" };
for (const button of document.querySelectorAll("[data-key]")) {
  button.addEventListener("click", () => {
    const key = button.dataset.key;
    if (key === "control") button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
    else if (ARROWS[key]) type(`\x1b${terminal.modes.applicationCursorKeysMode ? "O" : "["}${ARROWS[key]}`);
    else type(KEYS[key]);
    terminal.focus();
  });
}
connect();
