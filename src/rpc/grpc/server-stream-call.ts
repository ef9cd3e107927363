// One streaming call on the server: messages in through a handler, messages out with a bound that
// `write` reports. While the handler is paused nothing is read and no window is given back, so that a
// peer can have at most one receive window on its way.

import { Status, type StatusCode } from "../../base/status.ts";
import type { HeaderList, Http2Stream } from "../http2/types.ts";
import { MessageReader, writeFrameHeader } from "./message-reader.ts";
import type { Metadata } from "./metadata.ts";
import type { CallHead, RegisteredMethod } from "./method-table.ts";
import { statusOfError } from "./rpc-error.ts";
import { ServerCallBase, type ServerCore } from "./server-call.ts";
import type { RawStreamCall, RawStreamHandler, RawStreamOpener } from "./types.ts";

export class ServerStreamCall extends ServerCallBase implements RawStreamCall {
  #handler: RawStreamHandler | undefined;
  readonly #reader: MessageReader;
  /** The only request of a method that takes one; it is delivered when the client has ended. */
  #single: Buffer | undefined;
  #paused = false;
  #reading = false;
  #inputEnded = false;
  #halfCloseTold = false;
  /** `write` returned false and `onDrain` is owed. */
  #drainOwed = false;

  constructor(core: ServerCore, stream: Http2Stream, head: CallHead) {
    super(core, stream, head);
    this.#reader = new MessageReader(core.maxReceiveMessageBytes, core.budget);
  }

  /** Opens the handler. Separate from the constructor so that interceptors come first. */
  open(): void {
    const method = this.head.method as RegisteredMethod;
    try {
      this.#handler = (method.stream as RawStreamOpener)(this);
    } catch (error) {
      this.#onHandlerError(error);
    }
  }

  override onData(source: Buffer, start: number, end: number, endStream: boolean): void {
    if (endStream) this.#inputEnded = true;
    if (!this.isOpen) return;
    this.#reader.push(source, start, end);
    this.#read();
  }

  override onTrailers(_headers: HeaderList): void {
    this.onNoInput();
  }

  /** The client will send nothing more. */
  onNoInput(): void {
    this.#inputEnded = true;
    if (this.isOpen) this.#read();
  }

  override onWritable(): void {
    if (!this.#drainOwed || !this.isOpen) return;
    this.#drainOwed = false;
    try {
      this.#handler?.onDrain();
    } catch (error) {
      this.#onHandlerError(error);
    }
  }

  get bufferedBytes(): number {
    return this.stream.bufferedBytes;
  }

  write(source: Uint8Array, start: number, end: number): boolean {
    if (!this.isOpen) return true;
    if (!this.#checkLength(end - start)) return true;
    this.flushHeaders();
    this.sendMessage(source, start, end);
    return this.#afterWrite();
  }

  writeParts(parts: readonly Uint8Array[]): boolean {
    if (!this.isOpen) return true;
    let length = 0;
    for (const part of parts) length += part.length;
    if (!this.#checkLength(length)) return true;
    this.flushHeaders();
    const frame = Buffer.allocUnsafe(5 + length);
    let offset = 5;
    for (const part of parts) {
      frame.set(part, offset);
      offset += part.length;
    }
    if (this.responseEncoding !== "identity" && this.compress) {
      this.sendMessage(frame, 5, frame.length);
    } else {
      writeFrameHeader(frame, false, length);
      this.stats.messagesSent++;
      this.stream.sendData(frame, 0, frame.length, false);
    }
    return this.#afterWrite();
  }

  writeFramed(source: Uint8Array, start: number, end: number, messages: number): boolean {
    if (!this.isOpen) return true;
    this.flushHeaders();
    this.stats.messagesSent += messages;
    this.stream.sendData(source, start, end, false);
    return this.#afterWrite();
  }

  end(code: StatusCode, message: string, trailers?: Metadata): void {
    if (!this.beginAnswer(code, message)) return;
    this.#reader.release();
    this.#single = undefined;
    this.sendStatus(code, message, trailers);
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (this.isOpen) this.#read();
  }

  protected override onCancelled(): void {
    this.#reader.release();
    this.#single = undefined;
    try {
      this.#handler?.onCancel();
    } catch (error) {
      this.failUnexpected(error);
    }
  }

  /** Delivers what is complete, unless paused. Not entered twice: handlers may call `resume`. */
  #read(): void {
    if (this.#reading || this.#handler === undefined) return;
    this.#reading = true;
    try {
      while (this.isOpen && !this.#paused && this.#reader.next()) this.#onMessage();
      if (this.isOpen) this.#afterRead();
    } catch (error) {
      this.#onHandlerError(error);
    } finally {
      this.#reading = false;
    }
    if (this.isOpen) this.stream.consume(this.#reader.takeCredit());
  }

  #onMessage(): void {
    const reader = this.#reader;
    let { message, start, end } = reader;
    this.messageCompressed = reader.compressed;
    if (reader.compressed) {
      const expanded = this.expand(message, start, end);
      if (expanded === undefined) return;
      message = expanded;
      start = 0;
      end = expanded.length;
    }
    if (this.method.kind !== "server-stream") {
      this.stats.messagesReceived++;
      this.#handler?.onMessage(message, start, end);
    } else if (this.#single === undefined) {
      this.#single = Buffer.from(message.subarray(start, end));
    } else {
      this.failCall(Status.UNIMPLEMENTED, "received more than one request message");
    }
  }

  #afterRead(): void {
    const reader = this.#reader;
    if (reader.failure !== undefined) {
      this.failCall(reader.failure.code, reader.failure.message);
      return;
    }
    if (!this.#inputEnded || this.#paused || this.#halfCloseTold) return;
    if (reader.isMidMessage) {
      this.failCall(Status.INTERNAL, "unexpected EOF in a request message");
      return;
    }
    this.#halfCloseTold = true;
    if (this.method.kind === "server-stream") this.#deliverSingle();
    if (this.isOpen) this.#handler?.onHalfClose();
  }

  #deliverSingle(): void {
    const message = this.#single;
    this.#single = undefined;
    if (message === undefined) {
      this.failCall(Status.UNIMPLEMENTED, "received no request message");
      return;
    }
    this.stats.messagesReceived++;
    this.#handler?.onMessage(message, 0, message.length);
  }

  #checkLength(length: number): boolean {
    const limit = this.core.maxSendMessageBytes;
    if (length <= limit) return true;
    const text = `trying to send message larger than max (${length} vs. ${limit})`;
    this.failCall(Status.RESOURCE_EXHAUSTED, text);
    return false;
  }

  #afterWrite(): boolean {
    if (this.stream.bufferedBytes <= this.core.streamHighWaterBytes) return true;
    this.#drainOwed = true;
    return false;
  }

  #onHandlerError(error: unknown): void {
    const status = statusOfError(error);
    if (status.unexpected) this.failUnexpected(error);
    this.failCall(status.code, status.message, status.metadata);
  }
}
