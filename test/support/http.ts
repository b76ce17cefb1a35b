// Test support for the dashboard's server: requests that fetch() cannot send, and event streams.

import { request } from "node:http";
import { connect } from "node:net";
import * as assert from "uvu/assert";

export const jsonHeaders = { "content-type": "application/json" };

export interface Reply {
  status: number;
  headers: Record<string, unknown>;
  body: string;
}

/** Sends a request and returns the status, headers and body. fetch() cannot set a Host header. */
export function send(
  url: string,
  {
    method = "GET",
    headers = {},
    body = "",
  }: { method?: string; headers?: Record<string, string>; body?: string | Buffer } = {},
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const agent = false; // no connection of a server that was closed is used again
    const sent = request(url, { method, headers, agent }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk) => {
        text += chunk;
      });
      response.on("end", () =>
        resolve({ status: response.statusCode as number, headers: response.headers, body: text }),
      );
    });
    sent.on("error", reject).end(body);
  });
}

/** Sends bytes over TCP and returns the response, or what has arrived of it after a second. */
export function sendBytes(port: number, bytes: string | Buffer): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    const socket = connect(port, "127.0.0.1", () => socket.end(bytes));
    socket.setEncoding("latin1").on("data", (chunk) => {
      text += chunk;
    });
    socket.setTimeout(1000, () => socket.destroy());
    socket.on("error", () => resolve(text)).on("close", () => resolve(text));
  });
}

export interface ReceivedEvent {
  name: string;
  id: string;
  data: unknown;
}

/** Receives server-sent events until `isEnough` returns true. */
export async function receiveEvents(
  url: string,
  isEnough: (events: ReceivedEvent[]) => boolean,
  headers: Record<string, string> = {},
): Promise<ReceivedEvent[]> {
  const events: ReceivedEvent[] = [];
  const abort = new AbortController();
  const response = await fetch(url, { headers, signal: abort.signal });
  assert.is(response.headers.get("content-type"), "text/event-stream; charset=utf-8");
  let buffer = "";
  const deadline = Date.now() + 20_000;
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    buffer += Buffer.from(chunk).toString("utf8");
    const parts = buffer.split("\n\n");
    buffer = parts.pop() as string;
    for (const part of parts) {
      const [, name, id, data] = /^event: (\w+)\nid: (.*)\ndata: (.*)$/.exec(part) ?? [];
      if (name) events.push({ name, id, data: JSON.parse(data) });
    }
    if (isEnough(events)) break;
    assert.ok(Date.now() < deadline, `only received ${events.map(({ name }) => name)}`);
  }
  abort.abort();
  return events;
}
