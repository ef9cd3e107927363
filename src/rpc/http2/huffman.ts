// HPACK's Huffman code (RFC 7541 appendix B). The code is canonical: within one length the codes
// ascend with the symbols, so the lengths alone determine it. Decoding walks four bits at a time
// through a state machine of 256 states; no code is shorter than five bits, so a step emits at most one byte.

// biome-ignore format: sixteen symbols a row
const CODE_BITS = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
  28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
  5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
  7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
  15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
  6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
  24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
  21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
  19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
  26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
  30,
];
const EOS = 256;
const LONGEST_BITS = 30;

// A step of the decoder: bits 0-7 the byte, bit 8 "emit it", bits 9-16 the next state; -1 is a failure.
const EMIT = 0x100;
const FAIL = -1;

function makeCodes(): Uint32Array {
  const codes = new Uint32Array(257);
  let code = 0;
  for (let bits = 1; bits <= LONGEST_BITS; bits++) {
    code <<= 1;
    for (let symbol = 0; symbol <= EOS; symbol++) {
      if (CODE_BITS[symbol] === bits) codes[symbol] = code++;
    }
  }
  return codes;
}

const codes = makeCodes();
const codeBits = Uint8Array.from(CODE_BITS);

/** Inner nodes of the code tree: two children each; a leaf is ~symbol. */
function makeTree(): Int32Array {
  const children = new Int32Array(256 * 2);
  let nodes = 1;
  for (let symbol = 0; symbol <= EOS; symbol++) {
    const bits = codeBits[symbol] as number;
    let node = 0;
    for (let bit = bits - 1; bit >= 0; bit--) {
      const slot = node * 2 + (((codes[symbol] as number) >>> bit) & 1);
      if (bit === 0) children[slot] = ~symbol;
      else {
        if (children[slot] === 0) children[slot] = nodes++;
        node = children[slot] as number;
      }
    }
  }
  return children;
}

function makeSteps(tree: Int32Array): Int32Array {
  const steps = new Int32Array(256 * 16);
  for (let state = 0; state < 256; state++) {
    for (let nibble = 0; nibble < 16; nibble++) {
      let node = state;
      let emitted = 0;
      let failed = false;
      for (let bit = 3; bit >= 0; bit--) {
        const child = tree[node * 2 + ((nibble >>> bit) & 1)] as number;
        if (child >= 0) node = child;
        else {
          if (~child === EOS) failed = true;
          emitted = EMIT | (~child & 0xff);
          node = 0;
        }
      }
      steps[state * 16 + nibble] = failed ? FAIL : (node << 9) | emitted;
    }
  }
  return steps;
}

/** Where a string may end: at a symbol's end, or after up to seven one-bits of padding. */
function makeEnds(tree: Int32Array): Uint8Array {
  const ends = new Uint8Array(256);
  let node = 0;
  ends[0] = 1;
  for (let bits = 1; bits <= 7; bits++) {
    node = tree[node * 2 + 1] as number;
    ends[node] = 1;
  }
  return ends;
}

const tree = makeTree();
const steps = makeSteps(tree);
const ends = makeEnds(tree);

/**
 * Decodes source[start, end) to `target` from offset 0. Returns the decoded length, or -1 for an
 * invalid code or padding. `target` needs `huffmanDecodedBytesMax(end - start)` bytes.
 */
export function huffmanDecode(
  source: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
): number {
  let state = 0;
  let length = 0;
  for (let i = start; i < end; i++) {
    const byte = source[i] as number;
    let step = steps[(state << 4) | (byte >>> 4)] as number;
    if (step === FAIL) return -1;
    if ((step & EMIT) !== 0) target[length++] = step & 0xff;
    state = step >>> 9;
    step = steps[(state << 4) | (byte & 15)] as number;
    if (step === FAIL) return -1;
    if ((step & EMIT) !== 0) target[length++] = step & 0xff;
    state = step >>> 9;
  }
  return ends[state] === 1 ? length : -1;
}

export function huffmanDecodedBytesMax(encodedBytes: number): number {
  return ((encodedBytes * 8) / 5 + 1) | 0;
}

/** Bytes of `text` (latin1) when Huffman coded. */
export function huffmanLength(text: string): number {
  let bits = 0;
  for (let i = 0; i < text.length; i++) bits += codeBits[text.charCodeAt(i) & 0xff] as number;
  return (bits + 7) >>> 3;
}

/** Writes `text` (latin1) Huffman coded at `at`; returns the offset behind it. */
export function huffmanEncode(text: string, target: Uint8Array, at: number): number {
  let pending = 0;
  let pendingBits = 0;
  let position = at;
  for (let i = 0; i < text.length; i++) {
    const symbol = text.charCodeAt(i) & 0xff;
    const bits = codeBits[symbol] as number;
    const code = codes[symbol] as number;
    // At most 7 bits are pending, so long codes go in two parts to stay within 32 bits.
    if (bits > 16) {
      pending = (pending << (bits - 16)) | (code >>> 16);
      pendingBits += bits - 16;
      while (pendingBits >= 8) {
        pendingBits -= 8;
        target[position++] = pending >>> pendingBits;
      }
      pending &= (1 << pendingBits) - 1;
      pending = (pending << 16) | (code & 0xffff);
      pendingBits += 16;
    } else {
      pending = (pending << bits) | code;
      pendingBits += bits;
    }
    while (pendingBits >= 8) {
      pendingBits -= 8;
      target[position++] = pending >>> pendingBits;
    }
    pending &= (1 << pendingBits) - 1;
  }
  if (pendingBits > 0) {
    target[position++] = (pending << (8 - pendingBits)) | ((1 << (8 - pendingBits)) - 1);
  }
  return position;
}
