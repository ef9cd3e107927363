// Ids of requests: 64 bits that differ between all requests of all members, as etcd makes them. The upper
// 16 bits say which member asked, the lower 48 count up. Kept as two numbers: a bigint for each request
// would cost more than the rest of its encoding.

/** The lower 48 bits begin at the wall clock, so that they differ from those of an earlier life. */
const countersPerMs = 256;
const counterLimit = 2 ** 48;

export class RequestIds {
  /** The upper 16 bits. */
  readonly prefix: number;
  #last: number;

  constructor(memberId: bigint, wallNowMs: number) {
    this.prefix = Number(memberId & 0xffffn);
    this.#last = (Math.floor(wallNowMs) * countersPerMs) % counterLimit;
  }

  /** The lower 48 bits of the next id. */
  next(): number {
    this.#last = this.#last + 1 === counterLimit ? 1 : this.#last + 1;
    return this.#last;
  }

  toBigInt(counter: number): bigint {
    return (BigInt(this.prefix) << 48n) | BigInt(counter);
  }
}

/** Bytes that `writeRequestId` writes: a varint of ten bytes, shorter ids filled up with zero groups. */
export const requestIdSize = 10;

export function writeRequestId(
  target: Uint8Array,
  at: number,
  prefix: number,
  counter: number,
): number {
  const low = counter % 0x1000_0000;
  const middle = Math.floor(counter / 0x1000_0000) + ((prefix & 0xff) << 20);
  const high = prefix >>> 8;
  let position = at;
  for (let shift = 0; shift < 28; shift += 7) {
    target[position++] = ((low >>> shift) & 0x7f) | 0x80;
  }
  for (let shift = 0; shift < 28; shift += 7) {
    target[position++] = ((middle >>> shift) & 0x7f) | 0x80;
  }
  target[position++] = (high & 0x7f) | 0x80;
  target[position++] = high >>> 7;
  return position;
}

/** Reads an id as the two numbers that it is kept as. Reused between calls. */
export class RequestIdReader {
  prefix = 0;
  counter = 0;

  /** Reads the varint at source[at, end); returns where it ends, or -1 when there is none. */
  read(source: Uint8Array, at: number, end: number): number {
    let low = 0;
    let middle = 0;
    let high = 0;
    for (let i = 0; i < 10; i++) {
      if (at + i >= end) return -1;
      const byte = source[at + i] as number;
      const bits = byte & 0x7f;
      if (i < 4) low |= bits << (7 * i);
      else if (i < 8) middle |= bits << (7 * (i - 4));
      else high |= bits << (7 * (i - 8));
      if (byte < 0x80) {
        this.counter = low + (middle & 0xf_ffff) * 0x1000_0000;
        this.prefix = ((middle >>> 20) & 0xff) | ((high & 0xff) << 8);
        return at + i + 1;
      }
    }
    return -1;
  }
}
