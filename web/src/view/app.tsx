/** The whole window: bar, mailboxes, list, message, and what lies above them. */

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { keyHelp, listenToKeys } from "../keys.ts";
import { stayLive } from "../live.ts";
import type { Mail } from "../mail.ts";
import { signingOut, watchSession } from "../session-watch.ts";
import type { Notice } from "../state.ts";
import type { ReadByOther } from "../types.ts";
import { fullDate } from "../words.ts";
import { Dialog } from "./dialog.tsx";
import { EndingBox } from "./ending.tsx";
import { Icon, IconButton } from "./icons.tsx";
import { MessageList } from "./list.tsx";
import { MessagePane } from "./message.tsx";
import { Security } from "./security.tsx";
import { Sidebar } from "./sidebar.tsx";
import { applyTheme, chosenTheme, type Theme } from "./theme.ts";
import { Writing } from "./writing.tsx";

export function App({ mail }: { readonly mail: Mail }): JSX.Element {
  const [, redraw] = useState(0);
  useEffect(() => mail.subscribe(() => redraw((count) => count + 1)), [mail]);
  useEffect(() => listenToKeys(mail), [mail]);
  const { ready, signedOut, mailboxes, compose, openId } = mail.state;
  const { keysShown, menuShown, notice, reads, ending, view } = mail.state;
  const live = ready === "ready" && !signedOut;
  useEffect(() => (live ? stayLive(mail) : undefined), [live, mail]);
  const known = live || ready === "enrolling";
  useEffect(() => (known ? watchSession(mail) : undefined), [known, mail]);
  const unread = mailboxes.find((one) => one.role === "inbox")?.unreadEmails ?? 0;
  useEffect(() => {
    const mailTitle = unread > 0 ? `(${unread}) Mail` : "Mail";
    document.title = `${view === "security" ? "Security" : mailTitle} · Postern`;
  }, [unread, view]);
  if (signedOut) return <SignedOut />;
  if (ready === "failed") return <Failed mail={mail} />;
  const above = (
    <>
      <div class="notices" role="status" aria-live="polite">
        {notice !== null && <NoticeBox mail={mail} notice={notice} />}
      </div>
      {ending !== null && <EndingBox mail={mail} ending={ending} />}
    </>
  );
  if (view === "security") {
    return (
      <div class="window settings">
        <Security mail={mail} />
        {above}
      </div>
    );
  }
  return (
    <div class={openId === null ? "window" : "window reading"}>
      <Bar mail={mail} />
      <Sidebar mail={mail} />
      {menuShown && (
        <button
          type="button"
          class="veil"
          aria-label="Close the menu"
          onClick={() => mail.set({ menuShown: false })}
        />
      )}
      <main class="panes">
        <MessageList mail={mail} />
        <MessagePane mail={mail} />
      </main>
      {compose !== null && <Writing mail={mail} compose={compose} />}
      {keysShown && <Keys close={() => mail.set({ keysShown: false })} />}
      {reads !== null && <Reads reads={reads} close={() => mail.set({ reads: null })} />}
      {above}
    </div>
  );
}

function Bar({ mail }: { readonly mail: Mail }): JSX.Element {
  const { username, online, search, mailboxId, menuShown } = mail.state;
  const field = useRef<HTMLInputElement>(null);
  return (
    <header class="bar-top">
      <h1 class="spoken">Mail</h1>
      <span class="menu-button">
        <IconButton
          icon="menu"
          name="Mailboxes"
          pressed={menuShown}
          press={() => mail.set({ menuShown: !menuShown })}
        />
      </span>
      <span class="brand">
        <svg viewBox="0 0 24 24" aria-hidden="true">
          <path d="M4 21V10a8 8 0 0 1 16 0v11M2 21h20M9 21v-8a3 3 0 0 1 6 0v8" />
        </svg>
        <span>Postern</span>
      </span>
      <form
        class="search"
        role="search"
        onSubmit={(event) => {
          event.preventDefault();
          mail.openMailbox(mailboxId, field.current?.value.trim() ?? "");
          field.current?.blur();
        }}
      >
        <Icon name="search" />
        <label class="spoken" for="search">
          Search
        </label>
        <input
          ref={field}
          id="search"
          type="search"
          placeholder="Search"
          key={search}
          defaultValue={search}
        />
      </form>
      <span class="grow" />
      {!online && (
        <span class="offline" role="status">
          Offline
        </span>
      )}
      <span class="user soft cut">{username}</span>
      <ThemeButton />
      <span class="keys-button">
        <IconButton icon="keys" name="Keys" keys="?" press={() => mail.set({ keysShown: true })} />
      </span>
      <IconButton icon="seen" name="Read by others" press={() => mail.showReads()} />
      <IconButton icon="shield" name="Security" press={() => mail.set({ view: "security" })} />
      <SignOut />
    </header>
  );
}

