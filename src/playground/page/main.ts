// The entry point of the playground: four views in tabs. A view is created when its tab is first
// shown, and its code is loaded then.

import "./locale.ts";
import { formatLink, parseLink } from "../link.ts";
import { defaultSettings, type Settings } from "../settings.ts";
import { keepOffline, registerServiceWorker } from "./offline.ts";
import { showNotice } from "./status.ts";
import { createTabs } from "./tabs.ts";
import { TrainView } from "./train-view.ts";
import { prepareTrainer } from "./trainer.ts";

let problem = "";

function readLink(): Settings | null {
  try {
    return parseLink(location.hash);
  } catch (error) {
    problem = `This link cannot be used: ${(error as Error).message}.`;
    return null;
  }
}

async function start(): Promise<void> {
  if (await registerServiceWorker()) return; // the page is loaded again
  prepareTrainer();
  const linked = readLink();
  const view = new TrainView(linked ?? defaultSettings);
  createTabs({
    train: () => {},
    model: async (root) => {
      const { ModelView } = await import("./model.ts");
      new ModelView(root, () => view.current);
    },
    autograd: async (root) => {
      const { createAutograd } = await import("./autograd.ts");
      createAutograd(root);
    },
    lessons: async (root) => {
      const { LessonsView } = await import("./lessons.ts");
      await LessonsView.create(root);
    },
  });
  await view.open(linked ? formatLink(linked) : undefined);
  if (problem) showNotice(problem);
  await keepOffline();
}

window.addEventListener("hashchange", () => location.reload()); // a link to other settings
void start();
