// Errors of stdout and stderr: the reader of a pipe, such as head, has closed it, or the disk of
// the file that they are redirected to is full.

type OutputError = NodeJS.ErrnoException;

let firstError: OutputError | null = null;

/** Receives the first error of stdout. */
let handleError: (error: OutputError) => void = exit;

/** Handles errors of stdout and stderr from now on; by default the first one ends the process. */
export function catchOutputErrors(): void {
  process.stdout.on("error", (error: OutputError) => {
    if (firstError) return;
    firstError = error;
    handleError(error);
  });
  process.stderr.on("error", () => {}); // there is nowhere left to report it
}

/** Replaces what is done on the first error of stdout, which may have happened already. */
export function onOutputError(handle: (error: OutputError) => void): void {
  handleError = handle;
  if (firstError) handle(firstError);
}

/** Goes on without the output, for a command whose result is not the output but files. */
export function ignoreClosedOutput(): void {
  onOutputError((error) => {
    if (!isClosed(error)) warn(error);
  });
}

/** Reports an error of stdout after which the command goes on. */
export function warn({ message }: OutputError): void {
  console.error(`warning: cannot write to stdout: ${message}`);
}

/** Returns true if the reader of stdout has closed the pipe. */
export function isClosed({ code }: OutputError): boolean {
  return code === "EPIPE";
}

/** Ends quietly if nobody reads the output any more. */
function exit(error: OutputError): void {
  if (isClosed(error)) process.exit(0);
  console.error(`tinybard: cannot write to stdout: ${error.message}`);
  process.exit(1);
}
