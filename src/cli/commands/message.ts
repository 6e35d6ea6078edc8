/** `postern message`: reading somebody else's mail, which is written down and shown to its owner. */

import { userInfo } from "node:os";
import type { Command } from "commander";
import { type AdminClient, adminClient } from "../admin-client.ts";
import { dataOf } from "./shared.ts";

const examples = `
Examples:
  postern message read 0123456789abcdef0123456789abcdef --account ana@example.org \\
    --reason "asked for by Ana, ticket 17" > message.eml

Every reading is in the history before the first octet is given out, with who and why. The owner
sees it in the webmail ("Read by others"), administrators by: postern account reads ADDRESS`;

export function addMessageCommands(program: Command): void {
  program
    .command("message")
    .description("one message of somebody else")
    .addHelpText("after", examples)
    .command("read <id>")
    .description(
      "print a message, or one that a hold keeps; the owner is shown who read it and why",
    )
    .requiredOption("--account <address>", "whose mail it is")
    .requiredOption("--reason <text>", "why; its owner sees it")
    .action(async (id: string, options: { account: string; reason: string }, command: Command) => {
      const { account: address, reason } = options;
      const octets = await readMessage(adminClient(dataOf(command)), { address, id, reason });
      const { json } = command.optsWithGlobals<{ json?: boolean }>();
      const value = { id, account: address, octets: octets.toString("base64") };
      process.stdout.write(json === true ? `${JSON.stringify(value, null, 2)}\n` : octets);
    });
}

interface Wish {
  readonly address: string;
  readonly id: string;
  readonly reason: string;
}

export function readMessage(client: AdminClient, { address, id, reason }: Wish): Promise<Buffer> {
  const path = `/accounts/${encodeURIComponent(address)}/messages/${encodeURIComponent(id)}/read`;
  return client.octets(path, { reason, ...userOf() });
}

/** Who runs this, as far as the machine can tell; behind sudo, who called it. */
function userOf(): { readonly user?: string } {
  const user = process.env["SUDO_USER"] ?? userInfo().username;
  return /^[\w.@-]{1,64}$/.test(user) ? { user } : {};
}
