/** The window for a new message. */

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { DraftText } from "../addresses.ts";
import { attach, discard, saveDraft, sendSoon } from "../compose.ts";
import type { Mail } from "../mail.ts";
import { type Compose, keepDraft } from "../state.ts";
import { sizeText } from "../words.ts";
import { Icon, IconButton } from "./icons.tsx";

export function Writing({
  mail,
  compose,
}: {
  readonly mail: Mail;
  readonly compose: Compose;
}): JSX.Element {
  const { draft } = compose;
  useEffect(() => keepDraft(compose, mail.state.accountId), [compose]);
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    const first = draft.to === "" ? "#to" : "#text";
    const field = form.current?.querySelector<HTMLInputElement | HTMLTextAreaElement>(first);
    field?.focus();
    if (field instanceof HTMLTextAreaElement) field.setSelectionRange(0, 0);
  }, []);
  const change = (part: Partial<DraftText>): void => {
    mail.setCompose({ draft: { ...draft, ...part }, changed: true, fault: null });
  };
  const onKey = (event: KeyboardEvent): void => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    sendSoon(mail);
  };
  return (
    <form
      ref={form}
      class="writing"
      aria-label="New message"
      onKeyDown={onKey}
      onSubmit={(event) => {
        event.preventDefault();
        sendSoon(mail);
      }}
    >
      <div class="pane-head">
        <h2>{draft.subject === "" ? "New message" : draft.subject}</h2>
        <IconButton icon="close" name="Close" press={() => discard(mail)} />
      </div>
      <Envelope mail={mail} compose={compose} change={change} />
      <textarea
        id="text"
        aria-label="Text"
        value={draft.text}
        onInput={(event) => change({ text: event.currentTarget.value })}
      />
      <Files mail={mail} compose={compose} />
      {compose.fault !== null && (
        <p class="fault" role="alert">
          {compose.fault}
        </p>
      )}
      <Foot mail={mail} />
    </form>
  );
}

function Foot({ mail }: { readonly mail: Mail }): JSX.Element {
  return (
    <footer class="writing-foot">
      <button type="submit" class="primary" title="Ctrl+Enter">
        Send
      </button>
      <label class="button">
        <Icon name="attach" />
        Attach
        <input
          type="file"
          multiple
          class="spoken"
          onChange={(event) => {
            const files = [...(event.currentTarget.files ?? [])];
            event.currentTarget.value = "";
            void attach(mail, files);
          }}
        />
      </label>
      <span class="grow" />
      <button type="button" class="quiet" onClick={() => void saveDraft(mail)}>
        Save draft
      </button>
    </footer>
  );
}

interface EnvelopeProps {
  readonly mail: Mail;
  readonly compose: Compose;
  readonly change: (part: Partial<DraftText>) => void;
}

function Envelope({ mail, compose, change }: EnvelopeProps): JSX.Element {
  const { draft, identityId } = compose;
  const { identities } = mail.state;
  const [copies, setCopies] = useState(draft.cc !== "" || draft.bcc !== "");
  return (
    <div class="envelope">
      {identities.length > 1 && (
        <div class="field">
          <label for="from">From</label>
          <select
            id="from"
            value={identityId}
            onChange={(event) => mail.setCompose({ identityId: event.currentTarget.value })}
          >
            {identities.map((one) => (
              <option key={one.id} value={one.id}>
                {one.name === "" ? one.email : `${one.name} <${one.email}>`}
              </option>
            ))}
          </select>
        </div>
      )}
      <Field id="to" name="To" value={draft.to} change={(to) => change({ to })}>
        {!copies && (
          <button type="button" class="quiet" onClick={() => setCopies(true)}>
            Cc/Bcc
          </button>
        )}
      </Field>
      {copies && <Field id="cc" name="Cc" value={draft.cc} change={(cc) => change({ cc })} />}
      {copies && <Field id="bcc" name="Bcc" value={draft.bcc} change={(bcc) => change({ bcc })} />}
      <Field
        id="subject"
        name="Subject"
        value={draft.subject}
        change={(subject) => change({ subject })}
      />
    </div>
  );
}

interface FieldProps {
  readonly id: string;
  readonly name: string;
  readonly value: string;
  readonly change: (value: string) => void;
  readonly children?: JSX.Element | false;
}

function Field({ id, name, value, change, children }: FieldProps): JSX.Element {
  return (
    <div class="field">
      <label for={id}>{name}</label>
      <input
        id={id}
        type="text"
        autocomplete="off"
        spellcheck={id === "subject"}
        value={value}
        onInput={(event) => change(event.currentTarget.value)}
      />
      {children}
    </div>
  );
}

function Files({ mail, compose }: { readonly mail: Mail; readonly compose: Compose }): JSX.Element {
  const { attachments, uploading } = compose;
  return (
    <ul class="attachments" aria-label="Attachments" aria-live="polite">
      {attachments.map((one) => (
        <li key={one.blobId}>
          <span class="file">
            <Icon name="attach" />
            <span class="cut">{one.name}</span>
            <span class="soft">{sizeText(one.size)}</span>
            <IconButton
              icon="close"
              name={`Remove ${one.name}`}
              press={() =>
                mail.setCompose({
                  attachments: attachments.filter((other) => other !== one),
                  changed: true,
                })
              }
            />
          </span>
        </li>
      ))}
      {uploading > 0 && <li class="soft">Attaching …</li>}
    </ul>
  );
}
