/** What an edge says crosses as JSON and is hostile until it fits one of these shapes. */

import { parseIp } from "#base/ip";
import type { Sample } from "#base/measures";
import { accept, type Result, refuse } from "#base/result";
import type { Deposit, DepositEnd } from "#contracts/deposit";
import type { Refusal, RefusedFor } from "#contracts/store";
import type { Connection, Source, TlsFacts } from "#model/connection";
import { type Decision, dispositions, type Opinion } from "#model/decision";
import type { Envelope, Recipient } from "#model/envelope";
import type { Reply } from "#model/reply";
import type { TraceStep } from "#model/trace";
import {
  either,
  isBoolean,
  isNumber,
  list,
  matching,
  object,
  oneOf,
  type Shape,
  table,
  text,
  textThat,
} from "./shape.ts";
import { edgeVerdict } from "./verdict-shapes.ts";

/** Until the end of the year 9999, so that a moment can be written as a date. */
const moment: Shape = (value) =>
  isNumber(value) && (value as number) >= 0 && (value as number) <= 253_402_300_799_999;
const wholeUpTo =
  (most: number): Shape =>
  (value) =>
    Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= most;

const ipAddress = textThat((value) => parseIp(value) !== undefined);
const id = matching(/^[0-9a-f]{32}$/);
const sha256 = matching(/^[0-9a-f]{64}$/);
const words = text(4096);
const forbiddenInPath = /[\u0000-\u001f\u007f<>]/;
/** RFC 5321 §4.5.3.1.3: 256 octets with the brackets; a little more for UTF-8. */
const path = textThat((value) => value.length <= 512 && !forbiddenInPath.test(value));

const tls = object<TlsFacts>(
  { version: words, cipher: words },
  {
    group: words,
    peerCertificate: sha256,
    proof: oneOf("authority", "mta-sts", "dane", "pin"),
    provenName: words,
  },
);

const anyConnection = object<Connection>(
  {
    listener: words,
    clientAddress: ipAddress,
    clientPort: wholeUpTo(65_535),
    helo: words,
    extended: isBoolean,
  },
  {
    tls,
    viaProxy: isBoolean,
    reverseName: matching(/^[a-z0-9.-]{1,255}$/),
    connector: matching(/^[A-Za-z0-9_-]{1,64}$/),
    authenticated: text(255),
    login: () => false, // none at an edge can be over
  },
);

/** Only partners log in at an edge; whether there is such a one, `believed` of partners.ts tells. */
const connection: Shape = (value) =>
  anyConnection(value) &&
  ((value as Connection).authenticated === undefined ||
    (value as Connection).connector !== undefined);

const recipient = object<Recipient>(
  { path },
  { notify: list(oneOf("never", "success", "failure", "delay"), 3), originalRecipient: words },
);

const envelope = object<Envelope>(
  { reversePath: path, recipients: list(recipient, 1000, 1) },
  {
    utf8: isBoolean,
    requireTls: isBoolean,
    body: oneOf("7bit", "8bitmime", "binarymime"),
    dsnReturn: oneOf("full", "headers"),
    envelopeId: words,
  },
);

const steps = list(
  object<TraceStep>({ atMs: moment, program: words, step: words, text: words }),
  200,
);
const disposition = oneOf(...dispositions);
const opinion = object<Opinion>({ stage: words, disposition, because: words }, { status: words });

const decision = object<Decision>({ disposition, opinions: list(opinion, 20) });

const deposit = object<Deposit>({
  id,
  receivedBy: matching(/^[A-Za-z0-9.:[\]-]{1,255}$/),
  connection,
  envelope,
  receivedAtMs: moment,
  steps,
});

const source = object<Source>({
  kind: oneOf("direct", "relayed", "unknown"),
  address: ipAddress,
  helo: words,
  passed: wholeUpTo(100),
});

const depositEnd = object<DepositEnd>({
  contentId: sha256,
  sizeBytes: wholeUpTo(Number.MAX_SAFE_INTEGER),
  verdicts: list(edgeVerdict, 20),
  decision,
  source,
  steps,
});

const refusal = object<Refusal>(
  {
    id,
    atMs: moment,
    connection,
    reversePath: path,
    recipients: list(path, 1000),
    reply: object<Reply>(
      { code: isNumber, text: either(words, list(words, 20)) },
      { status: words },
    ),
    steps,
  },
  { judged: object<RefusedFor>({ verdicts: list(edgeVerdict, 20), source, decision }) },
);

const sample = object<Sample>({
  name: matching(/^[a-z][a-z0-9_]{0,100}$/),
  labels: table(matching(/^[a-z][a-z0-9_]{0,40}$/), words),
  value: isNumber,
});

interface Asked {
  readonly id: string;
}
interface AskedRecipient {
  readonly path: string;
}
interface Refusals {
  readonly refusals: readonly Refusal[];
}
interface Samples {
  readonly samples: readonly Sample[];
}

type Reader<Value> = (value: unknown) => Result<Value, "bad-shape">;

function reader<Value>(shape: Shape): Reader<Value> {
  return (value) => (shape(value) ? accept(value as Value) : refuse("bad-shape"));
}

export const readDeposit: Reader<Deposit> = reader(deposit);
export const readDepositEnd: Reader<DepositEnd> = reader(depositEnd);
export const readAsked: Reader<Asked> = reader(object<Asked>({ id }));
export const readAskedRecipient: Reader<AskedRecipient> = reader(object<AskedRecipient>({ path }));
export const readRefusals: Reader<Refusals> = reader(
  object<Refusals>({ refusals: list(refusal, 1000) }),
);
export const readSamples: Reader<Samples> = reader(
  object<Samples>({ samples: list(sample, 2000) }),
);
