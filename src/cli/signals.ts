// Handles what interrupts training: signals, and the end of the program that reads the output. The
// run saves a checkpoint before it stops.

import { isClosed, onOutputError, warn } from "./output.ts";

/** The first interruption of the process. */
export interface SignalState {
  /** The exit code, 128 + the number of the signal; 0 before there is one. */
  code: number;
  /** Resolves when the signal arrives. */
  received: Promise<void>;
}

const isWindows = process.platform === "win32";
const exitCodes = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143, ...(isWindows && { SIGBREAK: 149 }) };
/** The exit code of a program whose reader has closed the pipe: 128 + SIGPIPE. */
const CLOSED_PIPE_CODE = 141;

/**
 * Catches the first SIGINT (Ctrl-C), SIGTERM, SIGHUP (the terminal was closed) or, on Windows,
 * SIGBREAK (Ctrl-Break); a second signal exits immediately. A closed stdout counts like a first
 * signal, since in `train | head` or `train | tee log` nobody can see the progress any more.
 * `isQuiet` prints no messages.
 */
export function catchSignals({ isQuiet = false } = {}): SignalState {
  let resolveReceived = () => {};
  const received = new Promise<void>((resolve) => {
    resolveReceived = resolve;
  });
  const state: SignalState = { code: 0, received };
  const interrupt = (code: number, message: string) => {
    state.code ||= code;
    resolveReceived();
    if (!isQuiet) console.error(message);
  };
  let hasSignal = false; // Ctrl-C in a pipeline may end the reader first
  for (const [name, code] of Object.entries(exitCodes)) {
    process.on(name, () => {
      if (hasSignal) process.exit(code);
      hasSignal = true;
      const hint = name === "SIGINT" ? "; press Ctrl-C again to quit without saving" : "";
      interrupt(code, `\n${name}: saving a checkpoint${hint}`);
    });
  }
  onOutputError((error) => {
    if (!isClosed(error)) warn(error);
    else if (!state.code) interrupt(CLOSED_PIPE_CODE, "stdout was closed: saving a checkpoint");
  });
  return state;
}
