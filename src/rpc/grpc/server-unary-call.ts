// One unary call on the server. The usual request, one uncompressed message in one DATA chunk that
// ends the stream, goes from the chunk to the handler without a copy and without another object.

import { Status, type StatusCode } from "../../base/status.ts";
import type { HeaderList } from "../http2/types.ts";
import { MessageReader, readLength } from "./message-reader.ts";
import type { Metadata } from "./metadata.ts";
import type { RegisteredMethod } from "./method-table.ts";
import { statusOfError } from "./rpc-error.ts";
import { okHeaders, okTrailers, ServerCallBase } from "./server-call.ts";
import type { RawUnaryCall, RawUnaryHandler } from "./types.ts";

export class ServerUnaryCall extends ServerCallBase implements RawUnaryCall {
  onCancel: (() => void) | undefined = undefined;
  ticket = 0;
  /** Set once the message turned out not to lie whole in one chunk. */
  #reader: MessageReader | undefined;
  #message: Buffer | undefined;

  override onData(source: Buffer, start: number, end: number, endStream: boolean): void {
    if (!endStream || this.#reader !== undefined || !this.#isWhole(source, start, end)) {
      this.#onPart(source, start, end, endStream);
      return;
    }
    if (this.isOpen) this.#deliver(source, start + 5, end);
  }

  override onTrailers(_headers: HeaderList): void {
    this.#onPart(noBytes, 0, 0, true);
  }

  /** The request ended with its headers. */
  onNoInput(): void {
    this.#onPart(noBytes, 0, 0, true);
  }

  override onWritable(): void {}

  reply(source: Uint8Array, start: number, end: number): void {
    if (end - start > this.core.maxSendMessageBytes) {
      const limit = this.core.maxSendMessageBytes;
      const text = `trying to send message larger than max (${end - start} vs. ${limit})`;
      this.fail(Status.RESOURCE_EXHAUSTED, text);
      return;
    }
    const isPlain = this.isPlainReply;
    if (!this.beginAnswer(Status.OK, "")) return;
    if (isPlain) {
      this.stats.messagesSent++;
      this.headersSent = true;
      this.stream.sendUnary(okHeaders, source, start, end, okTrailers);
      return;
    }
    this.flushHeaders();
    this.sendMessage(source, start, end);
    this.sendStatus(Status.OK, "", undefined);
  }

  replyParts(parts: readonly Uint8Array[]): void {
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    if (!this.isPlainReply || length > this.core.maxSendMessageBytes) {
      const message = Buffer.concat(parts);
      this.reply(message, 0, length);
      return;
    }
    if (this.stream.session.overLimit) {
      this.fail(Status.RESOURCE_EXHAUSTED, tooMuchUnread);
      return;
    }
    if (!this.beginAnswer(Status.OK, "")) return;
    this.stats.messagesSent++;
    this.headersSent = true;
    this.stream.sendHeaders(okHeaders, false);
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(length, 1);
    this.stream.sendData(prefix, 0, prefix.length, false);
    for (const part of parts) this.stream.sendData(part, 0, part.length, false);
    this.stream.sendTrailers(okTrailers);
  }

  fail(code: StatusCode, message: string, trailers?: Metadata): void {
    if (this.beginAnswer(code, message)) this.sendStatus(code, message, trailers);
  }

  protected override onCancelled(): void {
    this.#reader?.release();
    this.#message = undefined;
    const onCancel = this.onCancel;
    this.onCancel = undefined;
    onCancel?.();
  }

  /** One uncompressed message within the limit, and nothing else. */
  #isWhole(source: Buffer, start: number, end: number): boolean {
    const length = end - start - 5;
    return (
      length >= 0 &&
      source[start] === 0 &&
      length <= this.core.maxReceiveMessageBytes &&
      readLength(source, start + 1) === length
    );
  }

  #onPart(source: Buffer, start: number, end: number, endStream: boolean): void {
    if (!this.isOpen) return;
    this.#reader ??= new MessageReader(this.core.maxReceiveMessageBytes, this.core.budget);
    const reader = this.#reader;
    reader.push(source, start, end);
    while (reader.next()) {
      if (this.#message !== undefined) {
        this.#refuse(Status.UNIMPLEMENTED, "received more than one message for a unary call");
        return;
      }
      this.#message = this.#keep(reader);
      if (this.#message === undefined) return;
    }
    if (reader.failure !== undefined) {
      this.#refuse(reader.failure.code, reader.failure.message);
      return;
    }
    if (!endStream) {
      // A message may be longer than the receive window: what was copied is given back at once.
      this.stream.consume(reader.takeCredit());
      return;
    }
    if (reader.isMidMessage) this.#refuse(Status.INTERNAL, "unexpected EOF in a request message");
    else if (this.#message === undefined) {
      this.#refuse(Status.UNIMPLEMENTED, "received no message for a unary call");
    } else {
      const message = this.#message;
      this.#message = undefined;
      this.#deliver(message, 0, message.length);
    }
  }

  /** The message in a buffer of its own. Undefined when it can not be expanded; then the call has ended. */
  #keep(reader: MessageReader): Buffer | undefined {
    const { message, start, end } = reader;
    this.messageCompressed = reader.compressed;
    if (reader.compressed) return this.expand(message, start, end);
    if (start === 0 && end === message.length) return message;
    return Buffer.from(message.subarray(start, end));
  }

  #refuse(code: StatusCode, message: string): void {
    this.failCall(code, message);
  }

  #deliver(message: Buffer, start: number, end: number): void {
    this.stats.messagesReceived++;
    // Requests that came in one read were all let in before the first of them was answered.
    if (this.stream.session.overLimit) {
      this.#refuse(Status.RESOURCE_EXHAUSTED, tooMuchUnread);
      return;
    }
    try {
      ((this.head.method as RegisteredMethod).unary as RawUnaryHandler)(this, message, start, end);
    } catch (error) {
      const status = statusOfError(error);
      if (status.unexpected) this.failUnexpected(error);
      if (this.isOpen) this.fail(status.code, status.message, status.metadata);
    }
  }
}

const noBytes = Buffer.alloc(0);
const tooMuchUnread = "too many bytes of earlier replies have not been read";
