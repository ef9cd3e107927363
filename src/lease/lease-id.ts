// Ids for leases that clients do not name. Decided before proposing, so that all members apply the same:
// 16 bits of the member, 40 bits of wall time in milliseconds, 8 bits of counter that carries into the time.
// Unique as long as one member gives out fewer than 256 a millisecond on average and its clock is not set
// back over a restart.

const bits63 = (1n << 63n) - 1n;

export class LeaseIds {
  readonly #prefix: bigint;
  #next: bigint;

  constructor(memberId: bigint, wallNowMs: number) {
    this.#prefix = (memberId & 0xffffn) << 48n;
    this.#next = BigInt(Math.floor(wallNowMs)) << 8n;
  }

  /** A positive id. */
  next(): bigint {
    this.#next++;
    const id = (this.#prefix | (this.#next & 0xffff_ffff_ffffn)) & bits63;
    return id === 0n ? this.next() : id;
  }
}
