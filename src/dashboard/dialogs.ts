// Questions that the reader must answer first.

import { button, h, on, setText } from "./dom.ts";

interface Question {
  readonly title: string;
  readonly text: string;
  /** What the button says that does it. */
  readonly action: string;
}

/** Asks whether something is to be done that cannot be undone. */
export function confirm({ title, text, action }: Question): Promise<boolean> {
  return new Promise((resolve) => {
    const dialog = h("dialog", { "aria-labelledby": "question", "aria-describedby": "meaning" });
    const close = (answer: boolean) => {
      dialog.close();
      dialog.remove();
      resolve(answer);
    };
    dialog.append(
      h("h2", { id: "question" }, title),
      h("p", { id: "meaning" }, text),
      h(
        "div",
        { class: "buttons" },
        button("Cancel", () => close(false), { autofocus: true }),
        button(action, () => close(true), { class: "danger" }),
      ),
    );
    on(dialog, "cancel", (event) => {
      event.preventDefault();
      close(false);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Asks for the token; stays until one is given. */
export class TokenDialog {
  readonly #token = h("input", {
    type: "password",
    id: "token",
    required: true,
    autocomplete: "off",
    spellcheck: "false",
    "aria-describedby": "token-said",
  });
  readonly #said = h("p", { id: "token-said", class: "said error", role: "alert" });
  readonly #dialog: HTMLDialogElement;

  constructor(onGiven: (token: string) => void) {
    const form = h(
      "form",
      { method: "dialog", class: "token" },
      h("h2", { id: "token-title" }, "A token is needed"),
      h("p", {}, "This service shows its data to those who bring its token (http.token)."),
      h("label", { for: "token" }, "Token"),
      this.#token,
      this.#said,
      h(
        "div",
        { class: "buttons" },
        h("button", { type: "submit", class: "primary" }, "Go on"),
      ),
      h("p", { class: "hint" }, "It is kept in this tab until it is closed."),
    );
    this.#dialog = h("dialog", { "aria-labelledby": "token-title" }, form);
    on(this.#dialog, "cancel", (event) => event.preventDefault());
    on(form, "submit", (event) => {
      event.preventDefault();
      const given = this.#token.value.trim();
      this.#token.value = "";
      this.#dialog.close();
      onGiven(given);
    });
    document.body.append(this.#dialog);
  }

  ask(isWrong: boolean): void {
    setText(this.#said, isWrong ? "The service does not take this token." : "");
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#token.focus();
  }
}
