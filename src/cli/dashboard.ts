// tinybard dashboard: serves the dashboard for the runs in a folder until it is interrupted.

import { dirname, resolve } from "node:path";
import { device } from "../backend/devices.ts";
import type { OptionSpec } from "../options.ts";
import { readConfig } from "../runs/load.ts";
import { openDashboard } from "../web/dashboard.ts";
import type { Command } from "./command.ts";
import { findRun, runOptions } from "./run-folder.ts";

export const DEFAULT_PORT = 7860;

export const portOption: OptionSpec = {
  type: "integer",
  help: "port of the dashboard on 127.0.0.1; the next free one if it is taken",
  default: DEFAULT_PORT,
  min: 1,
  max: 65535,
  value: "N",
};

export const tokenOption: OptionSpec = {
  type: "boolean",
  help: "require the token in the dashboard's link, so that other users cannot open it",
  default: true,
};

export const dashboardCommand: Command<{ run?: string; port: number; token: boolean }> = {
  summary: "show runs in the browser: loss curves, and the inside of a model",
  options: {
    run: {
      ...runOptions.run,
      help: `${runOptions.run.help}; the other runs next to it are shown as well`,
    },
    port: portOption,
    token: tokenOption,
  },

  async run({ port, token, ...flags }) {
    const run = findRun("dashboard", flags.run);
    readConfig(run); // throws if the folder is not a run
    device("auto"); // prints why a faster device is not available, before the URL
    const dashboard = await openDashboard({ port, token });
    try {
      await dashboard.show({ run, live: null });
      const folder = dirname(resolve(run));
      console.log(`dashboard: ${dashboard.url} shows the runs in ${folder}; Ctrl-C quits`);
      const signal = new Promise<string>((onSignal) => {
        for (const name of ["SIGINT", "SIGTERM"]) process.once(name, () => onSignal(name));
      });
      const ending = await Promise.race([signal, dashboard.failure]);
      if (ending instanceof Error) throw ending;
      return ending === "SIGINT" ? 130 : 143;
    } finally {
      await dashboard.close();
    }
  },
};
