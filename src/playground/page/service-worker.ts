// The service worker: adds the headers that a browser requires for threads, which a plain web
// server does not send, and keeps all files, so that the page works offline.

/** The name of the folder with the files of this version, and the paths of all files. */
declare const VERSION: string;
declare const FILES: string[];

interface ExtendableEvent extends Event {
  waitUntil(promise: Promise<unknown>): void;
}
interface FetchEvent extends ExtendableEvent {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
}
/** The part of a service worker's global scope that is used. */
interface Scope {
  readonly registration: ServiceWorkerRegistration;
  readonly clients: { claim(): Promise<void> };
  skipWaiting(): Promise<void>;
  addEventListener(type: "install" | "activate", listener: (event: ExtendableEvent) => void): void;
  addEventListener(type: "fetch", listener: (event: FetchEvent) => void): void;
  addEventListener(type: "message", listener: (event: ExtendableEvent) => void): void;
}
const scope = self as unknown as Scope;

/** The time after which the copy of the page is used instead of that from the network, in ms. */
const MAX_WAIT = 1500;

scope.addEventListener("install", (event) => {
  // the first one starts at once; a new version waits until no page uses the old one
  if (!scope.registration.active) event.waitUntil(scope.skipWaiting());
  else event.waitUntil(keepFiles());
});

scope.addEventListener("activate", (event) => event.waitUntil(activate()));

/** The page asks for this when it has started, so that it does not wait for these downloads. */
scope.addEventListener("message", (event) => event.waitUntil(keepFiles()));

scope.addEventListener("fetch", (event) => {
  const { request } = event;
  const isOwn = request.url.startsWith(scope.registration.scope);
  if (request.method === "GET" && isOwn) event.respondWith(answer(request));
});

async function activate(): Promise<void> {
  const names = await caches.keys();
  const isOld = (name: string) => name.startsWith("app-") && name !== VERSION;
  await Promise.all(names.filter(isOld).map((name) => caches.delete(name)));
  await scope.clients.claim();
}

/** Downloads the files that are not kept yet. */
async function keepFiles(): Promise<void> {
  const cache = await caches.open(VERSION);
  for (const file of FILES) {
    const url = new URL(file, scope.registration.scope).href;
    if (!(await cache.match(url))) await cache.add(url);
  }
}

/** Returns the page from the network if it is fast, and all other files from the cache. */
async function answer(request: Request): Promise<Response> {
  const cache = await caches.open(VERSION);
  const isPage = request.mode === "navigate";
  const kept = await cache.match(isPage ? "./" : request, { ignoreSearch: isPage });
  if (kept && !isPage) return isolate(kept);
  try {
    const signal = kept ? AbortSignal.timeout(MAX_WAIT) : undefined;
    const response = await fetch(request, { signal });
    // without room in the browser's storage, the file still comes from the network
    if (response.ok && !isPage) await cache.put(request, response.clone()).catch(() => {});
    if (response.ok || !kept) return isolate(response);
  } catch (error) {
    if (!kept) throw error;
  }
  return isolate(kept);
}

/** Returns a response with the headers of a cross-origin isolated page. */
function isolate(response: Response): Response {
  const headers = new Headers(response.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  headers.set("Cross-Origin-Resource-Policy", "same-origin");
  const { status, statusText, body } = response;
  return new Response(body, { status, statusText, headers });
}
