// What the dashboard does in the browser beyond links and forms, all of which work without it.
import "./live.js";
import "./palette.js";
import "./small.js";
