// The dashboard's HTTP server. It accepts requests from its own page only, and serves the page's
// files and the routes.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type Asset, createContentSecurityPolicy, readAssets } from "./assets.ts";
import { send, sendJSON } from "./responses.ts";
import { findRoute, type Routes } from "./router.ts";
import { checkOrigin, HttpError, readBody } from "./validate.ts";

/** The maximum length of a request URL in characters. */
const MAX_URL_LENGTH = 8192;
/** The number of ports that are tried, starting with the requested one. */
const PORT_ATTEMPTS = 101;

/**
 * Listens on the loopback address, on `port` or, if it is in use, on the next free one. Returns the
 * server and its URL.
 */
export async function serve(
  routes: Routes,
  port: number,
): Promise<{ server: Server; url: string }> {
  const assets = readAssets();
  const policy = createContentSecurityPolicy(String(assets.get("/")?.content));
  const server = createServer((request, response) => {
    response.on("error", () => {}); // the client has disconnected: nothing to do
    response.setHeader("content-security-policy", policy);
    response.setHeader("x-content-type-options", "nosniff");
    response.setHeader("referrer-policy", "no-referrer");
    response.setHeader("cross-origin-resource-policy", "same-origin");
    const context = { assets, routes, port: getPort(server) };
    respond(request, response, context).catch((error: Error) => sendError(response, error));
  });
  server.headersTimeout = 10_000;
  server.requestTimeout = 30_000;
  const actualPort = await listen(server, port);
  return { server, url: `http://127.0.0.1:${actualPort}/` };
}

/** Listens on the first free port from `firstPort` up, and returns the port. */
async function listen(server: Server, firstPort: number): Promise<number> {
  const lastPort = Math.min(firstPort + PORT_ATTEMPTS - 1, 65535);
  for (let port = firstPort; ; port++) {
    try {
      await listenAt(server, port);
      return getPort(server);
    } catch (error) {
      const isInUse = (error as NodeJS.ErrnoException).code === "EADDRINUSE";
      if (!isInUse || port >= lastPort) throw error;
    }
  }
}

function listenAt(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function getPort(server: Server): number {
  return (server.address() as AddressInfo).port;
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  { assets, routes, port }: { assets: Map<string, Asset>; routes: Routes; port: number },
): Promise<void> {
  checkOrigin(request, port);
  const { method = "", url = "" } = request;
  if (url.length > MAX_URL_LENGTH)
    throw new HttpError(
      414,
      `the URL has ${url.length} characters, expected at most ${MAX_URL_LENGTH}`,
    );
  if (!url.startsWith("/")) throw new HttpError(400, "the URL is not a path");
  const { pathname, searchParams } = new URL(url, "http://127.0.0.1");
  const asset = assets.get(pathname);
  if (asset && method === "GET") {
    response.setHeader("cache-control", "no-cache");
    return send(response, asset.type, asset.content);
  }
  const route = findRoute(routes, method, pathname);
  if ("allowed" in route) {
    const allowed = asset ? ["GET"] : route.allowed;
    if (allowed.length === 0) throw new HttpError(404, `not found: ${pathname.slice(0, 80)}`);
    response.setHeader("allow", allowed.join(", "));
    throw new HttpError(405, `${pathname} accepts ${allowed.join(", ")} only`);
  }
  const body = method === "POST" ? await readBody(request) : {};
  await route.handle({ request, response, params: route.params, query: searchParams, body });
}

/** Sends the status of an HttpError and its message, or a 500 for any other error. */
function sendError(response: ServerResponse, error: Error): void {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  const status = error instanceof HttpError ? error.status : 500;
  response.setHeader("connection", "close"); // do not read the rest of a rejected body
  sendJSON(response, { error: error.message }, status);
}
