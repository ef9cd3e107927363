// The replica's calls to other members, over HTTP: each member may have several peer URLs, and the first
// that answers counts.

import { asBuffer } from "../../base/bytes.ts";
import { Status, StatusError } from "../../base/status.ts";
import type { LeaseTimes } from "../../lease/lessor.ts";
import { firstAnswer, type PeerClient } from "../../peer/peer-client.ts";
import { EtcdErrors, toStatusError } from "../../wire/errors.ts";
import type { Member } from "../../wire/generated/rpc.ts";
import type { Versions } from "./cluster-version.ts";
import type { PeerCalls } from "./peer-calls.ts";

const versionTimeoutMs = 5000;

export class RemoteMembers implements PeerCalls {
  readonly #client: PeerClient;

  constructor(client: PeerClient) {
    this.#client = client;
  }

  renewLease(urls: readonly string[], id: bigint, timeoutMs: number): Promise<number> {
    return settle(firstAnswer(urls, (url) => this.#client.renewLease(url, id, timeoutMs)));
  }

  async leaseTimes(
    urls: readonly string[],
    id: bigint,
    withKeys: boolean,
    timeoutMs: number,
  ): Promise<LeaseTimes | undefined> {
    try {
      const answer = await firstAnswer(urls, (url) =>
        this.#client.leaseTimeToLive(url, id, withKeys, timeoutMs),
      );
      return {
        ttl: answer.TTL,
        grantedTtl: answer.grantedTTL,
        keys: answer.keys.map(asBuffer),
      };
    } catch (error) {
      if (error instanceof StatusError && error.code === Status.NOT_FOUND) return undefined;
      throw asStatusError(error);
    }
  }

  promote(urls: readonly string[], id: bigint, timeoutMs: number): Promise<readonly Member[]> {
    return settle(firstAnswer(urls, (url) => this.#client.promote(url, id, timeoutMs)));
  }

  versions(urls: readonly string[]): Promise<Versions | undefined> {
    return firstAnswer(urls, (url) => this.#client.versions(url, versionTimeoutMs)).catch(
      () => undefined,
    );
  }
}

async function settle<Answer>(answer: Promise<Answer>): Promise<Answer> {
  try {
    return await answer;
  } catch (error) {
    throw asStatusError(error);
  }
}

/** Whoever can not be reached, or says what nobody knows, does not lead for us: the caller looks again. */
function asStatusError(error: unknown): StatusError {
  if (error instanceof StatusError && error.code !== Status.UNAVAILABLE) return error;
  return toStatusError(EtcdErrors.noLeader, { cause: error });
}
