// The worker that trains. It is started anew for each run, which frees all memory of the last one.

import type { Calls, Events } from "../protocol.ts";
import { inspect, logitsAt } from "../sample.ts";
import { Session } from "../session.ts";
import { startRun } from "../start.ts";
import { prepareDevice } from "./device.ts";

/** The part of a worker's global scope that is used. */
interface Scope {
  postMessage(message: unknown, transfer?: Transferable[]): void;
  onmessage: ((event: MessageEvent) => void) | null;
}
const scope = self as unknown as Scope;

let session: Session | null = null;

function emit<K extends keyof Events>(event: K, data: Events[K]): void {
  scope.postMessage({ event, data });
}

/** Resolves after the messages that are waiting have been received. */
const channel = new MessageChannel();
let resume = () => {};
channel.port1.onmessage = () => resume();
function nextTask(): Promise<void> {
  return new Promise((resolve) => {
    resume = resolve;
    channel.port2.postMessage(null);
  });
}

function current(): Session {
  if (!session) throw new Error("no run has been started");
  return session;
}

type Handlers = {
  [K in keyof Calls]: (
    request: Parameters<Calls[K]>[0],
  ) => ReturnType<Calls[K]> | Promise<ReturnType<Calls[K]>>;
};

const handlers: Handlers = {
  start({ settings, text, name }) {
    session = new Session(startRun(settings, name, text), emit, nextTask);
    // after the reply, so that the page knows the run before its progress
    setTimeout(() => current().train(), 0);
    return session.info;
  },
  open: () => {
    throw new Error("not yet");
  },
  restore: () => null,
  setPaused: ({ isPaused }) => current().setPaused(isPaused),
  setLearningRate: ({ learningRate }) => current().setLearningRate(learningRate),
  setMaxIters: ({ maxIters }) => current().setMaxIters(maxIters),
  setSampling: (sampling) => current().setSampling(sampling),
  sample: () => current().sample(),
  inspect: ({ text }) => inspect(current().run, text),
  logits: ({ text, position }) => logitsAt(current().run, text, position),
  exportRun: () => {
    throw new Error("not yet");
  },
  save: () => {
    throw new Error("not yet");
  },
};

async function answer(id: number, name: keyof Calls, request: never): Promise<void> {
  try {
    scope.postMessage({ id, result: await handlers[name](request) });
  } catch (error) {
    scope.postMessage({ id, error: (error as Error).message });
  }
}

const ready = prepareDevice();
scope.onmessage = async ({ data: { id, name, request } }) => {
  await ready;
  await answer(id, name, request as never);
};
ready.then((report) => emit("ready", report));
