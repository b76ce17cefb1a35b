// Functions that write HTTP responses.

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Writable } from "node:stream";
import { OutOfMemoryError } from "../backend/device.ts";
import { HttpError } from "./validate.ts";

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
 * Sends the status of an HttpError and its message, a 503 if there is not enough memory, or a 500
 * for any other error: as a page if the user has opened the URL in the browser, otherwise as JSON.
 */
export function sendError(request: IncomingMessage, response: ServerResponse, error: Error): void {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  const status = getStatus(error);
  if (request.headers.accept?.includes("text/html"))
    send(response, "text/html; charset=utf-8", formatErrorPage(error.message), status);
  else sendJSON(response, { error: error.message }, status);
}

function getStatus(error: Error): number {
  if (error instanceof HttpError) return error.status;
  return error instanceof OutOfMemoryError ? 503 : 500;
}

function formatErrorPage(message: string): string {
  const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };
  const text = message.replace(/[&<>]/g, (character) => entities[character]);
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>tinybard</title>
    <link rel="icon" href="data:," />
    <link rel="stylesheet" href="/style.css" />
  </head>
  <body>
    <header><h1>tinybard</h1></header>
    <main><p class="error">${text}</p></main>
  </body>
</html>
`;
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
