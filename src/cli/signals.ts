// Handles SIGINT and SIGTERM: a run saves a checkpoint before it stops.

/** The first signal that the process has received. */
export interface SignalState {
  /** The exit code for the signal; 0 before there is one. */
  code: number;
  /** Resolves when the signal arrives. */
  received: Promise<void>;
}

/** Catches the first SIGINT or SIGTERM. A second one exits immediately. */
export function catchSignals(): SignalState {
  let resolveReceived = () => {};
  const received = new Promise<void>((resolve) => {
    resolveReceived = resolve;
  });
  const state: SignalState = { code: 0, received };
  const exitCodes = { SIGINT: 130, SIGTERM: 143 };
  for (const [name, code] of Object.entries(exitCodes)) {
    process.on(name, () => {
      if (state.code) process.exit(code);
      state.code = code;
      resolveReceived();
      console.error(`\n${name}: saving a checkpoint; press Ctrl-C again to quit without saving`);
    });
  }
  return state;
}
