// Constant header lists. A session encodes one once and then repeats the bytes for as long as its
// HPACK table does not change; usually they are one to three indexes into the dynamic table.

import { assert } from "../../base/assert.ts";
import type { HeaderList, PreparedHeaders } from "./types.ts";

/** Makes a list that sessions encode once. Meant for module constants: each session remembers every one it has sent. */
export function prepareHeaders(list: HeaderList): PreparedHeaders {
  assert(list.length % 2 === 0, "a header list alternates names and values");
  return new PreparedHeaderList(list);
}

export class PreparedHeaderList implements PreparedHeaders {
  readonly list: HeaderList;

  constructor(list: HeaderList) {
    this.list = Object.freeze(list.slice());
  }
}
