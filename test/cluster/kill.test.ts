// kill -9 at any moment under load: a restarted member has every acknowledged write, at most the ones in
// doubt besides, transactions whole, and revisions that never go back. PORTAL_TEST_LONG=1 makes it 200 rounds.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { Random } from "../../src/base/random.ts";
import { connect } from "../support/etcd-client.mjs";
import { type Server, startPortal } from "../support/servers.mjs";
import { Ledger } from "./ledger.ts";

const rounds = process.env.PORTAL_TEST_LONG ? 200 : 12;
const roundsPerFolder = 50;
const lanes = 24;
const seed = 20_261_121;
const longestLoadMs = 220;

const root = mkdtempSync(join(tmpdir(), "portal-kill-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

test(`${rounds} kills at random moments under load lose nothing`, {
  timeout: rounds * 10_000,
}, async () => {
  const random = new Random(seed);
  let acknowledged = 0;
  for (let done = 0; done < rounds; done += roundsPerFolder) {
    const dataDir = join(root, `data-${done}`);
    const count = Math.min(roundsPerFolder, rounds - done);
    acknowledged += await killRepeatedly(dataDir, count, random, done);
    rmSync(dataDir, { recursive: true, force: true });
  }
  // Load that is always refused would prove nothing.
  expect(acknowledged).toBeGreaterThan(rounds * 20);
});

/** Rounds of start, check, load and kill on one data folder. Resolves to how many writes were acknowledged. */
async function killRepeatedly(dataDir: string, count: number, random: Random, firstRound: number) {
  const ledger = new Ledger(lanes);
  for (let round = 0; round <= count; round += 1) {
    const server = await startPortal({ dataDir });
    const client = connect(server.endpoint);
    try {
      expect(await ledger.verify(client), `after kill ${firstRound + round}`).toEqual([]);
      if (round === count) break;
      await loadAndKill(server, client, ledger, random);
    } finally {
      client.close();
      await server.kill();
    }
  }
  return ledger.acknowledgedCount;
}

async function loadAndKill(
  server: Server,
  client: ReturnType<typeof connect>,
  ledger: Ledger,
  random: Random,
) {
  let isOver = false;
  const load = ledger.load(client, random, () => isOver);
  await new Promise((resolve) => setTimeout(resolve, random.between(1, longestLoadMs)));
  await server.kill();
  isOver = true;
  await load;
}
