// What the server refuses before it does anything. It listens on the loopback address alone, but
// any page in the user's browser can send requests there: by a name of its own that resolves to
// 127.0.0.1 (so Host is checked), or from its own origin (so Origin is).

import type { IncomingMessage } from "node:http";

/** A request that is refused, and with which status. */
export class Refusal extends Error {
  override name = "Refusal";
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** The most bytes that the body of a request may have. */
const MOST_BYTES = 64 * 1024;

/** Throws a Refusal unless a request comes from this server's own page. */
export function checkOwn(request: IncomingMessage, port: number): void {
  const { host, origin, "sec-fetch-site": site } = request.headers;
  const own = ["127.0.0.1", "localhost"].map((name) => `${name}:${port}`);
  if (host === undefined || !own.includes(host))
    throw new Refusal(421, `host is ${host}, expected ${own[0]}`);
  if (origin !== undefined && origin !== `http://${host}`)
    throw new Refusal(403, `origin is ${origin}, expected http://${host}`);
  if (site !== undefined && site !== "same-origin" && site !== "none")
    throw new Refusal(403, `the request is ${site}, expected same-origin`);
}

/** The JSON object in the body of a POST. */
export async function bodyOf(request: IncomingMessage): Promise<Record<string, unknown>> {
  const type = request.headers["content-type"] ?? "none";
  if (!/^application\/json\s*(;|$)/.test(type))
    throw new Refusal(415, `content-type is ${type}, expected application/json`);
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MOST_BYTES) throw new Refusal(413, `the body has more than ${MOST_BYTES} bytes`);
    chunks.push(chunk);
  }
  let body: unknown;
  try {
    body = JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch {
    throw new Refusal(400, "the body is not JSON");
  }
  if (typeof body !== "object" || body === null || Array.isArray(body))
    throw new Refusal(400, "the body is no JSON object");
  return body as Record<string, unknown>;
}

type Kind = "string" | "integer" | "number";

/**
 * The fields of a question, checked: each has a kind, a range, or a default. Throws a Refusal that
 * names the field.
 */
export function fieldsOf<T>(
  body: Record<string, unknown>,
  wanted: Record<string, { kind: Kind; min?: number; max?: number; optional?: boolean }>,
): T {
  const unknown = Object.keys(body).find((name) => !Object.hasOwn(wanted, name));
  if (unknown !== undefined) throw new Refusal(400, `unknown field ${unknown.slice(0, 40)}`);
  for (const [name, { kind, min, max, optional }] of Object.entries(wanted)) {
    const value = body[name];
    if (value === undefined && optional) continue;
    const isRight =
      kind === "string"
        ? typeof value === "string"
        : kind === "integer"
          ? Number.isInteger(value)
          : Number.isFinite(value);
    if (!isRight) throw new Refusal(400, `${name} is ${typeof value}, expected ${kind}`);
    if (typeof value !== "number") continue;
    if ((min !== undefined && value < min) || (max !== undefined && value > max))
      throw new Refusal(400, `${name} is ${value}, expected ${min} to ${max}`);
  }
  return body as T;
}
