/** Mailbox/set (RFC 8621 §2.5). */

import type { MailboxFault } from "#contracts/store";
import type { Mailbox, MailboxRole } from "#model/mailbox";
import { type Args, isId } from "./arguments.ts";
import { type Context, realId } from "./context.ts";
import { done, invalid, type Outcome, refused, type SetError } from "./failure.ts";
import { leafName, parentOf, sortOrderOf } from "./mailboxes.ts";
import type { Setter } from "./set.ts";

const roles: readonly string[] = ["inbox", "drafts", "sent", "trash", "junk", "archive"];

export function mailboxSetter(args: Args): Setter {
  const removesEmails = args["onDestroyRemoveEmails"] === true;
  return {
    create,
    update,
    destroy: (context, id) => destroy(context, id, removesEmails),
  };
}

async function create(context: Context, given: Args): Promise<Outcome<Args>> {
  const all = await context.store.mailboxes.list(context.account);
  const unknown = Object.keys(given).filter(
    (name) => !["name", "parentId", "role", "isSubscribed", "sortOrder"].includes(name),
  );
  if (unknown.length > 0) return refused(invalid(unknown, "Cannot be set."));
  const role = given["role"] ?? null;
  if (role !== null && !roles.includes(String(role)))
    return refused(invalid(["role"], "No such role."));
  if (role !== null && all.some((one) => one.role === role)) {
    return refused(invalid(["role"], "Another mailbox has this role."));
  }
  const name = fullName(context, all, given["name"], given["parentId"] ?? null);
  if (!name.ok) return name;
  const { mailboxes } = context.store;
  const asked = (role ?? undefined) as MailboxRole | undefined;
  const made = await mailboxes.create(context.account, name.value, asked);
  if (!made.ok) return refused(faultError(made.fault));
  const subscribed = given["isSubscribed"] === true;
  if (subscribed !== made.value.subscribed) await mailboxes.subscribe(made.value.id, subscribed);
  const { id } = made.value;
  return done({
    id,
    sortOrder: sortOrderOf(made.value),
    totalEmails: 0,
    unreadEmails: 0,
    totalThreads: 0,
    unreadThreads: 0,
    ...(given["isSubscribed"] === undefined && { isSubscribed: false }),
  });
}

async function update(context: Context, id: string, patch: Args): Promise<Outcome<Args | null>> {
  const all = await context.store.mailboxes.list(context.account);
  const mailbox = all.find((one) => one.id === id);
  if (mailbox === undefined) return refused({ type: "notFound" });
  for (const [name, value] of Object.entries(patch)) {
    const same = name === "role" && value === (mailbox.role ?? null);
    if (!["name", "parentId", "isSubscribed"].includes(name) && !same) {
      return refused(invalid([name], "Cannot be changed."));
    }
  }
  const { isSubscribed } = patch;
  if (isSubscribed !== undefined && typeof isSubscribed !== "boolean") {
    return refused(invalid(["isSubscribed"], "Must be true or false."));
  }
  if (Object.hasOwn(patch, "name") || Object.hasOwn(patch, "parentId")) {
    const parent = Object.hasOwn(patch, "parentId") ? patch["parentId"] : parentOf(mailbox, all);
    const name = fullName(context, all, patch["name"] ?? leafName(mailbox), parent);
    if (!name.ok) return name;
    if (name.value !== mailbox.name && mailbox.role !== "inbox") {
      if (`${name.value}/`.startsWith(`${mailbox.name}/`)) {
        return refused(invalid(["parentId"], "A mailbox cannot be inside itself."));
      }
      const renamed = await context.store.mailboxes.rename(id, name.value);
      if (!renamed.ok) return refused(faultError(renamed.fault));
    } else if (name.value !== mailbox.name && leafName(mailbox) !== name.value) {
      return refused({ type: "forbidden", description: "The inbox keeps its name." });
    }
  }
  if (isSubscribed !== undefined) await context.store.mailboxes.subscribe(id, isSubscribed);
  return done(null);
}

async function destroy(
  context: Context,
  id: string,
  removesEmails: boolean,
): Promise<SetError | undefined> {
  const all = await context.store.mailboxes.list(context.account);
  const mailbox = all.find((one) => one.id === id);
  if (mailbox === undefined) return { type: "notFound" };
  if (all.some((one) => parentOf(one, all) === id)) return { type: "mailboxHasChild" };
  if (mailbox.messages > 0 && !removesEmails) return { type: "mailboxHasEmail" };
  const removed = await context.store.mailboxes.remove(id);
  return removed.ok ? undefined : faultError(removed.fault);
}

/** The name with its parents', as the store keeps it. */
function fullName(
  context: Context,
  all: readonly Mailbox[],
  leaf: unknown,
  parentId: unknown,
): Outcome<string> {
  const fits =
    typeof leaf === "string" && leaf.trim() !== "" && leaf.length <= 200 && leaf.isWellFormed();
  if (!fits || leaf.includes("/")) return refused(invalid(["name"], "Not a name for a mailbox."));
  const name = leaf.normalize("NFC"); // RFC 8621 §2: Net-Unicode
  if (parentId === null) return done(name);
  const real = isId(parentId) ? realId(context, parentId) : undefined;
  const parent = all.find((one) => one.id === real);
  if (parent === undefined) return refused(invalid(["parentId"], "There is no such mailbox."));
  return done(`${parent.name}/${name}`);
}

function faultError(fault: MailboxFault): SetError {
  switch (fault) {
    case "no-such-mailbox":
      return { type: "notFound" };
    case "exists":
      return invalid(["name"], "There is a mailbox of that name.");
    case "bad-name":
      return invalid(["name"], "Not a name for a mailbox.");
    case "is-inbox":
    case "has-role":
      return { type: "forbidden", description: "This mailbox is needed." };
  }
}
