/** Identities and sending (RFC 8621 §6, §7). */

import { Buffer } from "node:buffer";
import { parseHeader } from "#formats/message";
import { describeMessage } from "#formats/mime";
import type { MailAddress } from "#model/description";
import type { MessageId } from "#model/mailbox";
import type { Reply } from "#model/reply";
import { type Args, isObject } from "./arguments.ts";
import { type Answer, type Context, realId } from "./context.ts";
import { entriesByMessage, messageOf } from "./email-get.ts";
import { windowOf } from "./email-query.ts";
import { setEmails } from "./email-set.ts";
import { done, Failure, failed, invalid, type Outcome, refused, type SetError } from "./failure.ts";
import { utcDate } from "./header-forms.ts";
import { coreLimits, maxRecipients } from "./limits.ts";
import type { Invocation } from "./references.ts";
import { runSet } from "./set.ts";
import type { SubmissionRecord } from "./submissions.ts";

function identityId(address: string): string {
  return `I${Buffer.from(address.toLowerCase()).toString("base64url")}`;
}

export function getIdentities(context: Context, args: Args): Answer {
  const addresses = context.directory.identities(context.account);
  const ids = args["ids"] as readonly string[] | null | undefined;
  const all = addresses.map((email) => ({
    id: identityId(email),
    name: context.person.displayName,
    email,
    replyTo: null,
    bcc: null,
    textSignature: "",
    htmlSignature: "",
    mayDelete: false,
  }));
  const asked = (args["properties"] as readonly string[] | null | undefined) ?? null;
  const list = all
    .filter((one) => ids?.includes(one.id) ?? true)
    .map((one) =>
      asked === null
        ? one
        : Object.fromEntries(
            Object.entries(one).filter(([name]) => name === "id" || asked.includes(name)),
          ),
    );
  const notFound = (ids ?? []).filter((id) => !all.some((one) => one.id === id));
  return { accountId: context.account, state: identityState(context), list, notFound };
}

function identityState(context: Context): string {
  const { account, directory, person } = context;
  const text = [person.displayName, ...directory.identities(account)].join("\n");
  let hash = 0;
  for (let at = 0; at < text.length; at += 1)
    hash = (Math.imul(hash, 31) + text.charCodeAt(at)) | 0;
  return `i${hash >>> 0}`;
}

export function identityChanges(context: Context, args: Args): Answer {
  const state = identityState(context);
  if (args["sinceState"] !== state) return failed("cannotCalculateChanges");
  return {
    accountId: context.account,
    oldState: state,
    newState: state,
    hasMoreChanges: false,
    created: [],
    updated: [],
    destroyed: [],
  };
}

/** Who may send as what is the administrator's to say. */
export function setIdentities(context: Context, args: Args): Promise<Answer> {
  const error: SetError = { type: "forbidden", description: "The administrator sets identities." };
  return runSet(
    context,
    args,
    {
      create: async () => refused(error),
      update: async () => refused(error),
      destroy: async () => error,
    },
    { stateOf: identityState, width: 1 },
  );
}

export function getSubmissions(context: Context, args: Args): Answer {
  const all = context.submissions.list(context.account);
  const ids = args["ids"] as readonly string[] | null | undefined;
  const wanted = ids?.map((id) => realId(context, id));
  return {
    accountId: context.account,
    state: context.submissions.state(context.account),
    list: all.filter((one) => wanted?.includes(one.id) ?? true),
    notFound: (ids ?? []).filter((id) => !all.some((one) => one.id === realId(context, id))),
  };
}

export function querySubmissions(context: Context, args: Args): Answer {
  const filter = (args["filter"] as Args | null | undefined) ?? {};
  const all = context.submissions.list(context.account);
  const tests: ((one: SubmissionRecord) => boolean)[] = [];
  for (const [name, value] of Object.entries(filter)) {
    const values = Array.isArray(value) ? value : [];
    if (name === "identityIds") tests.push((one) => values.includes(one.identityId));
    else if (name === "emailIds") tests.push((one) => values.includes(one.emailId));
    else if (name === "threadIds") tests.push((one) => values.includes(one.threadId));
    else if (name === "undoStatus") tests.push((one) => one.undoStatus === value);
    else return failed("unsupportedFilter", name.slice(0, 64));
  }
  const found = all.filter((one) => tests.every((test) => test(one))).map((one) => one.id);
  const window = windowOf(context, found.reverse(), args);
  if (window instanceof Failure) return window;
  const queryState = context.submissions.state(context.account);
  return { accountId: context.account, queryState, canCalculateChanges: false, ...window };
}

