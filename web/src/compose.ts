/** Saving and sending what was written: a draft on the server, then a submission (RFC 8621 §7). */

import { formatAddresses, parseAddresses, plainBody } from "./addresses.ts";
import { callMethods, Refused, uploadFile } from "./jmap.ts";
import type { Mail } from "./mail.ts";
import { type Compose, keepDraft } from "./state.ts";
import type { Identity, OpenEmail } from "./types.ts";

const undoMs = 10_000;

/** A saved draft, to be gone on with. */
export function draftOf(email: OpenEmail, identities: readonly Identity[]): Compose {
  const from = email.from?.[0]?.email.toLowerCase();
  const identity = identities.find((one) => one.email.toLowerCase() === from) ?? identities[0];
  return {
    draft: {
      to: formatAddresses(email.to),
      cc: formatAddresses(email.cc),
      bcc: formatAddresses(email.bcc),
      subject: email.subject ?? "",
      text: plainBody(email),
      inReplyTo: null,
      references: email.references,
    },
    identityId: identity?.id ?? "",
    attachments: email.attachments.flatMap(({ blobId, type, size, name }) =>
      blobId === null ? [] : [{ blobId, type, size, name: name ?? "attachment" }],
    ),
    uploading: 0,
    draftId: email.id,
    changed: false,
    fault: null,
  };
}

/** What hinders sending, in words, or null. */
export function faultOf(compose: Compose): string | null {
  const { to, cc, bcc } = compose.draft;
  const all = [to, cc, bcc].map(parseAddresses);
  const unclear = all.flatMap((one) => one.unclear)[0];
  if (unclear !== undefined) return `“${unclear}” is not an e-mail address.`;
  if (all.every((one) => one.addresses.length === 0)) return "Please say who this is for.";
  if (compose.uploading > 0) return "A file is still being attached.";
  return null;
}

function emailObject(mail: Mail, compose: Compose): Record<string, unknown> {
  const { draft, attachments, identityId } = compose;
  const identity = mail.state.identities.find((one) => one.id === identityId);
  const drafts = mail.mailbox("drafts");
  if (identity === undefined || drafts === undefined)
    throw new Refused("There is no place for drafts.");
  const addresses = (text: string) => parseAddresses(text).addresses;
  return {
    mailboxIds: { [drafts.id]: true },
    keywords: { $draft: true, $seen: true },
    from: [{ name: identity.name || null, email: identity.email }],
    to: addresses(draft.to),
    ...(draft.cc !== "" && { cc: addresses(draft.cc) }),
    ...(draft.bcc !== "" && { bcc: addresses(draft.bcc) }),
    subject: draft.subject,
    ...(draft.inReplyTo !== null && { inReplyTo: draft.inReplyTo }),
    ...(draft.references !== null && { references: draft.references }),
    bodyValues: { text: { value: draft.text } },
    textBody: [{ partId: "text", type: "text/plain" }],
    attachments: attachments.map(({ blobId, type, name }) => ({
      ...{ blobId, type, name },
      disposition: "attachment",
    })),
  };
}

/** @param background true when nobody asked for it: it does not keep the session alive */
export async function saveDraft(mail: Mail, background = false): Promise<void> {
  const { compose, accountId } = mail.state;
  if (compose === null) return;
  await mail.act(async () => {
    const destroy = compose.draftId === null ? [] : [compose.draftId];
    const create = { draft: emailObject(mail, compose) };
    const [result] = await callMethods(
      [["Email/set", { accountId, create, destroy }, "save"]],
      background,
    );
    const draftId = result.created?.draft?.id;
    if (draftId === undefined) throw new Refused("The draft could not be saved.");
    mail.setCompose({ draftId, changed: false });
    keepDraft(null, accountId);
    mail.notify({ text: "Draft saved", tone: "info" });
  });
  void mail.refresh();
}

/** The window closes at once; the message leaves ten seconds later unless it is taken back. */
export function sendSoon(mail: Mail): void {
  const { compose } = mail.state;
  if (compose === null) return;
  const fault = faultOf(compose);
  if (fault !== null) return mail.setCompose({ fault });
  mail.set({ compose: null });
  keepDraft({ ...compose, changed: true }, mail.state.accountId);
  const stay = (event: BeforeUnloadEvent): void => event.preventDefault();
  window.addEventListener("beforeunload", stay);
  const settle = (): void => window.removeEventListener("beforeunload", stay);
  const timer = window.setTimeout(() => {
    void send(mail, compose).finally(settle);
  }, undoMs);
  mail.notify({
    text: "Sending",
    tone: "info",
    untilMs: Date.now() + undoMs,
    undo: () => {
      window.clearTimeout(timer);
      settle();
      mail.dismissNotice();
      mail.set({ compose });
    },
  });
}

async function send(mail: Mail, compose: Compose): Promise<void> {
  const { accountId } = mail.state;
  try {
    const sent = mail.mailbox("sent");
    const drafts = mail.mailbox("drafts");
    const moved = {
      "keywords/$draft": null,
      ...(drafts !== undefined && sent !== undefined && { [`mailboxIds/${drafts.id}`]: null }),
      ...(sent !== undefined && { [`mailboxIds/${sent.id}`]: true }),
    };
    const destroy = compose.draftId === null ? [] : [compose.draftId];
    const [saved, submitted] = await callMethods([
      ["Email/set", { accountId, create: { draft: emailObject(mail, compose) }, destroy }, "save"],
      [
        "EmailSubmission/set",
        {
          accountId,
          create: { sent: { emailId: "#draft", identityId: compose.identityId } },
          onSuccessUpdateEmail: { "#sent": moved },
        },
        "send",
      ],
    ]);
    if (saved.created?.draft === undefined || submitted.created?.sent === undefined) {
      const why = submitted.notCreated?.sent?.description ?? saved.notCreated?.draft?.description;
      throw new Refused(why ?? "The message could not be sent.");
    }
    keepDraft(mail.state.compose, accountId);
    mail.notify({ text: "Message sent", tone: "info" });
  } catch (error) {
    const why = error instanceof Error ? error.message : "It could not be sent.";
    if (mail.state.compose === null) {
      mail.set({ compose: { ...compose, changed: true, fault: `Not sent. ${why}` } });
    } else mail.notify({ text: `Not sent. ${why} It is kept for this tab.`, tone: "danger" });
    mail.failed(error);
  }
  void mail.refresh();
}

export async function attach(mail: Mail, files: readonly File[]): Promise<void> {
  for (const file of files) {
    mail.setCompose({ uploading: (mail.state.compose?.uploading ?? 0) + 1 });
    await mail.act(async () => {
      const { blobId, type, size } = await uploadFile(mail.state.accountId, file);
      const attachments = mail.state.compose?.attachments ?? [];
      const added = { blobId, type, size, name: file.name };
      mail.setCompose({ attachments: [...attachments, added], changed: true });
    });
    mail.setCompose({ uploading: Math.max(0, (mail.state.compose?.uploading ?? 1) - 1) });
  }
}

export function discard(mail: Mail): void {
  const { compose } = mail.state;
  if (compose?.changed && !window.confirm("Close without saving this message?")) return;
  keepDraft(null, mail.state.accountId);
  mail.set({ compose: null });
}
