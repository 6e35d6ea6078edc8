/**
 * What a crowd costs honest mail (S13): the time of a message, from its connection to its 250, without
 * and with ten thousand connections that are idle, half through a dialogue, or drip an octet a second.
 *
 *   npm run bench -- smtp-crowd [--rounds 3] [--total 1000] [--crowd 9800] [--at-once 4]
 */

import { parseArgs } from "node:util";
import { startFakeDns } from "../tests/kit/fake-dns.ts";
import {
  type Crowd,
  crowdNetwork,
  halfDialogues,
  manyAddresses,
  startCrowd,
} from "../tests/kit/half-talkers.ts";
import { type Installation, startInstallation } from "../tests/kit/installation.ts";
import { sendMail } from "../tests/kit/smtp-dialogue.ts";
import { heedInterrupts, interrupted } from "./interrupt.ts";
import { makeMessages } from "./messages.ts";
import { spreadText } from "./spread.ts";

interface Times {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Nobody of the crowd is put out for slowness while this lasts. */
const config = (dns: string): string => `[dns]
servers = ["${dns}"]
[balancer]
mail = ["${crowdNetwork}"]
[smtp]
greetingTimeoutMs = 3600000
commandTimeoutMs = 3600000
dataTimeoutMs = 3600000
dataBytesPerSecond = 0
[edge]
replayLimit = 0
`;

export async function benchSmtpCrowd(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: "string", default: "3" },
      total: { type: "string", default: "1000" },
      crowd: { type: "string", default: "9800" },
      "at-once": { type: "string", default: "4" },
    },
  });
  const [total, atOnce, size] = [values.total, values["at-once"], values.crowd].map(Number);
  heedInterrupts();
  await using dns = await startFakeDns({});
  await using installation = await startInstallation({
    config: config(`127.0.0.1:${dns.endpoint.port}`),
  });
  const measure = (): Promise<Times> => honest(installation, total ?? 0, atOnce ?? 1);
  await measure();
  const [alone, crowded]: [Times[], Times[]] = [[], []];
  for (let round = 0; round < Number(values.rounds); round += 1) {
    alone.push(await measure());
    await using crowd = await gather(installation, size ?? 0);
    crowded.push(await measure());
    const line = [alone.at(-1), crowded.at(-1)].map(
      (one) => `p50 ${one?.p50Ms.toFixed(1)} p99 ${one?.p99Ms.toFixed(1)} ms`,
    );
    console.log(`round ${round}  alone ${line[0]}, with ${await crowd.open()} others ${line[1]}`);
  }
  for (const which of ["p50Ms", "p99Ms"] as const) {
    const ratios = crowded.map((one, nth) => one[which] / (alone[nth]?.[which] ?? 1));
    console.log(`${which.slice(0, 3)} with the crowd to alone: ${spreadText(ratios)}`);
  }
}

/** A tenth drips, the others stay as they are. */
async function gather(installation: Installation, size: number): Promise<Crowd> {
  const { smtp, accounts } = installation.ready();
  const dialogues = halfDialogues(accounts[0]?.address ?? "");
  const crowd = startCrowd(smtp.port);
  const addresses = manyAddresses(size);
  const dripping = addresses.splice(0, Math.floor(size / 10));
  await crowd.add({ addresses: dripping, say: dialogues.at(-1) ?? [], drips: true });
  const each = Math.ceil(addresses.length / dialogues.length);
  for (const [nth, say] of dialogues.entries()) {
    await crowd.add({ addresses: addresses.slice(nth * each, (nth + 1) * each), say });
  }
  return crowd;
}

/** So many messages of 20 KB, each on a connection of its own. @throws Error when one is not taken */
async function honest(installation: Installation, total: number, atOnce: number): Promise<Times> {
  const { smtp, accounts } = installation.ready();
  const messages = makeMessages(200, 20_000);
  const times: number[] = [];
  let begun = 0;
  const one = async (): Promise<void> => {
    while (begun < total) {
      interrupted.throwIfAborted();
      const octets = messages[begun % messages.length] ?? "";
      begun += 1;
      const sinceMs = performance.now();
      const to = [accounts[0]?.address ?? ""];
      const reply = await sendMail(smtp, { from: "a@client.example", to, octets });
      if (reply?.startsWith("250") !== true) throw new Error(`not taken: ${reply}`);
      times.push(performance.now() - sinceMs);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, one));
  times.sort((a, b) => a - b);
  const at = (share: number): number => times[Math.floor((times.length - 1) * share)] ?? 0;
  return { p50Ms: at(0.5), p99Ms: at(0.99) };
}
