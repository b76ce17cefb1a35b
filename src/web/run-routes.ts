// The routes for looking at runs: which there are, their events, their rows as a table, and
// commands to the one that is being trained.

import { readRows, toCSV } from "../runs/metrics.ts";
import { type Broadcast, placesIn } from "./events.ts";
import type { Control } from "./protocol.ts";
import { type Routes, send, sendJSON } from "./routes.ts";
import type { Runs } from "./run-index.ts";
import { fieldsOf, Refusal } from "./validate.ts";

const actions = ["pause", "resume", "save", "stop"];

export function watchRoutes(
  runs: Runs,
  broadcast: Broadcast,
  control: (action: Control["action"]) => boolean,
): Routes {
  return {
    "GET /runs": ({ response }) => {
      const all = runs.names().map((name) => runs.info(name));
      sendJSON(
        response,
        all.filter((info) => info !== null),
      );
    },
    "GET /events": ({ request, response, query }) => {
      // a page that has lost its connection says itself where it was
      const after = request.headers["last-event-id"] ?? query.get("after") ?? "";
      broadcast.add(response, placesIn(String(after)));
    },
    "GET /runs/:run/metrics.csv": ({ response, parts }) => {
      const folder = runs.folderOf(parts.run);
      const name = `${encodeURIComponent(parts.run)}.csv`;
      response.setHeader("content-disposition", `attachment; filename="${name}"`);
      send(response, "text/csv; charset=utf-8", toCSV(readRows(folder)));
    },
    "POST /control": ({ response, body }) => {
      const { action } = fieldsOf<Control>(body, { action: { kind: "string" } });
      if (!actions.includes(action))
        throw new Refusal(400, `action is none of ${actions.join(", ")}`);
      if (!control(action)) throw new Refusal(409, "no run is being trained here");
      sendJSON(response, { asked: action }, 202);
    },
  };
}
