// The bytes of buffers that the garbage collector frees: counts them out once their owners are
// unreachable. Finalizers run between tasks, so in a synchronous loop they would pile up, at 90
// bytes each; when there are many, buffers share one.

/** The buffers that one finalizer counts out, when nothing refers to the object any longer. */
export class Finalizer {
  /** Refers to nothing, so that the registry may hold it. */
  readonly counted = { bytes: 0, buffers: 0 };
}

/** From this number of finalizers on, SHARED buffers have one. */
const MAX_UNSHARED = 32_768;
const SHARED = 256;

/** The finalizers of a pool. `onCollected` is called with what the garbage collector has freed. */
export class Finalizers {
  readonly #onCollected: (bytes: number, buffers: number) => void;
  readonly #registry = new FinalizationRegistry<Finalizer["counted"]>(({ bytes, buffers }) => {
    this.#count--;
    this.#shared = null;
    this.#onCollected(bytes, buffers);
  });
  #count = 0; // of finalizers that have not run
  #shared: Finalizer | null = null;

  constructor(onCollected: (bytes: number, buffers: number) => void) {
    this.#onCollected = onCollected;
  }

  /** Returns a finalizer that counts a buffer out; the owner of the buffer refers to it. */
  add(bytes: number): Finalizer {
    const finalizer = this.#shared ?? this.#create();
    finalizer.counted.bytes += bytes;
    finalizer.counted.buffers++;
    const isFull = finalizer.counted.buffers >= SHARED;
    this.#shared = this.#count < MAX_UNSHARED || isFull ? null : finalizer;
    return finalizer;
  }

  /** Undoes add(): the buffer was freed by its owner. */
  remove(finalizer: Finalizer, bytes: number): void {
    finalizer.counted.bytes -= bytes;
    finalizer.counted.buffers--;
    if (finalizer.counted.buffers > 0 || finalizer === this.#shared) return;
    this.#registry.unregister(finalizer);
    this.#count--;
  }

  #create(): Finalizer {
    const finalizer = new Finalizer();
    this.#registry.register(finalizer, finalizer.counted, finalizer);
    this.#count++;
    return finalizer;
  }
}