/** Sends, then does to the messages what was asked to be done on success (§7.5). */
export async function setSubmissions(
  context: Context,
  args: Args,
  callId: string,
): Promise<Answer> {
  const onUpdate = Object.entries((args["onSuccessUpdateEmail"] ?? {}) as Record<string, Args>);
  const onDestroy = (args["onSuccessDestroyEmail"] ?? []) as readonly string[];
  if (onUpdate.length + onDestroy.length > coreLimits.maxObjectsInSet)
    return failed("requestTooLarge");
  const sent = new Map<string, string>();
  const answer = await runSet(
    context,
    args,
    {
      async create(_, given) {
        const outcome = await send(context, given);
        if (outcome.ok) sent.set(outcome.value.id, outcome.value.emailId);
        return outcome.ok ? done({ ...outcome.value }) : outcome;
      },
      update: async () => refused({ type: "cannotUnsend" }),
      destroy: async (_, id) =>
        context.submissions.remove(context.account, id) ? undefined : { type: "notFound" },
    },
    { stateOf: () => context.submissions.state(context.account), width: 1 },
  );
  if (answer instanceof Failure || onUpdate.length + onDestroy.length === 0) return answer;
  const emailOf = (id: string): string | undefined => sent.get(realId(context, id));
  const update = onUpdate.flatMap(([id, patch]) => {
    const email = emailOf(id);
    return email === undefined ? [] : [[email, patch] as const];
  });
  const destroy = onDestroy.flatMap((id) => emailOf(id) ?? []);
  const set: Invocation = ["EmailSubmission/set", answer as Args, callId];
  if (update.length + destroy.length === 0) return [set];
  const second = await setEmails(context, {
    accountId: context.account,
    update: Object.fromEntries(update),
    destroy,
  });
  const then: Invocation =
    second instanceof Failure
      ? ["error", { type: second.type }, callId]
      : ["Email/set", second as Args, callId];
  return [set, then];
}

async function send(context: Context, given: Args): Promise<Outcome<SubmissionRecord>> {
  const unknown = Object.keys(given).filter(
    (name) => !["identityId", "emailId", "envelope"].includes(name),
  );
  if (unknown.length > 0) return refused(invalid(unknown.slice(0, 10), "Cannot be set."));
  const { account, directory } = context;
  const identity = directory
    .identities(account)
    .find((one) => identityId(one) === given["identityId"]);
  if (identity === undefined) return refused(invalid(["identityId"], "There is no such identity."));
  const emailId = realId(context, String(given["emailId"]));
  const message = messageOf(emailId);
  const own = message === undefined ? undefined : await entriesByMessage(context, [message]);
  if (message === undefined || own?.get(message) === undefined) {
    return refused(invalid(["emailId"], "There is no such message."));
  }
  const octets = await context.store.messages.read(message);
  if (!hasWholeLines(octets)) {
    return refused({ type: "invalidEmail", description: "Its lines do not end with CR LF." });
  }
  const envelope = readEnvelope(given["envelope"] ?? null, identity, octets);
  if (!envelope.ok) return envelope;
  const fault = senderFault(context, envelope.value.mailFrom, octets);
  if (fault !== undefined) return refused(fault);
  const reply = await hand(context, envelope.value, withoutBcc(octets));
  if (reply.code >= 400) return refused(replyError(reply));
  const record = await recordOf(context, message, identity, envelope.value);
  context.submissions.add(account, record);
  return done(record);
}

interface SendEnvelope {
  readonly mailFrom: string;
  readonly rcptTo: readonly string[];
}

