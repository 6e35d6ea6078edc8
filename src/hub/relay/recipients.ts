/** Recipients in domains of ours, as the doors inside find them. */

import type { Directory } from "#contracts/directory";
import type { Reply } from "#model/reply";
import type { Gateways, RecipientAnswer } from "../gateway/index.ts";

export interface RecipientPorts {
  readonly directory: Pick<Directory, "resolve">;
  readonly gateways: Pick<Gateways, "domains" | "ask">;
}

const unknown: Reply = { code: 550, status: "5.1.1", text: "no such user here" };
const later: Reply = {
  code: 451,
  status: "4.4.3",
  text: "cannot look that address up now, try again later",
};
const replies: Readonly<Record<RecipientAnswer, Reply | undefined>> = {
  known: undefined,
  unknown,
  later,
};

/** Undefined: mail for it is taken. @param path in a domain of ours */
export async function refuseRecipient(
  path: string,
  { directory, gateways }: RecipientPorts,
): Promise<Reply | undefined> {
  const [first, ...more] = directory.resolve(path);
  if (first === undefined) return unknown;
  // What stays itself leads inside, where it may exist or not; an alias was checked when it was made.
  const isItself = more.length === 0 && first.kind === "elsewhere" && first.address === path;
  return isItself ? replies[await gateways.ask(path)] : undefined;
}
