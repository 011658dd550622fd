// Before a page: what it shows late, what moves, what holds it up. UNTIL stands before this.
new PerformanceObserver((list) => {
  for (const one of list.getEntries()) window.busyFor = (window.busyFor ?? 0) + one.duration;
}).observe({ type: "longtask", buffered: true });
new PerformanceObserver((list) => {
  for (const one of list.getEntries()) {
    if (!one.hadRecentInput) window.shifted = (window.shifted ?? 0) + one.value;
  }
}).observe({ type: "layout-shift", buffered: true });
if (UNTIL) {
  new MutationObserver((_, self) => {
    if (!document.querySelector(UNTIL)) return;
    window.drawnAt = performance.now();
    self.disconnect();
  }).observe(document, { childList: true, subtree: true });
}
window.looked = () => {
  const page = performance.getEntriesByType("navigation")[0];
  const all = [page, ...performance.getEntriesByType("resource")];
  return {
    first: page.responseStart - page.requestStart,
    ready: page.domContentLoadedEventEnd - page.startTime,
    paint: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0,
    sent: all.reduce((sum, one) => sum + one.encodedBodySize, 0),
    whole: all.reduce((sum, one) => sum + one.decodedBodySize, 0),
    requests: all.length,
    drawn: window.drawnAt ?? 0,
    shift: window.shifted ?? 0,
    busy: window.busyFor ?? 0,
  };
};
