// The dashboard's HTTP server. It accepts requests from its own page only, and serves the page's
// files and the routes.

import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { checkOrigin, checkToken } from "./access.ts";
import { type Asset, createContentSecurityPolicy, readAssets } from "./assets.ts";
import { send, sendError } from "./responses.ts";
import { findRoute, parseTarget, type Routes } from "./router.ts";
import { HttpError, readBody } from "./validate.ts";

/** The maximum length of a request URL in characters. */
const MAX_URL_LENGTH = 8192;
/** The number of ports that are tried, starting with the requested one. */
const PORT_ATTEMPTS = 101;

interface Site {
  assets: Map<string, Asset>;
  routes: Routes;
  token: string | null;
  port: number;
}

/**
 * Listens on the loopback address, on `port` or, if it is in use, on the next free one. Returns the
 * server and its URL. The page and the routes require the token, unless it is null. `routes` may be
 * filled later. Throws if no port is free.
 */
export async function serve(
  routes: Routes,
  port: number,
  token: string | null = null,
): Promise<{ server: Server; url: string }> {
  const assets = readAssets();
  const policy = createContentSecurityPolicy(String(assets.get("/")?.content));
  const server = createServer((request, response) => {
    response.on("error", () => {}); // the client has disconnected: nothing to do
    response.setHeader("content-security-policy", policy);
    response.setHeader("x-content-type-options", "nosniff");
    response.setHeader("referrer-policy", "no-referrer");
    response.setHeader("cross-origin-resource-policy", "same-origin");
    const site: Site = { assets, routes, token, port: getPort(server) };
    respond(request, response, site).catch((error: Error) => sendError(request, response, error));
  });
  server.headersTimeout = 10_000;
  server.requestTimeout = 30_000;
  server.timeout = 60_000; // of a client that reads nothing; open pages receive heartbeats
  const actualPort = await listen(server, port);
  const query = token === null ? "" : `?token=${token}`;
  return { server, url: `http://127.0.0.1:${actualPort}/${query}` };
}

/** Listens on the first free port from `firstPort` up, and returns the port. */
async function listen(server: Server, firstPort: number): Promise<number> {
  const lastPort = Math.min(firstPort + PORT_ATTEMPTS - 1, 65535);
  for (let port = firstPort; ; port++) {
    try {
      await listenAt(server, port);
      return getPort(server);
    } catch (cause) {
      const isInUse = (cause as NodeJS.ErrnoException).code === "EADDRINUSE";
      if (isInUse && port < lastPort) continue;
      throw new Error(describeFailure(cause as NodeJS.ErrnoException, firstPort, port), { cause });
    }
  }
}

function describeFailure(
  { code, message }: NodeJS.ErrnoException,
  firstPort: number,
  port: number,
): string {
  const advice = "choose another port with --port";
  if (code === "EADDRINUSE" && firstPort < port)
    return `the ports from ${firstPort} to ${port} on 127.0.0.1 are in use; ${advice}`;
  if (code === "EADDRINUSE") return `port ${port} on 127.0.0.1 is in use; ${advice}`;
  if (code === "EACCES")
    return `port ${port} on 127.0.0.1: permission denied (EACCES); ${advice}, from 1024 up`;
  return `cannot listen on 127.0.0.1:${port}: ${message}`;
}

async function listenAt(server: Server, port: number): Promise<void> {
  server.listen(port, "127.0.0.1");
  await once(server, "listening"); // throws if the server emits an error first
}

function getPort(server: Server): number {
  return (server.address() as AddressInfo).port;
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  { assets, routes, token, port }: Site,
): Promise<void> {
  checkOrigin(request, port);
  const { method = "", url = "" } = request;
  if (url.length > MAX_URL_LENGTH)
    throw new HttpError(
      414,
      `the URL has ${url.length} characters, expected at most ${MAX_URL_LENGTH}`,
    );
  const { path, segments, query } = parseTarget(url);
  const asset = assets.get(path);
  // the page's scripts and styles are the same for everyone; only the page itself needs the token
  if (!asset || path === "/") checkToken(query.get("token"), token);
  if (asset && method === "GET") {
    response.setHeader("cache-control", "no-cache");
    return send(response, asset.type, asset.content);
  }
  const route = findRoute(routes, method, segments);
  if ("allowed" in route) {
    const allowed = asset ? ["GET"] : route.allowed;
    if (allowed.length === 0) throw new HttpError(404, `not found: ${path.slice(0, 80)}`);
    response.setHeader("allow", allowed.join(", "));
    throw new HttpError(405, `${path} accepts ${allowed.join(", ")} only`);
  }
  const body = method === "POST" ? await readBody(request) : {};
  await route.handle({ request, response, params: route.params, query, body });
}
