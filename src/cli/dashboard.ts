// tinybard dashboard: shows the runs in a folder, finished or running, until it is interrupted.

import { resolve } from "node:path";
import { device } from "../backend/devices.ts";
import { UsageError } from "../errors.ts";
import type { OptionTable } from "../options.ts";
import { readConfig } from "../runs/load.ts";
import { openDashboard } from "../web/dashboard.ts";

export const usualPort = 7860;

export const dashboardTable: OptionTable = {
  run: { type: "string", help: "the folder of a run; those beside it are shown too", value: "DIR" },
  port: {
    type: "integer",
    help: "where to listen on 127.0.0.1 (or the next free one)",
    default: usualPort,
    min: 1,
    max: 65535,
    value: "N",
  },
};

export async function dashboardCommand(flags: { run?: string; port?: number }): Promise<number> {
  const { run, port = usualPort } = flags;
  if (!run) throw new UsageError("dashboard: --run DIR is missing: the folder of a run");
  readConfig(run); // throws for a folder that holds none
  device("auto"); // says now, if it must, why nothing faster can be had
  const dashboard = await openDashboard({ run, port, live: null });
  console.log(
    `dashboard: ${dashboard.url} shows the runs in ${resolve(run, "..")}; Ctrl-C ends it`,
  );
  const signal = await new Promise<string>((ended) => {
    for (const name of ["SIGINT", "SIGTERM"]) process.once(name, () => ended(name));
  });
  await dashboard.close();
  return signal === "SIGINT" ? 130 : 143;
}
