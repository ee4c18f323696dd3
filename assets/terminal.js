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
  theme: { background: "#0e1116", foreground: "#e6e8ec", cursor: "#e6e8ec", selectionBackground: "#3a4a66" },
});
const fit = new FitAddon();
terminal.loadAddon(fit);
terminal.open(place);
fit.fit();

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
    terminal.write("\r\n");
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
