// uPlot makes formats for numbers and times of every language when it is loaded, which takes a phone longer than all the
// rest of it. Our charts say their numbers and times themselves, so what it gets instead is plain.
export class PlainNumberFormat {
  format = String;
}
export class PlainDateTimeFormat {
  resolvedOptions = () => ({ timeZone: "" });
}
