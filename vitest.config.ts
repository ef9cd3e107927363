// The tests that need only Node: unit and property tests beside the sources, the simulator, the
// contract suites and the process tests. Foreign clients and suites run with `npm run test:interop`.
import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: [
      "src/**/*.test.ts",
      "sim/**/*.test.ts",
      "test/*.test.ts",
      "test/contracts/**/*.test.ts",
      "test/cluster/**/*.test.ts",
      "tools/**/*.test.mjs",
      "bench/**/*.test.mjs",
    ],
    exclude: ["**/node_modules/**", "**/.cache/**", "dist/**", "test/interop/**"],
    pool: "forks",
    maxWorkers: Math.max(2, Math.min(4, availableParallelism())),
    testTimeout: 20_000,
    hookTimeout: 30_000,
    teardownTimeout: 10_000,
    // A test that needs the machine to itself is wrong, and so is one that needs another's order.
    sequence: { concurrent: false },
    slowTestThreshold: 1_000,
    chaiConfig: { truncateThreshold: 400 },
  },
});
