// A plain etcd client on @grpc/grpc-js, for judging: it adds nothing (no retries, no defaults), so that what
// a server answers is what a test sees. Messages are those of the generated wire code.
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import * as rpc from "../../dist/src/wire/generated/rpc.js";

const services = {};
for (const definition of Object.values(rpc)) {
  if (definition?.fullName === undefined || definition.methods === undefined) continue;
  for (const [name, method] of Object.entries(definition.methods)) {
    services[name] = { ...method, path: `/${definition.fullName}/${method.name}` };
  }
}

const encode = (method) => (message) => Buffer.from(method.requestType.encode(message).finish());
const decode = (method) => (bytes) => method.responseType.decode(bytes);

/** Opens a connection to host:port. */
export function connect(endpoint) {
  return new EtcdClient(endpoint);
}

export class EtcdClient {
  #client;

  constructor(endpoint) {
    this.#client = new Client(endpoint, credentials.createInsecure(), {
      "grpc.max_receive_message_length": -1,
      "grpc.use_local_subchannel_pool": 1,
      "grpc.initial_reconnect_backoff_ms": 20,
      "grpc.max_reconnect_backoff_ms": 200,
    });
  }

  /** One unary call by its name in camel case, e.g. `call("range", { key })`. Rejects with { code, details }. */
  call(name, request = {}, { timeoutMs = 10_000 } = {}) {
    const method = services[name];
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        method.path,
        encode(method),
        decode(method),
        method.requestType.fromPartial(request),
        new Metadata(),
        { deadline: Date.now() + timeoutMs },
        (error, response) => (error ? reject(error) : resolve(response)),
      );
    });
  }

  /** A server stream, read to its end: resolves to all messages. */
  collect(name, request = {}, { timeoutMs = 30_000 } = {}) {
    const method = services[name];
    return new Promise((resolve, reject) => {
      const stream = this.#client.makeServerStreamRequest(
        method.path,
        encode(method),
        decode(method),
        method.requestType.fromPartial(request),
        new Metadata(),
        { deadline: Date.now() + timeoutMs },
      );
      const messages = [];
      stream.on("data", (message) => messages.push(message));
      stream.on("error", reject);
      stream.on("end", () => resolve(messages));
    });
  }

  /** A bidirectional stream: `send(request)`, `next()` (rejects after `timeoutMs`), `end()`, `cancel()`. */
  open(name) {
    const method = services[name];
    const stream = this.#client.makeBidiStreamRequest(method.path, encode(method), decode(method));
    return new Duplex(stream, (request) => method.requestType.fromPartial(request));
  }

  close() {
    this.#client.close();
  }
}

class Duplex {
  #stream;
  #toMessage;
  #received = [];
  #waiting = [];
  #failure;

  constructor(stream, toMessage) {
    this.#stream = stream;
    this.#toMessage = toMessage;
    stream.on("data", (message) => {
      const waiter = this.#waiting.shift();
      if (waiter) waiter.resolve(message);
      else this.#received.push(message);
    });
    stream.on("error", (error) => this.#fail(error));
    stream.on("end", () => this.#fail(new Error("the stream has ended")));
  }

  send(request) {
    this.#stream.write(this.#toMessage(request));
  }

  next(timeoutMs = 10_000) {
    if (this.#received.length > 0) return Promise.resolve(this.#received.shift());
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      const waiter = {
        resolve: (message) => {
          clearTimeout(timer);
          resolve(message);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      };
      const timer = setTimeout(() => {
        this.#waiting = this.#waiting.filter((other) => other !== waiter);
        reject(new Error(`no message after ${timeoutMs} ms`));
      }, timeoutMs);
      this.#waiting.push(waiter);
    });
  }

  /** What has arrived and was not taken. */
  drain() {
    return this.#received.splice(0);
  }

  end() {
    this.#stream.end();
  }

  cancel() {
    this.#stream.cancel();
  }

  #fail(error) {
    this.#failure ??= error;
    for (const waiter of this.#waiting.splice(0)) waiter.reject(this.#failure);
  }
}