function readEnvelope(given: unknown, identity: string, octets: Buffer): Outcome<SendEnvelope> {
  let mailFrom = identity;
  let rcptTo: readonly string[];
  if (given === null) {
    const { to, cc, bcc } = describeMessage(octets).envelope;
    rcptTo = [...to, ...cc, ...bcc].map((one: MailAddress) => one.email);
  } else {
    const to = isObject(given) ? given["rcptTo"] : undefined;
    const from = isObject(given) ? given["mailFrom"] : undefined;
    if (!isObject(from) || typeof from["email"] !== "string" || !Array.isArray(to)) {
      return refused(invalid(["envelope"], "Not an envelope."));
    }
    if (![from, ...to].every((one) => isObject(one) && (one["parameters"] ?? null) === null)) {
      return refused(invalid(["envelope"], "Parameters are not supported."));
    }
    mailFrom = from["email"];
    rcptTo = to.map((one: Args) => String(one["email"]));
  }
  const unique = [...new Map(rcptTo.map((one) => [one.toLowerCase(), one])).values()];
  if (unique.length === 0) return refused({ type: "noRecipients" });
  if (unique.length > maxRecipients) return refused({ type: "tooManyRecipients", maxRecipients });
  const invalidRecipients = unique.filter((one) => !/^[^\s<>@]{1,64}@[^\s<>@]{1,255}$/.test(one));
  if (invalidRecipients.length > 0)
    return refused({ type: "invalidRecipients", invalidRecipients });
  return done({ mailFrom, rcptTo: unique });
}

/**
 * Imported and appended messages may hold anything. On its way out a bare CR or LF becomes a line
 * end and a NUL vanishes, so a From field could appear that nobody looked at.
 */
function hasWholeLines(octets: Buffer): boolean {
  if (octets.includes(0)) return false;
  let at = 0;
  for (let feed = octets.indexOf("\n"); feed >= 0; feed = octets.indexOf("\n", at)) {
    if (octets.indexOf("\r", at) !== feed - 1 || feed === 0) return false;
    at = feed + 1;
  }
  return !octets.includes("\r", at);
}

/** Both the envelope and the From field must be the account's own (§7.5). */
function senderFault(context: Context, mailFrom: string, octets: Buffer): SetError | undefined {
  const { account, directory } = context;
  if (!directory.maySendAs(account, mailFrom)) return { type: "forbiddenMailFrom" };
  const { envelope } = describeMessage(octets);
  if (envelope.from.length === 0) {
    return { type: "invalidEmail", properties: ["from"], description: "It has no From address." };
  }
  const ours = envelope.from.every((one) => directory.maySendAs(account, one.email));
  return ours ? undefined : { type: "forbiddenFrom" };
}

/** §7.5: recipients in Bcc are served and not named. The octets of all else stay. */
export function withoutBcc(octets: Buffer): Buffer {
  const header = parseHeader(octets);
  const pieces: Buffer[] = [];
  let at = 0;
  for (const one of header.fields) {
    if (one.key !== "bcc" && one.key !== "resent-bcc") continue;
    pieces.push(octets.subarray(at, one.start));
    at = one.end;
  }
  return pieces.length === 0 ? octets : Buffer.concat([...pieces, octets.subarray(at)]);
}

async function hand(context: Context, envelope: SendEnvelope, octets: Buffer): Promise<Reply> {
  const { account, clock, person, random } = context;
  return await context.submit({
    id: random.bytes(16).toString("hex"),
    account,
    connection: {
      listener: "jmap",
      clientAddress: context.clientAddress,
      clientPort: 0,
      helo: "",
      extended: true,
      authenticated: person.address,
    },
    envelope: {
      reversePath: envelope.mailFrom,
      recipients: envelope.rcptTo.map((path) => ({ path })),
    },
    octets: [octets],
    receivedAtMs: clock.nowMs(),
  });
}

function replyError(reply: Reply): SetError {
  const text = Array.isArray(reply.text) ? reply.text.join(" ") : String(reply.text);
  const description = `${reply.code} ${reply.status ?? ""} ${text}`.replace(/\s+/g, " ");
  if (reply.code === 552) return { type: "tooLarge", description };
  return { type: "forbiddenToSend", description };
}

async function recordOf(
  context: Context,
  message: MessageId,
  identity: string,
  envelope: SendEnvelope,
): Promise<SubmissionRecord> {
  const address = (email: string) => ({ email, parameters: null });
  return {
    id: `S${context.random.bytes(16).toString("hex")}`,
    identityId: identityId(identity),
    emailId: `M${message}`,
    threadId: await context.threads.threadOf(message),
    envelope: { mailFrom: address(envelope.mailFrom), rcptTo: envelope.rcptTo.map(address) },
    sendAt: utcDate(context.clock.nowMs()),
    undoStatus: "final",
    deliveryStatus: null,
    dsnBlobIds: [],
    mdnBlobIds: [],
  };
}
