/** The one script of the login pages: asks for a challenge, has a passkey sign it, sends the form. */

/**
 * Runs in the browser (WebAuthn §5.1). It reads and fills the form `#passkey` and nothing else; what
 * it cannot do, the other ways on the page can.
 */
export const passkeyScript = `"use strict";
(() => {
  const form = document.getElementById("passkey");
  if (!form || !window.PublicKeyCredential) return;
  const said = document.getElementById("said");
  const button = form.querySelector("button");
  const octets = (text) =>
    Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (one) => one.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer)))
      .replace(/\\+/g, "-").replace(/\\//g, "_").replace(/=+$/, "");

  const challenge = async () => {
    const body = new URLSearchParams({
      token: form.elements.token.value,
      step: "passkey-challenge",
      pending: form.elements.pending.value,
      computer: document.querySelector("input[name=computer]:checked")?.value ?? "public",
    });
    const answer = await fetch("/login", { method: "POST", body });
    const given = await answer.json();
    if (!answer.ok) throw new Error(given.text ?? "The server is out of reach for a moment. Please try again.");
    return given;
  };

  const credential = async ({ options }) => {
    const found = await navigator.credentials.get({
      publicKey: {
        ...options,
        challenge: octets(options.challenge),
        allowCredentials: (options.allowCredentials ?? []).map((one) => ({ ...one, id: octets(one.id) })),
      },
    });
    const { clientDataJSON, authenticatorData, signature, userHandle } = found.response;
    return JSON.stringify({
      id: found.id,
      rawId: text(found.rawId),
      type: found.type,
      authenticatorAttachment: found.authenticatorAttachment ?? undefined,
      clientExtensionResults: found.getClientExtensionResults(),
      response: {
        clientDataJSON: text(clientDataJSON),
        authenticatorData: text(authenticatorData),
        signature: text(signature),
        userHandle: userHandle ? text(userHandle) : undefined,
      },
    });
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    said.textContent = "";
    button.disabled = true;
    try {
      const given = await challenge();
      form.elements.credential.value = await credential(given);
      form.elements.pending.value = given.pending;
      form.submit();
    } catch (error) {
      button.disabled = false;
      said.textContent =
        error instanceof DOMException || error instanceof TypeError || error instanceof SyntaxError
          ? "No passkey was used. Try again, or sign in another way."
          : error.message;
    }
  });
  form.hidden = false;
})();
`;
