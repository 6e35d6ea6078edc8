/** Roundcube with its mailboxes behind a whole installation, as docs/publishing.md says. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Dovecot, startDovecot } from "../kit/dovecot.ts";
import {
  application,
  freePorts,
  type Installation,
  startInstallation,
} from "../kit/installation.ts";
import { type Roundcube, startRoundcube } from "../kit/roundcube.ts";

export interface RoundcubeStage extends AsyncDisposable {
  readonly system: Installation;
  readonly roundcube: Roundcube;
  readonly dovecot: Dovecot;
}

export async function openRoundcube(): Promise<RoundcubeStage> {
  const [table = "", lines = ""] = recipe();
  const [port = 0] = await freePorts(1);
  await using stack = new AsyncDisposableStack();
  const config = replaced(table, "127.0.0.1:8080", `127.0.0.1:${port}`);
  const system = stack.use(await startInstallation({ config }));
  const { accounts, ca, submission } = system.ready();
  const dovecot = stack.use(await startDovecot(accounts));
  const places = [
    ["localhost:143", `localhost:${dovecot.imapPort}`],
    ["localhost:465", `localhost:${submission.port}`],
    ["/var/lib/postern/pki/site-ca.pem", ca],
  ] as const;
  const told = places.reduce((text, [from, to]) => replaced(text, from, to), lines);
  const roundcube = stack.use(await startRoundcube({ port, config: told, path: "/roundcube" }));
  const all = stack.move();
  return { system, roundcube, dovecot, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

/** What the page for administrators says, word for word: Postern's table, and Roundcube's lines. */
function recipe(): readonly string[] {
  const page = readFileSync(join(application, "docs/publishing.md"), "utf8");
  const section = /^## Roundcube$(.*?)^## /ms.exec(page)?.[1] ?? "";
  return [...section.matchAll(/^```(?:toml|php)\n(.*?)^```$/gms)].map(([, block]) => block ?? "");
}

function replaced(text: string, from: string, to: string): string {
  if (!text.includes(from)) throw new Error(`the recipe has no "${from}"`);
  return text.replace(from, to);
}
