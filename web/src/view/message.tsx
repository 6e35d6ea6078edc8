/** One open message: what is known about it above, what it says in a cage below. */

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { downloadPath } from "../jmap.ts";
import type { Mail } from "../mail.ts";
import type { OpenEmail, Part } from "../types.ts";
import { countOf, fullDate, nameList, sizeText } from "../words.ts";
import { posesAsAnother } from "./evidence.tsx";
import { Icon, IconButton } from "./icons.tsx";
import { IdentityLine, Sender } from "./identity.tsx";
import { MoveTo } from "./list.tsx";
import { shownTheme } from "./theme.ts";

export function MessagePane({ mail }: { readonly mail: Mail }): JSX.Element {
  const { open, openId, openFault } = mail.state;
  return (
    <article class="message" aria-label="Message">
      {openId === null ? (
        <div class="empty">
          <p class="soft">Select a message to read it.</p>
        </div>
      ) : (
        <>
          <Actions mail={mail} />
          {open !== null && <Opened key={open.id} mail={mail} email={open} />}
          {open === null && openFault === null && <SkeletonMessage />}
          {open === null && openFault !== null && (
            <div class="empty">
              <p>{openFault}</p>
              <button type="button" onClick={() => mail.openEmail(openId)}>
                Try again
              </button>
            </div>
          )}
        </>
      )}
    </article>
  );
}

function Actions({ mail }: { readonly mail: Mail }): JSX.Element {
  const { open, openId } = mail.state;
  const ids = openId === null ? [] : [openId];
  const unread = (): void => {
    mail.closeEmail();
    void mail.setKeyword(ids, "$seen", false);
  };
  const waiting = open === null;
  return (
    <div class="pane-head toolbar" role="toolbar" aria-label="Message">
      <span class="back">
        <IconButton icon="back" name="Back to the list" keys="u" press={() => mail.closeEmail()} />
      </span>
      <IconButton
        icon="reply"
        name="Reply"
        keys="r"
        press={() => mail.reply(false)}
        disabled={waiting}
      />
      <IconButton
        icon="replyAll"
        name="Reply to all"
        keys="a"
        press={() => mail.reply(true)}
        disabled={waiting}
      />
      <IconButton
        icon="forward"
        name="Forward"
        keys="f"
        press={() => mail.forward()}
        disabled={waiting}
      />
      <span class="rule" />
      <IconButton icon="archive" name="Archive" keys="e" press={() => mail.archive()} />
      <IconButton icon="trash" name="Delete" keys="#" press={() => mail.remove()} />
      <IconButton icon="junk" name="Junk" keys="!" press={() => mail.junk()} />
      <IconButton icon="unread" name="Mark unread" keys="Shift+U" press={unread} />
      <MoveTo mail={mail} ids={ids} />
    </div>
  );
}

function Opened({ mail, email }: { readonly mail: Mail; readonly email: OpenEmail }): JSX.Element {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus({ preventScroll: true }), []);
  const { showRemote, remoteCount, accountId } = mail.state;
  const [linksAllowed, setLinksAllowed] = useState(false);
  const forged = email.senderState === "forged";
  const linksOn = !forged && (linksAllowed || posesAsAnother(email) === undefined);
  const isOwn = mail.state.mailboxId === mail.mailbox("sent")?.id;
  const attachments = email.attachments.filter((part) => !isShownInside(part));
  return (
    <>
      <header class="message-head">
        <h2 ref={heading} tabIndex={-1}>
          {email.subject || "(no subject)"}
        </h2>
        <p class="message-from">
          <Sender email={email} />
          <time class="soft" dateTime={email.sentAt ?? email.receivedAt}>
            {fullDate(email.sentAt ?? email.receivedAt)}
          </time>
        </p>
        {!isOwn && <IdentityLine email={email} />}
        <Recipients email={email} />
      </header>
      {remoteCount > 0 && !showRemote && !forged && (
        <div class="bar" role="status">
          <Icon name="picture" />
          <span class="grow">
            To protect your privacy, {countOf(remoteCount, "remote item was", "remote items were")}{" "}
            not loaded.
          </span>
          <button type="button" class="quiet" onClick={() => mail.set({ showRemote: true })}>
            Show once
          </button>
        </div>
      )}
      {attachments.length > 0 && <Attachments accountId={accountId} parts={attachments} />}
      {!linksOn && (
        <div class="bar" role="status">
          <Icon name="link" />
          <span class="grow">Links are off: the sender may not be who it seems.</span>
          {!forged && (
            <button type="button" class="quiet" onClick={() => setLinksAllowed(true)}>
              Switch links on
            </button>
          )}
        </div>
      )}
      <iframe
        key={String(linksOn)}
        class="body"
        title="Text of the message"
        sandbox={linksOn ? "allow-popups allow-popups-to-escape-sandbox" : ""}
        referrerpolicy="no-referrer"
        src={`/mail/message/${encodeURIComponent(email.id)}/view?images=${showRemote ? 1 : 0}&links=${linksOn ? 1 : 0}&theme=${shownTheme()}`}
      />
    </>
  );
}

/** Pictures that the text shows in their place. */
function isShownInside(part: Part): boolean {
  return part.cid !== null && part.disposition !== "attachment" && part.type.startsWith("image/");
}

function Recipients({ email }: { readonly email: OpenEmail }): JSX.Element {
  const [all, setAll] = useState(false);
  const lines: readonly (readonly [string, string])[] = [
    ["To", nameList(email.to)],
    ["Cc", nameList(email.cc)],
    ["Bcc", nameList(email.bcc)],
  ];
  const long = (email.to?.length ?? 0) + (email.cc?.length ?? 0) > 4;
  return (
    <div class="recipients soft">
      {lines.map(
        ([name, text]) =>
          text !== "" && (
            <p key={name} class={long && !all ? "cut" : ""}>
              {name} {text}
            </p>
          ),
      )}
      {long && !all && (
        <button type="button" class="quiet" onClick={() => setAll(true)}>
          Show everybody
        </button>
      )}
    </div>
  );
}

interface AttachmentsProps {
  readonly accountId: string;
  readonly parts: readonly Part[];
}

function Attachments({ accountId, parts }: AttachmentsProps): JSX.Element {
  return (
    <ul class="attachments" aria-label="Attachments">
      {parts.map((part) => {
        const name = part.name ?? "attachment";
        return (
          <li key={part.blobId}>
            <a href={downloadPath(accountId, part.blobId ?? "", name)} download={name}>
              <Icon name="attach" />
              <span class="cut">{name}</span>
              <span class="soft">{sizeText(part.size)}</span>
            </a>
          </li>
        );
      })}
    </ul>
  );
}

function SkeletonMessage(): JSX.Element {
  return (
    <div class="message-head" aria-busy="true">
      <span class="skeleton line tall" />
      <span class="skeleton line short" />
      <span class="skeleton line" />
      <span class="skeleton line long" />
    </div>
  );
}
