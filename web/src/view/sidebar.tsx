/** Mailboxes with their counts, and the way to a new message. */

import type { JSX } from "preact";
import type { Mail } from "../mail.ts";
import type { Mailbox } from "../types.ts";
import { Icon, type IconName } from "./icons.tsx";

const roleIcons: Readonly<Record<string, IconName>> = {
  inbox: "inbox",
  drafts: "drafts",
  sent: "sent",
  archive: "archive",
  junk: "junk",
  trash: "trash",
};

export function nameOf(mailbox: Mailbox): string {
  return mailbox.role === "inbox" ? "Inbox" : mailbox.name;
}

export function Sidebar({ mail }: { readonly mail: Mail }): JSX.Element {
  const { mailboxes, mailboxId, ready, menuShown } = mail.state;
  return (
    <nav class={menuShown ? "sidebar shown" : "sidebar"} aria-label="Mailboxes">
      <button
        type="button"
        class="primary wide"
        title="New message (c)"
        onClick={() => mail.write()}
      >
        <Icon name="write" />
        New message
      </button>
      <ul>
        {ready === "loading" &&
          [1, 2, 3, 4, 5].map((row) => <li key={row} class="skeleton line" />)}
        {mailboxes.map((mailbox) => (
          <li key={mailbox.id}>
            <MailboxButton
              mailbox={mailbox}
              current={mailbox.id === mailboxId}
              press={() => mail.openMailbox(mailbox.id)}
            />
          </li>
        ))}
      </ul>
    </nav>
  );
}

interface MailboxButtonProps {
  readonly mailbox: Mailbox;
  readonly current: boolean;
  readonly press: () => void;
}

function MailboxButton({ mailbox, current, press }: MailboxButtonProps): JSX.Element {
  const drafts = mailbox.role === "drafts";
  const count = drafts ? mailbox.totalEmails : mailbox.unreadEmails;
  return (
    <button
      type="button"
      class="mailbox"
      aria-current={current ? "page" : undefined}
      onClick={press}
    >
      <Icon name={roleIcons[mailbox.role ?? ""] ?? "folder"} />
      <span class="grow">{nameOf(mailbox)}</span>
      {count > 0 && (
        <span class="count">
          {count}
          <span class="spoken">{drafts ? " drafts" : " unread"}</span>
        </span>
      )}
    </button>
  );
}
