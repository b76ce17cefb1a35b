// Registers the service worker, which makes the page work offline and gives it threads.

/** The longest time that the page waits for the service worker before it starts, in ms. */
const MAX_WAIT = 900;
const RELOADED = "tinybard-reloaded";

/**
 * Registers the service worker. On the first visit to a server that does not send the headers for
 * threads, the page is loaded again, through the service worker: returns true if it is about to be.
 */
export async function registerServiceWorker(): Promise<boolean> {
  if (!("serviceWorker" in navigator)) return false;
  // not awaited: it may fail, as in some private windows, or take forever
  navigator.serviceWorker.register("service-worker.js").catch(() => {});
  if (globalThis.crossOriginIsolated || wasReloaded()) return false;
  if (!(await isControlled())) return false;
  location.reload();
  return true;
}

/** Downloads all files of the page for offline use. */
export async function keepOffline(): Promise<void> {
  if (!("serviceWorker" in navigator)) return;
  const { active } = await navigator.serviceWorker.ready;
  active?.postMessage("keep");
}

/** Resolves to true when the service worker controls the page, or to false if it takes too long. */
function isControlled(): Promise<boolean> {
  const container = navigator.serviceWorker;
  if (container.controller) return Promise.resolve(true);
  return new Promise((resolve) => {
    setTimeout(() => resolve(false), MAX_WAIT);
    container.addEventListener("controllerchange", () => resolve(true), { once: true });
  });
}

/** Returns false once in a session: a browser without threads must not reload again and again. */
function wasReloaded(): boolean {
  try {
    if (sessionStorage.getItem(RELOADED)) return true;
    sessionStorage.setItem(RELOADED, "yes");
    return false;
  } catch {
    return true; // without storage, it could not be known
  }
}
