// A very small check runner for the interop scripts: named checks one after another, a line for each
// failure, and the closing line "N passed, N failed" that run.mjs and CI add up.

/** Begins a suite. `skipped` checks are named with their reason. */
export function createChecks(suite, { verbose = process.argv.includes("--verbose") } = {}) {
  let passed = 0;
  const failures = [];
  const skips = [];

  return {
    /** Runs `body`; it fails by throwing. Resolves to whether it passed. */
    async check(name, body, timeoutMs = 60_000) {
      try {
        await withTimeout(body, timeoutMs);
        passed += 1;
        if (verbose) console.log(`  ok    ${name}`);
        return true;
      } catch (error) {
        failures.push(name);
        console.log(`  FAIL  ${name}`);
        console.log(String(error?.stack ?? error).replace(/^/gm, "        "));
        return false;
      }
    },

    skip(name, reason) {
      skips.push(name);
      console.log(`  skip  ${name}: ${reason}`);
    },

    /** Prints the counts and sets the exit status. */
    finish() {
      if (failures.length > 0) console.log(`${suite}: failed: ${failures.join("; ")}`);
      const skipped = skips.length > 0 ? `, ${skips.length} skipped` : "";
      console.log(`${passed} passed, ${failures.length} failed${skipped}`);
      process.exitCode = failures.length === 0 && passed > 0 ? 0 : 1;
    },
  };
}

async function withTimeout(body, timeoutMs) {
  let timer;
  const timeout = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no result after ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    await Promise.race([body(), timeout]);
  } finally {
    clearTimeout(timer);
  }
}
