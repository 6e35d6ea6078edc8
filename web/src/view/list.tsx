/** The messages of a mailbox, fifty at a time, with what can be done to several at once. */

import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Mail } from "../mail.ts";
import type { Email } from "../types.ts";
import { authorsOf, countOf, shortDate, shortName } from "../words.ts";
import { Icon, IconButton } from "./icons.tsx";
import { ListedMark } from "./identity.tsx";
import { nameOf } from "./sidebar.tsx";
import { doubtfulLevel, SpamLevel } from "./spam.tsx";

export function MessageList({ mail }: { readonly mail: Mail }): JSX.Element {
  const { listing, mailboxes, mailboxId, search, selection } = mail.state;
  const mailbox = mailboxes.find((one) => one.id === mailboxId);
  const title = mailbox === undefined ? "Messages" : nameOf(mailbox);
  const outgoing = mailbox?.role === "sent" || mailbox?.role === "drafts";
  return (
    <section class="list" aria-label={title}>
      <header class="pane-head">
        {selection.size > 0 ? (
          <SelectionBar mail={mail} />
        ) : (
          <>
            <h2>{search === "" ? title : `“${search}” in ${title}`}</h2>
            <span class="soft">
              {listing.loading !== "first" && listing.total > 0 && listing.total}
            </span>
          </>
        )}
      </header>
      <div class="rows" aria-busy={listing.loading === "first"}>
        <Rows mail={mail} outgoing={outgoing} />
      </div>
    </section>
  );
}

function Rows({
  mail,
  outgoing,
}: {
  readonly mail: Mail;
  readonly outgoing: boolean;
}): JSX.Element {
  const { listing, search } = mail.state;
  if (listing.loading === "first") {
    return (
      <>
        {[1, 2, 3, 4, 5, 6, 7, 8].map((row) => (
          <SkeletonRow key={row} />
        ))}
      </>
    );
  }
  if (listing.fault !== null && listing.emails.length === 0) {
    return (
      <div class="empty">
        <p>{listing.fault}</p>
        <button type="button" onClick={() => void mail.loadList(0)}>
          Try again
        </button>
      </div>
    );
  }
  if (listing.emails.length === 0) {
    return (
      <div class="empty">
        <p>{search === "" ? "No messages here." : "Nothing found."}</p>
        {search !== "" && (
          <button type="button" onClick={() => mail.openMailbox(mail.state.mailboxId)}>
            Show all messages
          </button>
        )}
      </div>
    );
  }
  return (
    <>
      <ul>
        {listing.emails.map((email) => (
          <Row key={email.id} mail={mail} email={email} outgoing={outgoing} />
        ))}
      </ul>
      {listing.emails.length < listing.total && <More mail={mail} />}
    </>
  );
}

function More({ mail }: { readonly mail: Mail }): JSX.Element {
  const { listing } = mail.state;
  const more = (): void => {
    if (mail.state.listing.loading === null) void mail.loadList(listing.emails.length);
  };
  const end = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    const watcher = new IntersectionObserver((seen) => {
      if (seen.some((one) => one.isIntersecting)) more();
    });
    if (end.current !== null) watcher.observe(end.current);
    return () => watcher.disconnect();
  });
  return (
    <button type="button" class="more" ref={end} onClick={more}>
      {listing.loading === "more" ? "Loading …" : "Load more"}
    </button>
  );
}

interface RowProps {
  readonly mail: Mail;
  readonly email: Email;
  readonly outgoing: boolean;
}

