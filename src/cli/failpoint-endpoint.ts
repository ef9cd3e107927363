// Lets a test switch failpoints, as gofail does it in etcd: GOFAIL_FAILPOINTS names points that are on from the
// start ("name=term;name=term"), GOFAIL_HTTP an address for the rest: GET / lists them, PUT /<name> takes a term,
// DELETE /<name> switches off, GET /<name>/count tells how often a point was reached while on. Loaded only
// when one of the two is set; whoever reaches the address can end the process.

import http from "node:http";
import {
  type ArmedFailpoint,
  failpointNames,
  failpoints,
  isFailpointName,
} from "../base/failpoint.ts";
import { parseDuration } from "../config/durations.ts";

export interface FailpointWorld {
  /** Ends the process at once, with nothing tidied up. */
  readonly die: () => void;
  readonly write: (line: string) => void;
}

const termBytesMax = 4096;

/** Switches on what the environment names and listens where it says. Rejects when it can not. */
export async function serveFailpoints(
  environment: Readonly<Record<string, string | undefined>>,
  world: FailpointWorld,
): Promise<void> {
  const switchboard = new Switchboard(world);
  for (const setting of (environment.GOFAIL_FAILPOINTS ?? "").split(";")) {
    if (setting === "") continue;
    const at = setting.indexOf("=");
    const [name, term] = [setting.slice(0, at), setting.slice(at + 1)];
    const problem = switchboard.set(name, term);
    if (problem !== undefined) throw new Error(`GOFAIL_FAILPOINTS: ${problem}`);
  }
  const address = environment.GOFAIL_HTTP;
  if (address) await listen(address, switchboard);
}

class Switchboard {
  readonly #world: FailpointWorld;
  readonly #counts = new Map<string, number>();

  constructor(world: FailpointWorld) {
    this.#world = world;
  }

  list(): string {
    return failpointNames.map((name) => `${name}=${failpoints[name]?.term ?? ""}\n`).join("");
  }

  term(name: string): string | undefined {
    return isFailpointName(name) ? failpoints[name]?.term : undefined;
  }

  count(name: string): number | undefined {
    return this.term(name) === undefined ? undefined : (this.#counts.get(name) ?? 0);
  }

  /** Returns what is wrong with it, or undefined. */
  set(name: string, term: string): string | undefined {
    if (!isFailpointName(name)) return `there is no failpoint "${name}"`;
    if (term === "off") return this.clear(name);
    const act = parseTerm(term);
    if (act === undefined) {
      return `"${term}" is none of panic, sleep("3s"), return("text"), print(), off`;
    }
    this.#counts.set(name, 0);
    failpoints[name] = this.#armed(name, term, act);
    return undefined;
  }

  clear(name: string): string | undefined {
    if (!isFailpointName(name)) return `there is no failpoint "${name}"`;
    failpoints[name] = undefined;
    return undefined;
  }

  #armed(name: string, term: string, act: Act): ArmedFailpoint {
    let left = act.times;
    const begin = (): boolean => {
      if (left === 0) return false;
      left -= 1;
      this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
      if (act.kind === "panic") this.#world.die();
      if (act.kind === "print") this.#world.write(`failpoint ${name}\n`);
      return true;
    };
    const text = act.kind === "return" ? act.text : undefined;
    return {
      term,
      async reach() {
        if (!begin()) return undefined;
        if (act.kind === "panic") await new Promise(() => {});
        if (act.kind === "sleep") await new Promise((done) => setTimeout(done, act.sleepMs));
        return text;
      },
      reachNow() {
        if (!begin()) return undefined;
        const cell = new Int32Array(new SharedArrayBuffer(4));
        if (act.kind === "sleep") Atomics.wait(cell, 0, 0, act.sleepMs);
        return text;
      },
    };
  }
}

interface Act {
  readonly kind: "panic" | "sleep" | "return" | "print";
  readonly sleepMs: number;
  readonly text: string;
  /** How often; -1 without end. */
  readonly times: number;
}

/** gofail's terms, one at a time: `2*sleep("1s")`, `sleep(500)`, `panic("why")`, `return("text")`. */
function parseTerm(term: string): Act | undefined {
  const match = /^(?:(\d+)\*)?(panic|sleep|return|print)(?:\((.*)\))?$/s.exec(term.trim());
  if (match === null) return undefined;
  const kind = match[2] as Act["kind"];
  const text = (match[3] ?? "").replace(/^"(.*)"$/s, "$1");
  const times = match[1] === undefined ? -1 : Number(match[1]);
  if (kind !== "sleep") return { kind, sleepMs: 0, text, times };
  const sleepMs = /^\d+$/.test(text) ? Number(text) : parseDuration(text);
  return sleepMs === undefined || text === "" ? undefined : { kind, sleepMs, text, times };
}

async function listen(address: string, switchboard: Switchboard): Promise<void> {
  const server = http.createServer((request, response) => {
    const answer = (status: number, text = "") => {
      response.writeHead(status);
      response.end(text);
    };
    void answerRequest(request, switchboard, answer).catch(() => answer(400));
  });
  const [host, port] = splitOnce(address, ":");
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(Number(port), host, resolve);
  });
  server.unref();
}

async function answerRequest(
  request: http.IncomingMessage,
  switchboard: Switchboard,
  answer: (status: number, text?: string) => void,
): Promise<void> {
  const path = (request.url ?? "/").slice(1);
  const change = (problem: string | undefined) =>
    problem === undefined ? answer(204) : answer(404, `${problem}\n`);
  if (request.method === "DELETE") return change(switchboard.clear(path));
  if (request.method === "PUT") return change(switchboard.set(path, await readBody(request)));
  if (request.method !== "GET") return answer(405, "GET, PUT or DELETE\n");
  if (path === "") return answer(200, switchboard.list());
  const isCount = path.endsWith("/count");
  const found = isCount
    ? switchboard.count(path.slice(0, -"/count".length))
    : switchboard.term(path);
  if (found === undefined) return answer(404, `failpoint "${path}" is off, or there is none\n`);
  answer(200, isCount ? String(found) : `${found}\n`);
}

async function readBody(request: http.IncomingMessage): Promise<string> {
  let body = "";
  for await (const chunk of request) {
    body += String(chunk);
    if (body.length > termBytesMax) throw new Error("too long");
  }
  return body;
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.lastIndexOf(separator);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}
