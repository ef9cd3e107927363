import { it } from "vitest";
import { simulateCrashes } from "./member-crash.ts";

it("times", async () => {
  for (let seed = 1; seed <= 200; seed++) {
    const t = performance.now();
    await Promise.race([
      simulateCrashes(seed),
      new Promise((r) =>
        setTimeout(() => {
          console.log("HANG", seed);
          r(0);
        }, 6000),
      ),
    ]);
    const ms = performance.now() - t;
    if (ms > 500) console.log(seed, ms.toFixed(0));
  }
}, 300000);
