// The route that evaluates an expression and returns its computation graph.

import { buildGraph } from "./graph.ts";
import { CodeError } from "./lexer.ts";
import type { GraphRequest } from "./protocol.ts";
import { sendJSON } from "./responses.ts";
import type { Routes } from "./router.ts";
import { checkFields, HttpError, type Schema } from "./validate.ts";

const schema: Schema = {
  code: { type: "string" },
  dtype: { type: "string", optional: true },
  direction: { type: "string", optional: true },
};

export const graphRoutes: Routes = {
  "POST /graph": ({ response, body }) => {
    const request = checkFields<GraphRequest>(body, schema);
    const { code, dtype = "f64", direction = "LR" } = request;
    if (dtype !== "f32" && dtype !== "f64")
      throw new HttpError(400, "unknown dtype, expected f32 or f64");
    if (direction !== "LR" && direction !== "TB")
      throw new HttpError(400, "unknown direction, expected LR or TB");
    try {
      sendJSON(response, buildGraph(code, { dtype, direction }));
    } catch (error) {
      throw error instanceof CodeError ? new HttpError(400, error.message) : error;
    }
  },
};
