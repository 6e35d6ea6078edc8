/** A dialog of the browser's own kind: focus stays inside and returns afterwards. */

import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

export function Dialog(props: {
  readonly name: string;
  readonly close?: () => void;
  readonly children: JSX.Element;
}): JSX.Element {
  const box = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const before = document.activeElement;
    box.current?.showModal();
    return () => {
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={box}
      aria-label={props.name}
      onCancel={(event) => {
        event.preventDefault();
        props.close?.();
      }}
    >
      {props.children}
    </dialog>
  );
}
