// A minimal router: finds the handler of a request by its method and path.

import type { IncomingMessage, ServerResponse } from "node:http";

export interface RouteContext {
  request: IncomingMessage;
  response: ServerResponse;
  /** The path parameters, written as :name in the route. */
  params: Record<string, string>;
  query: URLSearchParams;
  /** The JSON body of a POST request. {} for a GET request. */
  body: Record<string, unknown>;
}

/** Handlers by method and path pattern, such as `GET /runs/:run/metrics.csv`. */
export type Routes = Record<string, (context: RouteContext) => void | Promise<void>>;

/**
 * Returns the handler of a request and its path parameters. Without a match, returns the methods
 * that the path allows, if any.
 */
export function findRoute(
  routes: Routes,
  method: string,
  path: string,
): { handle: Routes[string]; params: Record<string, string> } | { allowed: string[] } {
  const allowed: string[] = [];
  for (const [route, handle] of Object.entries(routes)) {
    const [routeMethod, pattern] = route.split(" ");
    const params = matchPath(pattern, path);
    if (!params) continue;
    if (routeMethod === method) return { handle, params };
    allowed.push(routeMethod);
  }
  return { allowed };
}

function matchPath(pattern: string, path: string): Record<string, string> | null {
  const patternSegments = pattern.split("/");
  const pathSegments = path.split("/");
  if (patternSegments.length !== pathSegments.length) return null;
  const params: Record<string, string> = {};
  for (const [i, segment] of patternSegments.entries()) {
    if (segment.startsWith(":")) {
      const value = decodeSegment(pathSegments[i]);
      if (value === null) return null;
      params[segment.slice(1)] = value;
    } else if (segment !== pathSegments[i]) {
      return null;
    }
  }
  return params;
}

/** Returns null for an invalid percent encoding. */
function decodeSegment(segment: string): string | null {
  try {
    return decodeURIComponent(segment);
  } catch {
    return null;
  }
}
