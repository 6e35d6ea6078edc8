import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Registry } from "#base/measures";
import type { Submission } from "#contracts/submission";
import type { AccountId } from "#model/mailbox";
import { fakeClock } from "../../tests/kit/fake-clock.ts";
import { limitSubmissions } from "./sending-limits.ts";

function site(messagesPerHour: number, recipientsPerHour: number) {
  const clock = fakeClock();
  const limited: string[] = [];
  let sent = 0;
  const submit = limitSubmissions(
    async () => {
      sent += 1;
      return { code: 250, text: "accepted" };
    },
    {
      limits: { messagesPerHour, recipientsPerHour },
      clock,
      log: {
        write: (_level, _event, fields) =>
          void limited.push(`${fields?.["account"]} ${fields?.["kind"]}`),
      },
      registry: new Registry(),
    },
  );
  const send = async (account: string, recipients = 1): Promise<string> => {
    const envelope = {
      reversePath: "",
      recipients: Array.from({ length: recipients }, () => ({ path: "a@b.example" })),
    };
    const { code, text } = await submit({
      id: "1",
      account: account as AccountId,
      envelope,
    } as unknown as Submission);
    return `${code} ${String(text)}`;
  };
  return { clock, limited, send, sent: () => sent };
}

describe("limitSubmissions()", () => {
  test("puts off what one account sends beyond its hour, says when to come again, and tells", async () => {
    const { clock, limited, send, sent } = site(3, 100);
    for (let nth = 0; nth < 3; nth += 1) assert.match(await send("ann"), /^250 /);
    const put = "450 more than 3 messages an hour from this account, try again in 1200 s";
    assert.equal(await send("ann"), put);
    assert.match(await send("bob"), /^250 /);
    assert.deepEqual([limited, sent()], [["ann messages"], 4]);
    await clock.advance(1_200_000);
    assert.match(await send("ann"), /^250 /);
  });

  test("counts recipients, whatever the messages", async () => {
    const { limited, send } = site(100, 10);
    assert.match(await send("ann", 6), /^250 /);
    assert.match(await send("ann", 6), /^450 more than 10 recipients an hour .* in 720 s$/);
    assert.match(await send("ann", 4), /^250 /);
    assert.deepEqual(limited, ["ann recipients"]);
  });

  test("a message to more recipients than an hour has goes once, and 0 means any number", async () => {
    const narrow = site(100, 10);
    assert.match(await narrow.send("ann", 50), /^250 /);
    assert.match(await narrow.send("ann", 1), /^450 /);
    const open = site(0, 0);
    for (let nth = 0; nth < 100; nth += 1) assert.match(await open.send("ann", 50), /^250 /);
  });
});
