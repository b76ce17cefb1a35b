// SHA-256 (FIPS 180-4) in plain TypeScript. A run records the checksums of its text and tokenizer;
// browsers have crypto.subtle only on pages from https: and localhost.

/** The first 32 bits of the fractional parts of the roots of the first primes. */
function fractions(count: number, root: (x: number) => number): Uint32Array {
  const primes: number[] = [];
  for (let n = 2; primes.length < count; n++)
    if (primes.every((prime) => n % prime !== 0)) primes.push(n);
  return Uint32Array.from(primes, (prime) => (root(prime) % 1) * 2 ** 32);
}

const roundConstants = fractions(64, Math.cbrt);
const initialHash = fractions(8, Math.sqrt);

/** Returns the hexadecimal SHA-256 of a text in UTF-8. */
export function sha256(text: string): string {
  const content = new TextEncoder().encode(text);
  const padded = new Uint8Array(64 * Math.ceil((content.length + 9) / 64));
  padded.set(content);
  padded[content.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setBigUint64(padded.length - 8, BigInt(content.length) * 8n);
  const hash = initialHash.slice();
  const w = new Uint32Array(64);
  for (let start = 0; start < padded.length; start += 64) {
    for (let i = 0; i < 16; i++) w[i] = view.getUint32(start + 4 * i);
    addBlock(hash, w);
  }
  return Array.from(hash, (word) => word.toString(16).padStart(8, "0")).join("");
}

/** Adds a block, the first 16 words of w, to the hash. */
function addBlock(hash: Uint32Array, w: Uint32Array): void {
  for (let i = 16; i < 64; i++) {
    const s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ (w[i - 15] >>> 3);
    const s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ (w[i - 2] >>> 10);
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  let [a, b, c, d, e, f, g, h] = hash;
  for (let i = 0; i < 64; i++) {
    const s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
    const choice = (e & f) ^ (~e & g);
    const added = (h + s1 + choice + roundConstants[i] + w[i]) | 0;
    const s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
    const majority = (a & b) ^ (a & c) ^ (b & c);
    h = g;
    g = f;
    f = e;
    e = (d + added) | 0;
    d = c;
    c = b;
    b = a;
    a = (added + s0 + majority) | 0;
  }
  for (const [i, x] of [a, b, c, d, e, f, g, h].entries()) hash[i] += x;
}

function rotate(x: number, bits: number): number {
  return (x >>> bits) | (x << (32 - bits));
}
