/** How much one account may send in an hour: what a stolen password is worth to a spammer. */

import type { Clock } from "#base/clock";
import { TokenBucket } from "#base/limits";
import type { Log } from "#base/log";
import type { Registry } from "#base/measures";
import type { Parameter, Values } from "#base/parameters";
import type { Submit } from "#contracts/submission";
import type { AccountId } from "#model/mailbox";
import type { Reply } from "#model/reply";

type Key = "messagesPerHour" | "recipientsPerHour";

export const submissionParameters: Readonly<Record<Key, Parameter<number>>> = {
  messagesPerHour: {
    default: 1000,
    unit: "count",
    min: 0,
    doc: "Messages that one account may send in an hour, by whatever door; 0: any. Raise for who sends newsletters.",
  },
  recipientsPerHour: {
    default: 5000,
    unit: "count",
    min: 0,
    doc: "Recipients of one account's messages in an hour; 0: any.",
  },
};

export interface SendingLimitPorts {
  readonly limits: Values<typeof submissionParameters>;
  readonly clock: Clock;
  readonly log: Log;
  readonly registry: Registry;
}

interface Account {
  readonly messages: TokenBucket;
  readonly recipients: TokenBucket;
}

/** Beyond the limit a message is put off with 450, and an administrator can see whose it is. */
export function limitSubmissions(submit: Submit, ports: SendingLimitPorts): Submit {
  const { limits, clock, log, registry } = ports;
  const limited = registry.counter(
    "submission_limits",
    "Submissions put off, by what was too many",
  );
  const accounts = new Map<AccountId, Account>();
  const accountOf = (id: AccountId): Account => {
    const known = accounts.get(id);
    if (known !== undefined) return known;
    const made = {
      messages: hourly(limits.messagesPerHour, clock),
      recipients: hourly(limits.recipientsPerHour, clock),
    };
    accounts.set(id, made);
    return made;
  };
  return async (submission) => {
    const { account, envelope, id } = submission;
    const { messages, recipients } = accountOf(account);
    // A message to more than an hour's recipients goes when nothing else went before.
    const count = Math.min(envelope.recipients.length, limits.recipientsPerHour || Infinity);
    const waits = [
      ["messages", limits.messagesPerHour, messages.waitMs(1)],
      ["recipients", limits.recipientsPerHour, recipients.waitMs(count)],
    ] as const;
    const over = waits.find(([, , waitMs]) => waitMs > 0);
    if (over !== undefined) {
      const [kind, most, waitMs] = over;
      limited.add({ kind });
      log.write("warn", "hub.submission-limited", { id, account, kind });
      return tooMany(kind, most, waitMs);
    }
    messages.take();
    recipients.take(count);
    return submit(submission);
  };
}

function hourly(most: number, clock: Clock): TokenBucket {
  return most === 0
    ? new TokenBucket(clock, 0, Infinity)
    : new TokenBucket(clock, most / 3600, most);
}

function tooMany(kind: string, most: number, waitMs: number): Reply {
  const seconds = Math.ceil(waitMs / 1000);
  const text = `more than ${most} ${kind} an hour from this account, try again in ${seconds} s`;
  return { code: 450, status: "4.7.1", text };
}
