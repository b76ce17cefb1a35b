// Request validation: bodies and their fields.

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

/** Reads the body of a POST request, which must be a JSON object. */
export async function readBody(request: IncomingMessage): Promise<Record<string, unknown>> {
  const type = request.headers["content-type"] ?? "none";
  if (!/^application\/json\s*(;|$)/i.test(type))
    throw new HttpError(415, `content-type is ${type}, expected application/json`);
  const body = parseJSON(await readBytes(request));
  if (typeof body !== "object" || body === null || Array.isArray(body))
    throw new HttpError(400, "the body is not a JSON object");
  return body as Record<string, unknown>;
}

/**
 * Reads a body of at most MAX_BODY_BYTES. The rest of a longer one is received but not kept: a
 * client that is still sending would otherwise lose the connection before it reads the response.
 */
function readBytes(request: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    request.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size <= MAX_BODY_BYTES) {
        chunks.push(chunk);
      } else {
        chunks.length = 0;
        reject(new HttpError(413, `the body has more than ${MAX_BODY_BYTES} bytes`));
      }
    });
    request.on("end", () => resolve(Buffer.concat(chunks)));
    request.on("close", () => reject(new HttpError(400, "the body is incomplete")));
    request.on("error", reject);
  });
}

function parseJSON(bytes: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
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

/** The fields of requests that sample tokens. */
export const samplingSchema: Schema = {
  tokens: { type: "integer", min: 1, max: 10_000 },
  temperature: { type: "number", min: 0, max: 100, optional: true },
  topK: { type: "integer", min: 1, optional: true },
  topP: { type: "number", min: 1e-9, max: 1, optional: true },
  seed: { type: "integer", min: 0, max: 2 ** 32 - 1, optional: true },
};

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
  return type === "integer" ? Number.isSafeInteger(value) : Number.isFinite(value);
}
