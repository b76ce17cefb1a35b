// What startRun() and resumeRun() call on their way.

import type { Device } from "../backend/device.ts";
import type { OnPrepareProgress } from "../data/prepare/job.ts";
import type { TrainConfig } from "../train/config.ts";

export interface OpenCallbacks {
  /** While a large text is encoded, or waited for. */
  preparing?: OnPrepareProgress;
  /** When the options are known, before any file is written. It may throw. */
  check?(config: TrainConfig, device: Device): void;
}
