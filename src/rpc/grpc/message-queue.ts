// Messages between a call and the one async iteration that takes them. Bounded: over its limits the
// queue asks its source to pause, and to resume once the reader has caught up.

export interface QueueSource {
  pause(): void;
  resume(): void;
  /** The reader left before the end. */
  onAbandoned(): void;
}

const itemsMax = 16;
const bytesMax = 65_536;

interface Waiter<Message> {
  resolve(result: IteratorResult<Message, undefined>): void;
  reject(error: unknown): void;
}

export class MessageQueue<Message> implements AsyncIterableIterator<Message, undefined> {
  readonly #source: QueueSource;
  readonly #items: { readonly message: Message; readonly bytes: number }[] = [];
  #bytes = 0;
  readonly #waiters: Waiter<Message>[] = [];
  #ended = false;
  #error: unknown;
  #paused = false;

  constructor(source: QueueSource) {
    this.#source = source;
  }

  push(message: Message, bytes: number): void {
    if (this.#ended) return;
    const waiter = this.#waiters.shift();
    if (waiter !== undefined) {
      waiter.resolve({ done: false, value: message });
      return;
    }
    this.#items.push({ message, bytes });
    this.#bytes += bytes;
    if (!this.#paused && (this.#items.length >= itemsMax || this.#bytes >= bytesMax)) {
      this.#paused = true;
      this.#source.pause();
    }
  }

  /** No more messages. With an error, the reader gets it after what is queued. */
  finish(error?: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    for (const waiter of this.#waiters.splice(0)) this.#settle(waiter);
  }

  next(): Promise<IteratorResult<Message, undefined>> {
    const item = this.#items.shift();
    if (item !== undefined) {
      this.#bytes -= item.bytes;
      if (this.#paused && this.#items.length <= itemsMax / 4 && this.#bytes <= bytesMax / 4) {
        this.#paused = false;
        this.#source.resume();
      }
      return Promise.resolve({ done: false, value: item.message });
    }
    return new Promise((resolve, reject) => {
      const waiter = { resolve, reject };
      if (this.#ended) this.#settle(waiter);
      else this.#waiters.push(waiter);
    });
  }

  return(): Promise<IteratorResult<Message, undefined>> {
    const wasEnded = this.#ended;
    this.#items.length = 0;
    this.#bytes = 0;
    this.#error = undefined;
    if (!wasEnded) {
      this.finish();
      this.#source.onAbandoned();
    }
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** An error is thrown once; after it the iteration is over. */
  #settle(waiter: Waiter<Message>): void {
    const error = this.#error;
    this.#error = undefined;
    if (error !== undefined) waiter.reject(error);
    else waiter.resolve({ done: true, value: undefined });
  }
}
