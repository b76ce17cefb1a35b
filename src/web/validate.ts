// Request validation. The server listens on the loopback address only, but any web page in the
// user's browser can still send requests to it: through its own host name, resolved to 127.0.0.1
// (DNS rebinding, so Host is checked), or from its own origin (so Origin is checked).

import type { IncomingMessage } from "node:http";

/** An error that is reported to the client with an HTTP status. */
export class HttpError extends Error {
  override name = "HttpError";
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** The maximum size of a request body in bytes. */
const MAX_BODY_BYTES = 64 * 1024;

/** Throws an HttpError unless the request comes from this server's own page. */
export function checkOrigin(request: IncomingMessage, port: number): void {
  const { host, origin, "sec-fetch-site": site } = request.headers;
  const allowedHosts = [`127.0.0.1:${port}`, `localhost:${port}`];
  if (host === undefined || !allowedHosts.includes(host))
    throw new HttpError(421, `host is ${host}, expected ${allowedHosts[0]}`);
  if (origin !== undefined && origin !== `http://${host}`)
    throw new HttpError(403, `origin is ${origin}, expected http://${host}`);
  if (site !== undefined && site !== "same-origin" && site !== "none")
    throw new HttpError(403, `sec-fetch-site is ${site}, expected same-origin`);
}

/** Reads the body of a POST request, which must be a JSON object. */
export async function readBody(request: IncomingMessage): Promise<Record<string, unknown>> {
  const type = request.headers["content-type"] ?? "none";
  if (!/^application\/json\s*(;|$)/.test(type))
    throw new HttpError(415, `content-type is ${type}, expected application/json`);
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES)
      throw new HttpError(413, `the body has more than ${MAX_BODY_BYTES} bytes`);
    chunks.push(chunk);
  }
  const body = parseJSON(Buffer.concat(chunks).toString("utf8"));
  if (typeof body !== "object" || body === null || Array.isArray(body))
    throw new HttpError(400, "the body is not a JSON object");
  return body as Record<string, unknown>;
}

function parseJSON(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new HttpError(400, "the body is not JSON");
  }
}

type FieldType = "string" | "integer" | "number";

/** The fields of a request body. `min` and `max` are inclusive. */
export type Schema = Record<
  string,
  { type: FieldType; min?: number; max?: number; optional?: boolean }
>;

/** Checks a request body against a schema. Throws an HttpError that names the invalid field. */
export function checkFields<T>(body: Record<string, unknown>, schema: Schema): T {
  const unknown = Object.keys(body).find((name) => !Object.hasOwn(schema, name));
  if (unknown !== undefined) throw new HttpError(400, `unknown field ${unknown.slice(0, 40)}`);
  for (const [name, { type, min, max, optional }] of Object.entries(schema)) {
    const value = body[name];
    if (value === undefined && optional) continue;
    if (!hasType(value, type))
      throw new HttpError(400, `${name} is ${typeof value}, expected ${type}`);
    if (typeof value !== "number") continue;
    if ((min !== undefined && value < min) || (max !== undefined && value > max))
      throw new HttpError(400, `${name} is ${value}, expected ${min} to ${max}`);
  }
  return body as T;
}

function hasType(value: unknown, type: FieldType): boolean {
  if (type === "string") return typeof value === "string";
  return type === "integer" ? Number.isInteger(value) : Number.isFinite(value);
}
