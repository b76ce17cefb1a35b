// Functions that write HTTP responses.

import type { ServerResponse } from "node:http";
import type { Writable } from "node:stream";

/** Sends a value as JSON. */
export function sendJSON(response: ServerResponse, value: unknown, status = 200): void {
  send(response, "application/json", JSON.stringify(value), status);
}

/** Sends f32 values in binary, little-endian. */
export function sendFloats(response: ServerResponse, values: Float32Array): void {
  send(response, "application/octet-stream", toBytes(values));
}

/** Returns a view of the array's memory as bytes. */
export function toBytes({ buffer, byteOffset, byteLength }: Float32Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

/** Sends a complete response. */
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
 * Writes one chunk of a streamed response. Waits until the client has received it, and yields to
 * the event loop so that other requests are answered in the meantime. Returns false if the client
 * has disconnected.
 */
export async function writeChunk(response: Writable, content: string | Buffer): Promise<boolean> {
  if (response.destroyed) return false;
  const hasRoom = response.write(content);
  if (hasRoom) await new Promise((resolve) => setImmediate(resolve));
  else await waitForDrainOrClose(response);
  return !response.destroyed;
}

function waitForDrainOrClose(response: Writable): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off("drain", done);
      response.off("close", done);
      resolve();
    };
    response.on("drain", done);
    response.on("close", done);
  });
}
