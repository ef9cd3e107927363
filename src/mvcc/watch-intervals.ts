// Half-open intervals of keys, searched by point: a balanced (AVL) tree by start, in which every node
// knows the furthest end below it. Keys are latin1 strings, whose order is byte order.
// Stabbing costs O(log n + hits).

/** No end: every key from the start on. */
export const openEnd = null;
export type IntervalEnd = string | typeof openEnd;

interface Node<T> {
  readonly start: string;
  readonly end: IntervalEnd;
  readonly value: T;
  left: Node<T> | undefined;
  right: Node<T> | undefined;
  height: number;
  maxEnd: IntervalEnd;
}

export class IntervalTree<T> {
  #root: Node<T> | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(start: string, end: IntervalEnd): T | undefined {
    let node = this.#root;
    while (node !== undefined) {
      const order = compare(start, end, node.start, node.end);
      if (order === 0) return node.value;
      node = order < 0 ? node.left : node.right;
    }
    return undefined;
  }

  /** Adds an interval that is not there yet. */
  insert(start: string, end: IntervalEnd, value: T): void {
    const node = { start, end, value, left: undefined, right: undefined, height: 1, maxEnd: end };
    this.#root = insertAt(this.#root, node);
    this.#size++;
  }

  /** Removes an interval that is there. */
  remove(start: string, end: IntervalEnd): void {
    this.#root = removeAt(this.#root, start, end);
    this.#size--;
  }

  /** Appends to `out` the values of all intervals that hold `key`. */
  stab(key: string, out: T[]): void {
    stabAt(this.#root, key, out);
  }
}

function stabAt<T>(node: Node<T> | undefined, key: string, out: T[]): void {
  if (node === undefined) return;
  if (node.maxEnd !== openEnd && node.maxEnd <= key) return;
  stabAt(node.left, key, out);
  if (node.start > key) return;
  if (node.end === openEnd || node.end > key) out.push(node.value);
  stabAt(node.right, key, out);
}

function insertAt<T>(node: Node<T> | undefined, added: Node<T>): Node<T> {
  if (node === undefined) return added;
  if (compare(added.start, added.end, node.start, node.end) < 0) {
    node.left = insertAt(node.left, added);
  } else {
    node.right = insertAt(node.right, added);
  }
  return balance(node);
}

function removeAt<T>(
  node: Node<T> | undefined,
  start: string,
  end: IntervalEnd,
): Node<T> | undefined {
  if (node === undefined) return undefined;
  const order = compare(start, end, node.start, node.end);
  if (order < 0) {
    node.left = removeAt(node.left, start, end);
    return balance(node);
  }
  if (order > 0) {
    node.right = removeAt(node.right, start, end);
    return balance(node);
  }
  if (node.left === undefined) return node.right;
  if (node.right === undefined) return node.left;
  let next = node.right;
  while (next.left !== undefined) next = next.left;
  next.right = removeAt(node.right, next.start, next.end);
  next.left = node.left;
  return balance(next);
}

function balance<T>(node: Node<T>): Node<T> {
  const lean = heightOf(node.left) - heightOf(node.right);
  if (lean > 1) {
    const left = node.left as Node<T>;
    if (heightOf(left.left) < heightOf(left.right)) node.left = rotateLeft(left);
    return rotateRight(node);
  }
  if (lean < -1) {
    const right = node.right as Node<T>;
    if (heightOf(right.right) < heightOf(right.left)) node.right = rotateRight(right);
    return rotateLeft(node);
  }
  return update(node);
}

function rotateLeft<T>(node: Node<T>): Node<T> {
  const top = node.right as Node<T>;
  node.right = top.left;
  top.left = update(node);
  return update(top);
}

function rotateRight<T>(node: Node<T>): Node<T> {
  const top = node.left as Node<T>;
  node.left = top.right;
  top.right = update(node);
  return update(top);
}

function update<T>(node: Node<T>): Node<T> {
  node.height = 1 + Math.max(heightOf(node.left), heightOf(node.right));
  let furthest = node.end;
  if (node.left !== undefined) furthest = laterEnd(furthest, node.left.maxEnd);
  if (node.right !== undefined) furthest = laterEnd(furthest, node.right.maxEnd);
  node.maxEnd = furthest;
  return node;
}

function heightOf<T>(node: Node<T> | undefined): number {
  return node === undefined ? 0 : node.height;
}

function laterEnd(a: IntervalEnd, b: IntervalEnd): IntervalEnd {
  if (a === openEnd || b === openEnd) return openEnd;
  return a > b ? a : b;
}

function compare(aStart: string, aEnd: IntervalEnd, bStart: string, bEnd: IntervalEnd): number {
  if (aStart !== bStart) return aStart < bStart ? -1 : 1;
  if (aEnd === bEnd) return 0;
  if (aEnd === openEnd) return 1;
  if (bEnd === openEnd) return -1;
  return aEnd < bEnd ? -1 : 1;
}
