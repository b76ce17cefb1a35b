// The routes for runs: the list of runs, their events, their metrics as CSV, and control of the run
// that is being trained.

import { FileError } from "../files/file-error.ts";
import { toCSV } from "../runs/csv.ts";
import { iterateRows } from "../runs/metrics.ts";
import type { EventBroadcaster } from "./events.ts";
import { parseReadPositions } from "./metrics-reader.ts";
import type { Control } from "./protocol.ts";
import { sendJSON, writeChunk } from "./responses.ts";
import type { Routes } from "./router.ts";
import type { RunIndex } from "./run-index.ts";
import { checkFields, HttpError } from "./validate.ts";

const actions: readonly string[] = ["pause", "resume", "save", "stop"];

/**
 * Returns the routes for runs. `control` forwards an action to the training thread, and returns
 * false if there is none.
 */
export function createRunRoutes(
  runs: RunIndex,
  events: EventBroadcaster,
  control: (action: Control["action"]) => boolean,
): Routes {
  return {
    "GET /runs": async ({ response }) => sendJSON(response, await runs.getInfos()),

    "GET /events": ({ request, response, query }) => {
      // when a browser reconnects, this header has its position, and the query is out of date
      const after = request.headers["last-event-id"] ?? query.get("after") ?? "";
      events.subscribe(response, parseReadPositions(String(after)));
    },

    "GET /runs/:run/metrics.csv": async ({ response, params }) => {
      const folder = runs.getFolder(params.run);
      const headers = {
        "content-type": "text/csv; charset=utf-8",
        "content-disposition": formatDisposition(`${params.run}.csv`),
      };
      try {
        for (const chunk of toCSV(iterateRows(folder))) {
          if (!response.headersSent) response.writeHead(200, headers);
          if (!(await writeChunk(response, chunk))) return;
        }
      } catch (error) {
        throw error instanceof FileError ? new HttpError(409, error.message) : error;
      }
      response.end();
    },

    "POST /control": ({ response, body }) => {
      const { action } = checkFields<Control>(body, { action: { type: "string" } });
      if (!actions.includes(action))
        throw new HttpError(400, `unknown action, expected one of ${actions.join(", ")}`);
      if (!control(action)) throw new HttpError(409, "no run is being trained by this process");
      sendJSON(response, { asked: action }, 202); // words-ok: a JSON field of the protocol
    },
  };
}

/** Returns the header of a download with a name of any characters (RFC 6266). */
function formatDisposition(name: string): string {
  const encoded = encodeURIComponent(name).replace(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `attachment; filename*=UTF-8''${encoded}`;
}
