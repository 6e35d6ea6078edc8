/** `postern edge enrol`: this machine becomes an edge. */

import { existsSync } from "node:fs";
import { systemClock } from "#base/clock";
import { Misconfigured } from "#base/errors";
import { complete } from "../../config/read.ts";
import { ExitError, exitCodes } from "../../exit.ts";
import { onlyOne } from "../index.ts";
import { layoutOf } from "../layout.ts";
import { makeLinkIdentity, writeLinkIdentity } from "../link-identity.ts";
import { givenConfig } from "../prepare.ts";
import { folder } from "../secrets.ts";
import { endpointOf } from "../settings.ts";
import { enrolEdge } from "./enrol.ts";
import { type Enrolment, writeEnrolment } from "./records.ts";
import { parseToken } from "./token.ts";

const faults = {
  "not-a-token": "this is no token of Postern",
  incomplete: "the token is incomplete or mistyped",
} as const;

/** Nothing of an earlier enrolment is touched before the inside has proved itself. */
export async function enrolHere(
  text: string,
  place: { readonly data: string; readonly config?: string },
  replaces: boolean,
  onNews: (what: string) => void,
): Promise<Enrolment> {
  const token = parseToken(text);
  if (!token.ok) throw new ExitError(exitCodes.usage, faults[token.fault]);
  const layout = layoutOf(place.data);
  const config = complete(givenConfig(place.data, place.config));
  folder(place.data);
  await using _lock = await onlyOne(place.data);
  if (existsSync(layout.enrolment) && !replaces) {
    throw new Misconfigured(`${layout.enrolment}: enrolled already (--replace does it anew)`);
  }
  if (existsSync(layout.hub)) {
    throw new Misconfigured(`${layout.hub}: the inside is here; an edge needs a folder of its own`);
  }
  const smtp = makeLinkIdentity("edge-smtp", systemClock.nowMs());
  const web = makeLinkIdentity("edge-web", systemClock.nowMs());
  const listen = endpointOf(config.listen.linkSmtp, "listen.linkSmtp");
  const plan = { token: token.value, listen, smtp, web };
  return await enrolEdge(plan, { clock: systemClock, onNews }, (enrolment) => {
    for (const [path, identity] of [
      [layout.edgeSmtp, smtp],
      [layout.edgeWeb, web],
    ] as const) {
      folder(path);
      writeLinkIdentity(path, identity);
    }
    writeEnrolment(layout, enrolment);
  });
}
