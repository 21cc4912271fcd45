// What every page is: an element, and what it does with a new status.

import type { Connection } from "./connection.ts";

export interface Page {
  /** As it stands in the address behind #/, and in the navigation. */
  readonly path: string;
  readonly title: string;
  readonly element: HTMLElement;
  /** There is a new status, or the page was opened. Called only while it is shown. */
  update(connection: Connection): void;
  /** The page was opened: what it asks for itself is to be asked. */
  open?(): void;
  /** What the page asks for itself from time to time; called every five seconds while it is shown and not paused. */
  refresh?(): void;
}