function SignOut(): JSX.Element {
  return (
    <form method="post" action="/logout" onSubmit={signingOut}>
      <button type="submit" class="icon-button" aria-label="Sign out" title="Sign out">
        <Icon name="signOut" />
      </button>
    </form>
  );
}

const nextTheme: Readonly<Record<Theme, Theme>> = { auto: "light", light: "dark", dark: "auto" };
const themeIcons = { auto: "auto", light: "sun", dark: "moon" } as const;
const themeWords = { auto: "as the system", light: "light", dark: "dark" } as const;

function ThemeButton(): JSX.Element {
  const [theme, setTheme] = useState(chosenTheme());
  const press = (): void => {
    applyTheme(nextTheme[theme]);
    setTheme(nextTheme[theme]);
  };
  return (
    <IconButton icon={themeIcons[theme]} name={`Colours: ${themeWords[theme]}`} press={press} />
  );
}

function NoticeBox({
  mail,
  notice,
}: {
  readonly mail: Mail;
  readonly notice: Notice;
}): JSX.Element {
  const [, tick] = useState(0);
  useEffect(() => {
    if (notice.untilMs === undefined) return;
    const timer = window.setInterval(() => tick((count) => count + 1), 500);
    return () => window.clearInterval(timer);
  }, [notice]);
  const seconds = Math.max(0, Math.ceil(((notice.untilMs ?? 0) - Date.now()) / 1000));
  return (
    <div class={`notice ${notice.tone}`}>
      <span>{notice.text}</span>
      {notice.untilMs !== undefined && <span aria-hidden="true">{seconds} s</span>}
      {notice.undo !== undefined && (
        <button type="button" class="undo" onClick={notice.undo}>
          Undo
        </button>
      )}
      <IconButton icon="close" name="Dismiss" press={() => mail.dismissNotice()} />
    </div>
  );
}

function Reads(props: {
  readonly reads: readonly ReadByOther[];
  readonly close: () => void;
}): JSX.Element {
  return (
    <Dialog name="Read by others" close={props.close}>
      <>
        <h2>Read by others</h2>
        {props.reads.length === 0 && <p>Nobody but you has read your mail.</p>}
        <ul class="reads">
          {props.reads.map(({ atMs, by, reason, message, subject }) => (
            <li key={`${atMs} ${message}`}>
              <strong class="cut">{subject ?? "(a message without a subject, or gone)"}</strong>
              <span>
                {fullDate(new Date(atMs).toISOString())}, by {by}
              </span>
              <span class="soft">{reason}</span>
            </li>
          ))}
        </ul>
        <button type="button" onClick={props.close}>
          Close
        </button>
      </>
    </Dialog>
  );
}

function Keys({ close }: { readonly close: () => void }): JSX.Element {
  return (
    <Dialog name="Keys" close={close}>
      <>
        <h2>Keys</h2>
        <dl class="keys">
          {keyHelp.map(([keys, does]) => (
            <div key={keys}>
              <dt>
                {keys.split("  ").map((key) => (
                  <kbd key={key}>{key}</kbd>
                ))}
              </dt>
              <dd>{does}</dd>
            </div>
          ))}
        </dl>
        <button type="button" onClick={close}>
          Close
        </button>
      </>
    </Dialog>
  );
}

/** Nothing of the mail stays on the screen; the form says why it is there. */
function SignedOut(): JSX.Element {
  useEffect(() => location.replace("/login?why=ended&return=%2Fmail%2F"), []);
  return (
    <div class="empty whole">
      <h1>You have been signed out</h1>
      <p class="soft">The session ended. What you were writing is kept until you are back.</p>
      <a class="button primary" href="/login?why=ended&return=%2Fmail%2F">
        Sign in again
      </a>
    </div>
  );
}

function Failed({ mail }: { readonly mail: Mail }): JSX.Element {
  const again = (): void => {
    mail.set({ ready: "loading" });
    void mail.start();
  };
  return (
    <div class="empty whole">
      <h1>Your mail is out of reach for a moment</h1>
      <p class="soft">The mail server does not answer. Nothing is lost.</p>
      <button type="button" class="primary" onClick={again}>
        Try again
      </button>
    </div>
  );
}
