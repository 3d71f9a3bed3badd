// @ts-check
/**
 * An answer while it is being given: its words, what the model thinks aloud, and the events before them.
 * Words arrive faster than a screen can change, so they are shown once per animation frame.
 */
import { batch, signal } from "../core/ui.js";

/** @typedef {import("./following.js").RunEvent} RunEvent */

export class Answering {
  /**
   * @param {string} run
   * @param {string} [text] what the server had kept of it
   * @param {number} [before] how much of that was there before the run: its events do not repeat it
   */
  constructor(run, text = "", before = 0) {
    this.run = run;
    this.text = signal(text);
    this.reasoning = signal("");
    /** Everything but the words. */
    this.events = signal(/** @type {RunEvent[]} */ ([]));
    this.lost = signal(false);
    this.words = text.slice(0, before);
    this.thoughts = "";
    this.frame = 0;
    /** @type {(text: string) => void} */
    this.shown = () => {};
  }

  /** @param {RunEvent} event */
  hear(event) {
    if (event.event === "token") {
      if (event.data.reasoning) this.thoughts += event.data.text;
      else this.words += event.data.text;
    } else {
      // What home says replaces the device's draft, which the event carries.
      if (event.event === "escalation") this.words = "";
      if (event.event === "answer") this.words = event.data.answer;
      this.events.value = [...this.events.value, event];
    }
    this.frame ||= requestAnimationFrame(() => this.show());
  }

  show() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    batch(() => {
      this.text.value = this.words;
      this.reasoning.value = this.thoughts;
    });
    this.shown(this.words);
  }
}
