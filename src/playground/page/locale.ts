// Makes sure that the browser's language is valid. WebKitGTK reports "C" under the locale of that
// name, for which Intl, and with it uPlot, throws a RangeError. Must be imported before uPlot.

try {
  new Intl.NumberFormat(navigator.language);
} catch {
  Object.defineProperty(navigator, "language", { value: "en" });
}
