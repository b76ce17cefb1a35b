// Composites of ops that have a derivative of their own.

import { noGrad } from "../autograd.ts";
import { scope } from "../scope.ts";

/** Runs ops without recording them. Returns their result, and frees what else they made. */
export function compose<T>(fn: () => T): T {
  return scope(() => noGrad(fn));
}
