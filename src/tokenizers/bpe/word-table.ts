// A table of distinct words, held as bytes in one array: the cache of the encoder and the counts of
// training need no string and no object for each of millions of words.

/** Numbers the distinct words that are added to it, from 0 up. */
export class WordTable {
  #size = 0;
  #slots = new Int32Array(1024); // open addressing: the number of a word plus 1, or 0
  #hashes = new Int32Array(512); // by number
  #ends = new Float64Array(512); // by number: where a word ends in the bytes of all words
  #bytes = new Uint8Array(4096);

  /** The number of distinct words. */
  get size(): number {
    return this.#size;
  }

  /** The total length of the distinct words in bytes. */
  get bytes(): number {
    return this.#beginOf(this.#size);
  }

  /** Returns the number of a word. It equals the previous `size` if the word is new. */
  add(source: Uint8Array, begin: number, end: number): number {
    let hash = 0x811c9dc5 | 0; // FNV-1a
    for (let i = begin; i < end; i++) hash = Math.imul(hash ^ source[i], 0x01000193);
    hash ^= hash >>> 15;
    const mask = this.#slots.length - 1;
    let slot = hash & mask;
    for (;;) {
      const number = this.#slots[slot] - 1;
      if (number < 0) break;
      if (this.#hashes[number] === hash && this.#equals(number, source, begin, end)) return number;
      slot = (slot + 1) & mask;
    }
    return this.#insert(slot, hash, source, begin, end);
  }

  /** Returns the bytes of a word, which are valid until a word is added. */
  get(number: number): Uint8Array {
    return this.#bytes.subarray(this.#beginOf(number), this.#ends[number]);
  }

  /** Removes all words. */
  clear(): void {
    this.#size = 0;
    this.#slots.fill(0);
  }

  #beginOf(number: number): number {
    return number === 0 ? 0 : this.#ends[number - 1];
  }

  #equals(number: number, source: Uint8Array, begin: number, end: number): boolean {
    const bytes = this.#bytes;
    const from = this.#beginOf(number);
    if (this.#ends[number] - from !== end - begin) return false;
    for (let i = begin; i < end; i++) {
      if (bytes[from + i - begin] !== source[i]) return false;
    }
    return true;
  }

  #insert(slot: number, hash: number, source: Uint8Array, begin: number, end: number): number {
    const number = this.#size++;
    const from = this.#beginOf(number);
    const to = from + end - begin;
    if (to > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(2 * this.#bytes.length, to));
      larger.set(this.#bytes.subarray(0, from));
      this.#bytes = larger;
    }
    this.#bytes.set(source.subarray(begin, end), from);
    this.#hashes[number] = hash;
    this.#ends[number] = to;
    this.#slots[slot] = number + 1;
    if (this.#size === this.#hashes.length) this.#grow();
    return number;
  }

  /** Doubles the number of words that there is room for. Half of the slots stay free. */
  #grow(): void {
    const hashes = new Int32Array(2 * this.#size);
    hashes.set(this.#hashes);
    this.#hashes = hashes;
    const ends = new Float64Array(2 * this.#size);
    ends.set(this.#ends);
    this.#ends = ends;
    const mask = 4 * this.#size - 1;
    this.#slots = new Int32Array(mask + 1);
    for (let number = 0; number < this.#size; number++) {
      let slot = hashes[number] & mask;
      while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
      this.#slots[slot] = number + 1;
    }
  }
}
