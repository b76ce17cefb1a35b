// A process that checkpoint.test.ts kills: it saves one checkpoint after another, in which all
// values equal the step. With a second argument K, it kills itself when it renames the K-th file.

import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { nn, optim, tensor } from "tinybard";
import { killSelf } from "./platform.js";

const [folder, killAt] = process.argv.slice(2);
let renames = 0;
const { renameSync } = fs;
fs.renameSync = (from, to) => {
  if (killAt && ++renames === Number(killAt)) killSelf();
  renameSync(from, to);
};
syncBuiltinESMExports();

const { saveCheckpoint } = await import("#src/runs/checkpoint.js");
const model = new nn.Linear(512, 512);
const optimizer = new optim.AdamW(model.parameters());
for (let step = 1; ; step++) {
  for (const w of model.parameters()) w.fill(step);
  optimizer.loadStateDict(
    Object.fromEntries(
      Object.entries(optimizer.stateDict()).map(([name, x]) => [
        name,
        tensor(x.data().fill(step), { shape: x.shape }),
      ]),
    ),
  );
  saveCheckpoint(folder, model, optimizer, {
    step,
    elapsedSeconds: 0,
    textSha256: "",
    evaluation: null,
    bestValLoss: null,
  });
  process.stdout.write(`${step}\n`);
}
