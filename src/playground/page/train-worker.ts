// The worker that trains. It is started anew for each run, which frees all memory of the last one.

import { formatLink } from "../link.ts";
import type { Calls, Events, RunInfo } from "../protocol.ts";
import { openFiles, toFiles } from "../run-files.ts";
import { inspect, logitsAt } from "../sample.ts";
import { Session } from "../session.ts";
import { type PageRun, startRun } from "../start.ts";
import { readZip, writeZip } from "../zip.ts";
import { prepareDevice } from "./device.ts";
import { readSlot, writeSlot } from "./storage.ts";

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
const waiting: (() => void)[] = [];
channel.port1.onmessage = () => waiting.shift()?.();
function nextTask(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve);
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

/** Makes a run the current one. Its training begins after the reply with the result. */
function begin(run: PageRun): RunInfo {
  const started = new Session(run, emit, nextTask);
  session = started;
  setTimeout(() => void started.train(), 0);
  return started.info;
}

const handlers: Handlers = {
  start: ({ settings, text, name }) => begin(startRun(settings, name, text)),
  async open({ files, text, name = "your text" }) {
    return begin(await openFiles(files, text === undefined ? undefined : { name, text }));
  },
  async restore({ slot, link }) {
    const archive = await readSlot(slot);
    if (!archive) return null;
    const run = await openFiles(await readZip(archive));
    return link === undefined || link === formatLink(run.settings) ? begin(run) : null;
  },
  setPaused: ({ isPaused }) => current().setPaused(isPaused),
  setLearningRate: ({ learningRate }) => current().setLearningRate(learningRate),
  setMaxIters: ({ maxIters }) => current().setMaxIters(maxIters),
  setSampling: (sampling) => current().setSampling(sampling),
  sample: () => current().sample(),
  inspect: ({ text }) => inspect(current().run, text),
  logits: ({ text, position }) => logitsAt(current().run, text, position),
  exportRun: () => writeZip(toFiles(current().run)),
  async save({ slot }) {
    const { run } = current();
    const { step } = run.state;
    await writeSlot(slot, writeZip(toFiles(run)));
    return { step };
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
