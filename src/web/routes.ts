// What a part of the server offers, and the ways to answer.

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Writable } from "node:stream";

export interface Asked {
  request: IncomingMessage;
  response: ServerResponse;
  /** The parts of the path that stand in the route as :name. */
  parts: Record<string, string>;
  query: URLSearchParams;
  /** The JSON of a POST; {} of a GET. */
  body: Record<string, unknown>;
}

/** `GET /runs/:run/metrics.csv` -> what answers it. */
export type Routes = Record<string, (asked: Asked) => void | Promise<void>>;

/** The route for a request, and the parts of its path; else the methods that the path knows. */
export function routeOf(
  routes: Routes,
  method: string,
  path: string,
): { handle: Routes[string]; parts: Record<string, string> } | { allowed: string[] } {
  const allowed: string[] = [];
  for (const [route, handle] of Object.entries(routes)) {
    const [verb, pattern] = route.split(" ");
    const parts = partsOf(pattern, path);
    if (!parts) continue;
    if (verb === method) return { handle, parts };
    allowed.push(verb);
  }
  return { allowed };
}

function partsOf(pattern: string, path: string): Record<string, string> | null {
  const [wanted, given] = [pattern, path].map((each) => each.split("/"));
  if (wanted.length !== given.length) return null;
  const parts: Record<string, string> = {};
  for (const [i, each] of wanted.entries()) {
    if (each.startsWith(":")) {
      try {
        parts[each.slice(1)] = decodeURIComponent(given[i]);
      } catch {
        return null; // a % that stands for nothing
      }
    } else if (each !== given[i]) return null;
  }
  return parts;
}

export function sendJSON(response: ServerResponse, value: unknown, status = 200): void {
  send(response, "application/json", JSON.stringify(value), status);
}

/** f32 as they lie in memory, little-endian. */
export function sendNumbers(response: ServerResponse, values: Float32Array): void {
  send(response, "application/octet-stream", bytesOf(values));
}

/** Numbers as they lie in memory. */
export function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

export function send(
  response: ServerResponse,
  type: string,
  content: string | Buffer,
  status = 200,
): void {
  const length = Buffer.byteLength(content);
  response.writeHead(status, { "content-type": type, "content-length": length });
  response.end(content);
}

/**
 * Writes a part of an answer, waits until the client has taken it, and lets others have their turn.
 * False: the client is gone.
 */
export async function write(response: Writable, content: string | Buffer): Promise<boolean> {
  if (response.destroyed) return false;
  if (response.write(content)) await new Promise((next) => setImmediate(next));
  else
    await new Promise<void>((next) => {
      const done = () => {
        for (const event of events) response.off(event, done);
        next();
      };
      for (const event of events) response.on(event, done);
    });
  return !response.destroyed;
}

const events = ["drain", "close"];
