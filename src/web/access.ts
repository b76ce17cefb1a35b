// Who may send requests to the server. It listens on the loopback address only, but two others can
// still reach it: any web page in the user's browser, through its own host name resolved to
// 127.0.0.1 (DNS rebinding, so Host is checked) or from its own origin (so Origin is checked), and
// the other users of the machine (so a token is required, which only the printed link contains).

import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { HttpError } from "./validate.ts";

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

/** Creates a token of 128 random bits, in hexadecimal. */
export function createToken(): string {
  return randomBytes(16).toString("hex");
}

/** Throws an HttpError unless `actual` is the expected token. Null expects none. */
export function checkToken(actual: string | undefined, expected: string | null): void {
  if (expected === null) return;
  // digests have equal lengths, and the duration of the comparison depends on neither
  if (actual !== undefined && timingSafeEqual(digest(actual), digest(expected))) return;
  throw new HttpError(
    403,
    `the address has ${actual === undefined ? "no token" : "a wrong token"}; ` +
      "open the link that tinybard printed, which ends with ?token=... " +
      "(each start of the dashboard has a new token; --no-token starts one without)",
  );
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
