/** `npm run bench [-- NAME OPTIONS]`: measurements side by side with peers; never part of a test. */

import { benchIdentity } from "./identity.ts";
import { interrupted } from "./interrupt.ts";
import { benchPublish } from "./publish.ts";
import { benchQueue } from "./queue.ts";
import { benchSmtp } from "./smtp.ts";
import { benchSmtpCrowd } from "./smtp-crowd.ts";
import { benchStore } from "./store.ts";
import { benchStoreGrowth } from "./store-growth.ts";

const benches: Readonly<Record<string, (args: readonly string[]) => Promise<void>>> = {
  identity: benchIdentity,
  publish: benchPublish,
  queue: benchQueue,
  smtp: benchSmtp,
  "smtp-crowd": benchSmtpCrowd,
  store: benchStore,
  "store-growth": benchStoreGrowth,
};

const [name, ...args] = process.argv.slice(2);
const chosen = name === undefined || name.startsWith("-") ? Object.keys(benches) : [name];
if (process.getuid?.() !== 0) {
  console.error("the benches read control groups and start a Postfix: run them as root");
  process.exit(77);
}
for (const one of chosen) {
  const bench = benches[one];
  if (bench === undefined) {
    console.error(`no bench "${one}": ${Object.keys(benches).join(", ")}`);
    process.exit(64);
  }
  try {
    await bench(name === one ? args : process.argv.slice(2));
  } catch (error) {
    if (!interrupted.aborted) throw error;
  }
  // By itself the process would wait for what the bench left under way.
  if (interrupted.aborted) process.exit();
}
