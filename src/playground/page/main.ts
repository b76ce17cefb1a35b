// The entry point of the playground: four views in tabs. A view is created when its tab is first
// shown, and its code is loaded then.

import { parseLink } from "../link.ts";
import { defaultSettings, type Settings } from "../settings.ts";
import { createTabs } from "./tabs.ts";
import { TrainView } from "./train-view.ts";

let problem = "";

function readLink(): Settings {
  try {
    return parseLink(location.hash) ?? defaultSettings;
  } catch (error) {
    problem = `This link cannot be used: ${(error as Error).message}.`;
    return defaultSettings;
  }
}

const view = new TrainView(readLink());
createTabs({
  train: () => {},
  model: () => {},
  autograd: async (root) => {
    const { createAutograd } = await import("./autograd.ts");
    createAutograd(root);
  },
  lessons: () => {},
});
view.startOver().then(() => {
  if (problem) view.showNotice(problem);
});