function Row({ mail, email, outgoing }: RowProps): JSX.Element {
  const { cursor, openId, selection } = mail.state;
  const unread = !email.keywords["$seen"];
  const current = email.id === (openId ?? cursor);
  const row = useRef<HTMLLIElement>(null);
  useEffect(() => {
    if (current) row.current?.scrollIntoView({ block: "nearest" });
  }, [current]);
  const who = outgoing
    ? `To ${email.to?.map(shortName).join(", ") || "nobody yet"}`
    : shortName(authorsOf(email)[0]);
  const isJunk = mail.mailbox("junk")?.id === mail.state.mailboxId;
  const showsSpamLevel =
    !outgoing && email.spamLevel !== null && (isJunk || email.spamLevel >= doubtfulLevel);
  const classes = [
    "row",
    unread && "unread",
    current && "current",
    selection.has(email.id) && "selected",
  ];
  return (
    <li ref={row} class={classes.filter(Boolean).join(" ")}>
      <label class="check">
        <input
          type="checkbox"
          checked={selection.has(email.id)}
          onChange={(event) => mail.toggle(email.id, event.currentTarget.checked)}
        />
        <span class="spoken">Select {email.subject || "message without subject"}</span>
      </label>
      <button
        type="button"
        class="row-open"
        aria-current={email.id === openId ? "true" : undefined}
        onClick={() => mail.openEmail(email.id)}
      >
        <span class="row-top">
          {unread && <span class="spoken">Unread.</span>}
          <span class="row-who">{who}</span>
          {!outgoing && <ListedMark email={email} />}
          <time class="row-date" dateTime={email.receivedAt}>
            {shortDate(email.receivedAt)}
          </time>
        </span>
        <span class="row-subject">
          <span class="cut">{email.subject || "(no subject)"}</span>
          {showsSpamLevel && <SpamLevel level={email.spamLevel ?? 0} />}
          {email.hasAttachment && (
            <span class="row-attached">
              <Icon name="attach" />
              <span class="spoken">Has attachments.</span>
            </span>
          )}
        </span>
        <span class="row-preview cut">{email.preview || " "}</span>
      </button>
    </li>
  );
}

function SkeletonRow(): JSX.Element {
  return (
    <div class="row skeleton-row" aria-hidden="true">
      <span class="skeleton line short" />
      <span class="skeleton line" />
      <span class="skeleton line long" />
    </div>
  );
}

function SelectionBar({ mail }: { readonly mail: Mail }): JSX.Element {
  const { selection, listing } = mail.state;
  const ids = [...selection];
  const all = selection.size === listing.emails.length;
  const mark = (on: boolean): void => {
    mail.toggleAll(false);
    void mail.setKeyword(ids, "$seen", on);
  };
  return (
    <div class="toolbar" role="toolbar" aria-label="Selected messages">
      <label class="check">
        <input type="checkbox" checked={all} onChange={() => mail.toggleAll(!all)} />
        <span class="spoken">Select all shown</span>
      </label>
      <span class="grow cut" role="status">
        {countOf(selection.size, "selected", "selected")}
      </span>
      <IconButton icon="archive" name="Archive" keys="e" press={() => mail.archive()} />
      <IconButton icon="trash" name="Delete" keys="#" press={() => mail.remove()} />
      <IconButton icon="junk" name="Junk" keys="!" press={() => mail.junk()} />
      <IconButton icon="unread" name="Mark unread" press={() => mark(false)} />
      <IconButton icon="read" name="Mark read" press={() => mark(true)} />
      <MoveTo mail={mail} ids={ids} />
      <IconButton icon="close" name="Clear selection" press={() => mail.toggleAll(false)} />
    </div>
  );
}

export function MoveTo({
  mail,
  ids,
}: {
  readonly mail: Mail;
  readonly ids: readonly string[];
}): JSX.Element {
  const others = mail.state.mailboxes.filter((one) => one.id !== mail.state.mailboxId);
  return (
    <label class="move" title="Move to …">
      <Icon name="move" />
      <span class="spoken">Move to</span>
      <select
        value=""
        onChange={(event) => {
          const to = others.find((one) => one.id === event.currentTarget.value);
          event.currentTarget.value = "";
          if (to !== undefined) mail.move(ids, to, `moved to ${nameOf(to)}`);
        }}
      >
        <option value="" disabled hidden>
          Move to …
        </option>
        {others.map((one) => (
          <option key={one.id} value={one.id}>
            {nameOf(one)}
          </option>
        ))}
      </select>
    </label>
  );
}
