// A worker thread of the device wasm in Node.

import { workerData } from "node:worker_threads";
import { serve } from "../wasm/module.ts";

serve(workerData);
