// A minimal router: splits the target of a request, and finds the handler of its method and path.

import type { IncomingMessage, ServerResponse } from "node:http";
import { HttpError } from "./validate.ts";

export interface RouteContext {
  request: IncomingMessage;
  response: ServerResponse;
  /** The path parameters, written as :name in the route. */
  params: Record<string, string>;
  query: Query;
  /** The JSON body of a POST request. {} for a GET request. */
  body: Record<string, unknown>;
}

/** The parameters of a query by name. */
export type Query = ReadonlyMap<string, string>;

/** Handlers by method and path pattern, such as `GET /runs/:run/metrics.csv`. */
export type Routes = Record<string, (context: RouteContext) => void | Promise<void>>;

/** The target of a request. Dots and repeated slashes in the path have no special meaning. */
export interface Target {
  path: string;
  /** The decoded parts of the path between slashes. */
  segments: string[];
  query: Query;
}

/** Splits a request target. Throws an HttpError if it is malformed. */
export function parseTarget(target: string): Target {
  if (!target.startsWith("/")) throw new HttpError(400, "the URL is not a path");
  const [path] = target.split("?", 1);
  const queryText = target.slice(path.length + 1);
  const query = new Map<string, string>();
  try {
    decodeURIComponent(queryText); // URLSearchParams accepts an invalid percent-encoding
    for (const [name, value] of new URLSearchParams(queryText)) {
      if (query.has(name))
        throw new HttpError(400, `the URL has the parameter ${name.slice(0, 40)} twice`);
      query.set(name, value);
    }
    return { path, segments: path.slice(1).split("/").map(decodeURIComponent), query };
  } catch (error) {
    if (error instanceof URIError)
      throw new HttpError(400, "the URL has an invalid percent-encoding");
    throw error;
  }
}

/**
 * Returns the handler of a request and its path parameters. Without a match, returns the methods
 * that the path allows, if any.
 */
export function findRoute(
  routes: Routes,
  method: string,
  segments: readonly string[],
): { handle: Routes[string]; params: Record<string, string> } | { allowed: string[] } {
  const allowed: string[] = [];
  for (const [route, handle] of Object.entries(routes)) {
    const [routeMethod, pattern] = route.split(" ");
    const params = matchSegments(pattern.slice(1).split("/"), segments);
    if (!params) continue;
    if (routeMethod === method) return { handle, params };
    allowed.push(routeMethod);
  }
  return { allowed };
}

function matchSegments(
  pattern: readonly string[],
  segments: readonly string[],
): Record<string, string> | null {
  if (pattern.length !== segments.length) return null;
  const params: Record<string, string> = {};
  for (const [i, part] of pattern.entries()) {
    if (part.startsWith(":")) params[part.slice(1)] = segments[i];
    else if (part !== segments[i]) return null;
  }
  return params;
}
