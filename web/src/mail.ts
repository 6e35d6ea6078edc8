/** What the application does: each act asks the server and replaces the state. */

import { type DraftText, emptyDraft, forwardDraft, replyDraft } from "./addresses.ts";
import { draftOf } from "./compose.ts";
import {
  callMethods,
  fetchSession,
  fetchSessionTimes,
  Refused,
  readsByOthers,
  remoteCount,
  SignedOut,
} from "./jmap.ts";
import {
  type Compose,
  emptyListing,
  firstState,
  isNews,
  keptDraft,
  type Listing,
  type Notice,
  newCompose,
  type State,
  sortedMailboxes,
} from "./state.ts";
import type { Email, Mailbox, OpenEmail } from "./types.ts";
import { countOf } from "./words.ts";

const rowProperties = [
  ...["id", "threadId", "mailboxIds", "keywords", "from", "to", "subject", "receivedAt"],
  ...["preview", "hasAttachment", "senderShown", "senderState", "senderText"],
  ...["senderEvidence", "spamLevel"],
];
/** The first one is of the server that took the message in; others would be the sender's. */
const returnPaths = "header:Return-Path:asText:all";
const openProperties = [
  ...rowProperties,
  ...["cc", "bcc", "replyTo", "sentAt", "messageId", "references", "blobId"],
  ...["attachments", "textBody", "htmlBody", "bodyValues"],
  ...["senderOrigin", "senderPartner", "senderChecks", "spamReasons", returnPaths],
];
const bodyProperties = ["partId", "blobId", "size", "name", "type", "cid", "disposition"];
const pageSize = 50;

/** An email with the properties of an open one. */
type FetchedEmail = OpenEmail & { readonly [returnPaths]: readonly string[] };

export class Mail {
  #state: State = firstState;
  readonly #listeners = new Set<() => void>();
  #noticeTimer = 0;
  #listAsked = 0;

