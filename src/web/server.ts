// The dashboard's server: takes requests from its own page alone, and hands them to what answers.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type Asset, policyFor, readAssets } from "./assets.ts";
import { type Routes, routeOf, send, sendJSON } from "./routes.ts";
import { bodyOf, checkOwn, Refusal } from "./validate.ts";

/** The most characters that a request's address may have. */
const LONGEST = 8192;

/**
 * Listens on the loopback address, at `port` or, if it is taken, at the next one that is free.
 * Gives the server and its address.
 */
export async function serve(
  routes: Routes,
  port: number,
): Promise<{ server: Server; url: string }> {
  const assets = readAssets();
  const policy = policyFor(String(assets.get("/")?.content));
  const server = createServer((request, response) => {
    response.on("error", () => {}); // a page that is gone: its next write fails, and that is all
    response.setHeader("content-security-policy", policy);
    response.setHeader("x-content-type-options", "nosniff");
    response.setHeader("referrer-policy", "no-referrer");
    response.setHeader("cross-origin-resource-policy", "same-origin");
    answer(request, response, { assets, routes, port: portOf(server) }).catch((error: Error) =>
      refuse(response, error),
    );
  });
  server.headersTimeout = 10_000;
  server.requestTimeout = 30_000;
  const taken = await listen(server, port);
  return { server, url: `http://127.0.0.1:${taken}/` };
}

async function listen(server: Server, wanted: number): Promise<number> {
  for (let port = wanted; ; port++) {
    try {
      await new Promise<void>((resolve, reject) => {
        server.once("error", reject);
        server.listen(port, "127.0.0.1", () => {
          server.off("error", reject);
          resolve();
        });
      });
      return portOf(server);
    } catch (error) {
      const isTaken = (error as NodeJS.ErrnoException).code === "EADDRINUSE";
      if (!isTaken || port >= wanted + 100 || port >= 65535) throw error;
    }
  }
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { assets, routes, port }: { assets: Map<string, Asset>; routes: Routes; port: number },
): Promise<void> {
  checkOwn(request, port);
  const { method = "", url = "" } = request;
  if (url.length > LONGEST) throw new Refusal(414, `the address has ${url.length} characters`);
  if (!url.startsWith("/")) throw new Refusal(400, "the address is no path");
  const { pathname, searchParams } = new URL(url, "http://127.0.0.1");
  const asset = assets.get(pathname);
  if (asset && method === "GET") {
    response.setHeader("cache-control", "no-cache");
    return send(response, asset.type, asset.content);
  }
  const route = routeOf(routes, method, pathname);
  if ("allowed" in route) {
    const allowed = asset ? ["GET"] : route.allowed;
    if (allowed.length === 0) throw new Refusal(404, `there is no ${pathname.slice(0, 80)}`);
    response.setHeader("allow", allowed.join(", "));
    throw new Refusal(405, `${pathname} takes ${allowed.join(", ")}`);
  }
  const body = method === "POST" ? await bodyOf(request) : {};
  await route.handle({ request, response, parts: route.parts, query: searchParams, body });
}

/** Tells what was wrong: of a request, in its words; of the server, as a 500. */
function refuse(response: ServerResponse, error: Error): void {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  const status = error instanceof Refusal ? error.status : 500;
  response.setHeader("connection", "close"); // a body that is not wanted is not read to its end
  sendJSON(response, { error: error.message }, status);
}
