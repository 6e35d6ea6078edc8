/** xtext, the escape of DSN and AUTH parameters (RFC 3461 §4). */

const shape = /^(?:[!-*,-<>-~]|\+[0-9A-F]{2})*$/;

/** @returns null when the text is no xtext, or hides a control character */
export function decodeXtext(text: string): string | null {
  if (!shape.test(text)) return null;
  const decoded = text.replace(/\+([0-9A-F]{2})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  );
  return /^[\x20-\x7e]*$/.test(decoded) ? decoded : null;
}

/** @returns "" for what is not printable ASCII, which xtext cannot say */
export function encodeXtext(text: string): string {
  if (!/^[\x20-\x7e]*$/.test(text)) return "";
  return text.replace(/[^!-*,-<>-~]/g, (char) => {
    const digits = char.charCodeAt(0).toString(16).toUpperCase();
    return `+${digits.padStart(2, "0")}`;
  });
}