  get state(): State {
    return this.#state;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  set(change: Partial<State>): void {
    this.#state = { ...this.#state, ...change };
    for (const listener of this.#listeners) listener();
  }

  /** Runs an act; its failure becomes something to read. */
  async act(work: () => Promise<void>): Promise<void> {
    try {
      await work();
      if (!this.#state.online) this.set({ online: true });
    } catch (error) {
      this.failed(error);
    }
  }

  failed(error: unknown): void {
    if (error instanceof SignedOut) this.set({ signedOut: true });
    else if (error instanceof Refused) this.notify({ text: error.message, tone: "danger" });
    else this.set({ online: false });
  }

  notify(notice: Notice): void {
    window.clearTimeout(this.#noticeTimer);
    this.set({ notice });
    const shownMs = Math.max((notice.untilMs ?? 0) - Date.now(), notice.undo ? 10_000 : 5_000);
    this.#noticeTimer = window.setTimeout(() => this.set({ notice: null }), shownMs);
  }

  dismissNotice(): void {
    window.clearTimeout(this.#noticeTimer);
    this.set({ notice: null });
  }

  async start(): Promise<void> {
    try {
      if ((await fetchSessionTimes()).mustEnrol) {
        return this.set({ ready: "enrolling", view: "security" });
      }
      const session = await fetchSession();
      const accountId =
        session.primaryAccounts["urn:ietf:params:jmap:mail"] ??
        Object.keys(session.accounts)[0] ??
        "";
      this.set({ accountId, username: session.username });
      const [boxes, identities] = await callMethods([
        ["Mailbox/get", { accountId, ids: null }, "boxes"],
        ["Identity/get", { accountId, ids: null }, "identities"],
      ]);
      const mailboxes = sortedMailboxes(boxes.list);
      const inbox = mailboxes.find((one) => one.role === "inbox") ?? mailboxes[0];
      this.set({
        mailboxes,
        identities: identities.list,
        ready: "ready",
        compose: keptDraft(accountId),
        view: location.hash === "#security" ? "security" : "mail",
      });
      if (inbox !== undefined) this.openMailbox(inbox.id);
      void this.#tellOfReads();
    } catch (error) {
      if (error instanceof SignedOut) this.set({ signedOut: true });
      else this.set({ ready: "failed" });
    }
  }

  /** Who else has read our mail is no secret: it is told once, and listed for ever. */
  async #tellOfReads(): Promise<void> {
    await this.act(async () => {
      if (!isNews(await readsByOthers(true))) return;
      const text = "Somebody else has read mail of yours: see “Read by others”.";
      this.notify({ text, tone: "info" });
    });
  }

  showReads(): void {
    void this.act(async () => this.set({ reads: await readsByOthers() }));
  }

  openMailbox(mailboxId: string, search = ""): void {
    this.set({
      mailboxId,
      search,
      listing: emptyListing,
      cursor: null,
      selection: new Set(),
      openId: null,
      open: null,
      menuShown: false,
    });
    void this.loadList(0);
  }

  /** @param background a refresh that nobody asked for: keeps what is shown until it is there */
  async loadList(position: number, background = false): Promise<void> {
    const { accountId, mailboxId, search, listing } = this.#state;
    const asked = ++this.#listAsked;
    const limit = background ? Math.max(pageSize, listing.emails.length) : pageSize;
    if (!background) {
      this.set({
        listing: { ...listing, loading: position === 0 ? "first" : "more", fault: null },
      });
    }
    const filter =
      search === "" ? { inMailbox: mailboxId } : { inMailbox: mailboxId, text: search };
    const sort = [{ property: "receivedAt", isAscending: false }];
    try {
      const [found, rows] = await callMethods(
        [
          [
            "Email/query",
            { accountId, filter, sort, position, limit, calculateTotal: true },
            "found",
          ],
          [
            "Email/get",
            {
              accountId,
              "#ids": { resultOf: "found", name: "Email/query", path: "/ids" },
              properties: rowProperties,
            },
            "rows",
          ],
        ],
        background,
      );
      if (asked !== this.#listAsked) return; // the reader went on
      const byId = new Map(rows.list.map((one) => [one.id, one]));
      const page = found.ids.flatMap((id) => byId.get(id) ?? []);
      const before = position === 0 ? [] : this.#state.listing.emails;
      const known = new Set(before.map((one) => one.id));
      const emails = [...before, ...page.filter((one) => !known.has(one.id))];
      this.#setListing({ emails, total: found.total ?? emails.length, loading: null, fault: null });
    } catch (error) {
      if (asked !== this.#listAsked) return;
      this.failed(error);
      if (!background && !(error instanceof SignedOut)) {
        this.#setListing({ loading: null, fault: "These messages could not be loaded." });
      }
    }
  }

  #setListing(change: Partial<Listing>): void {
    const listing = { ...this.#state.listing, ...change };
    const present = new Set(listing.emails.map((one) => one.id));
    const selection = new Set([...this.#state.selection].filter((id) => present.has(id)));
    this.set({ listing, selection, online: listing.fault === null ? true : this.#state.online });
  }

  async refresh(): Promise<void> {
    await this.act(async () => {
      const { accountId } = this.#state;
      const [boxes] = await callMethods([["Mailbox/get", { accountId, ids: null }, "boxes"]], true);
      this.set({ mailboxes: sortedMailboxes(boxes.list) });
    });
    if (this.#state.listing.loading === null) await this.loadList(0, true);
  }

  openEmail(id: string): void {
    if (this.mailbox("drafts")?.id === this.#state.mailboxId) {
      void this.act(() => this.#continueDraft(id));
      return;
    }
    this.set({
      ...{ openId: id, open: null, openFault: null, cursor: id },
      ...{ remoteCount: 0, showRemote: false },
    });
    void this.act(async () => {
      try {
        const email = await this.#fetchOpen(id);
        if (this.#state.openId !== id) return;
        this.set({ open: email });
        if (!email.keywords["$seen"]) void this.setKeyword([id], "$seen", true);
        if (email.htmlBody.some((part) => part.type === "text/html")) {
          const count = await remoteCount(id);
          if (this.#state.openId === id) this.set({ remoteCount: count });
        }
      } catch (error) {
        if (this.#state.openId === id) this.set({ openFault: "This message could not be opened." });
        throw error;
      }
    });
  }

  async #fetchOpen(id: string): Promise<OpenEmail> {
    const { accountId } = this.#state;
    const [result] = await callMethods([
      [
        "Email/get",
        {
          accountId,
          ids: [id],
          properties: openProperties,
          bodyProperties,
          fetchTextBodyValues: true,
          maxBodyValueBytes: 500_000,
        },
        "open",
      ],
    ]);
    const email = result.list[0] as FetchedEmail | undefined;
    if (email === undefined) throw new Refused("That message is gone.");
    return { ...email, returnPath: email[returnPaths][0] ?? null };
  }

  closeEmail(): void {
    this.set({ openId: null, open: null });
  }

  mailbox(role: string): Mailbox | undefined {
    return this.#state.mailboxes.find((one) => one.role === role);
  }

  /** The selected rows, or the open message, or the row with the mark. */
  targets(): readonly string[] {
    const { selection, openId, cursor } = this.#state;
    if (selection.size > 0) return [...selection];
    const one = openId ?? cursor;
    return one === null ? [] : [one];
  }

  async #update(changes: Readonly<Record<string, unknown>>): Promise<void> {
    const { accountId } = this.#state;
    const [result] = await callMethods([["Email/set", { accountId, update: changes }, "set"]]);
    if (Object.keys(result.notUpdated ?? {}).length > 0) throw new Refused("That did not work.");
  }

  async setKeyword(ids: readonly string[], keyword: string, on: boolean): Promise<void> {
    const { listing, open } = this.#state;
    const changed = <Row extends Email>(one: Row): Row => {
      if (!ids.includes(one.id)) return one;
      const { [keyword]: _, ...others } = one.keywords;
      return { ...one, keywords: on ? { ...others, [keyword]: true } : others };
    };
    this.set({
      listing: { ...listing, emails: listing.emails.map(changed) },
      open: open && changed(open),
    });
    const patch = { [`keywords/${keyword}`]: on ? true : null };
    await this.act(() => this.#update(Object.fromEntries(ids.map((id) => [id, patch]))));
    void this.refresh();
  }

  /** Moves at once and offers the way back for ten seconds. */
  move(ids: readonly string[], to: Mailbox | undefined, done: string): void {
    const from = this.#state.mailboxId;
    if (to === undefined || ids.length === 0 || to.id === from) return;
    const way = (out: string, into: string) =>
      Object.fromEntries(
        ids.map((id) => [id, { [`mailboxIds/${out}`]: null, [`mailboxIds/${into}`]: true }]),
      );
    this.#leave(ids);
    void this.act(() => this.#update(way(from, to.id))).then(() => this.refresh());
    this.notify({
      text: `${countOf(ids.length, "message", "messages")} ${done}`,
      tone: "info",
      undo: () => {
        this.dismissNotice();
        void this.act(() => this.#update(way(to.id, from))).then(() => this.refresh());
      },
    });
  }

  archive(): void {
    this.move(this.targets(), this.mailbox("archive"), "archived");
  }

  remove(): void {
    const ids = this.targets();
    const trash = this.mailbox("trash");
    if (this.#state.mailboxId !== trash?.id) return this.move(ids, trash, "moved to trash");
    const count = countOf(ids.length, "message", "messages");
    if (ids.length === 0 || !window.confirm(`Delete ${count} for good?`)) return;
    this.#leave(ids);
    void this.act(async () => {
      const { accountId } = this.#state;
      await callMethods([["Email/set", { accountId, destroy: ids }, "set"]]);
      this.notify({ text: `${count} deleted`, tone: "info" });
    }).then(() => this.refresh());
  }

  junk(): void {
    this.move(this.targets(), this.mailbox("junk"), "moved to junk");
  }

  /** Takes rows away and lets the mark go on to what follows them. */
  #leave(ids: readonly string[]): void {
    const { listing, openId, cursor } = this.#state;
    const gone = new Set(ids);
    const emails = listing.emails.filter((one) => !gone.has(one.id));
    const at = listing.emails.findIndex((one) => gone.has(one.id));
    const next = emails[Math.min(at, emails.length - 1)]?.id ?? null;
    const closes = openId !== null && gone.has(openId);
    this.set({
      listing: { ...listing, emails, total: Math.max(0, listing.total - ids.length) },
      selection: new Set(),
      cursor: cursor !== null && gone.has(cursor) ? next : cursor,
      ...(closes && { openId: null, open: null }),
    });
  }

  step(by: 1 | -1): void {
    const { listing, cursor, openId } = this.#state;
    const at = listing.emails.findIndex((one) => one.id === (openId ?? cursor));
    const next = listing.emails[Math.max(0, at + by)];
    if (next === undefined) return;
    if (openId !== null) this.openEmail(next.id);
    else this.set({ cursor: next.id });
  }

  toggle(id: string, on: boolean): void {
    const selection = new Set(this.#state.selection);
    if (on) selection.add(id);
    else selection.delete(id);
    this.set({ selection });
  }

  toggleAll(on: boolean): void {
    this.set({ selection: new Set(on ? this.#state.listing.emails.map((one) => one.id) : []) });
  }

  // Writing; `compose.ts` sends and saves.

  write(draft: DraftText = emptyDraft): void {
    if (this.#state.compose !== null) return;
    const compose = newCompose(draft, this.#state.identities[0]?.id ?? "");
    this.set({ compose, menuShown: false });
  }

  reply(everybody: boolean): void {
    const { open, identities } = this.#state;
    const own = identities.map((one) => one.email);
    if (open !== null) this.write(replyDraft(open, everybody, own));
  }

  forward(): void {
    const { open } = this.#state;
    if (open === null) return;
    this.write(forwardDraft(open));
    const attachments = open.attachments.flatMap(({ blobId, type, size, name }) =>
      blobId === null ? [] : [{ blobId, type, size, name: name ?? "attachment" }],
    );
    if (this.#state.compose !== null) this.setCompose({ attachments });
  }

  setCompose(change: Partial<Compose>): void {
    const { compose } = this.#state;
    if (compose !== null) this.set({ compose: { ...compose, ...change } });
  }

  async #continueDraft(id: string): Promise<void> {
    if (this.#state.compose !== null) return;
    const email = await this.#fetchOpen(id);
    this.set({ compose: draftOf(email, this.#state.identities) });
  }
}
