// The part of cli-progress that is used: its own types (@types/cli-progress) bring those of node, which
// differ from Deno's.

/** What it needs of a stream of node. */
export interface Stream {
  readonly isTTY: true;
  /** Width in characters. */
  readonly columns: number;
  write(text: string): boolean;
}

export interface Options {
  readonly format: string;
  readonly barsize: number;
  readonly stream: Stream;
  readonly clearOnComplete: boolean;
  readonly linewrap: boolean;
  readonly forceRedraw: boolean;
}

export interface Bar {
  setTotal(total: number): void;
  update(value: number, payload: object): void;
}

export declare class MultiBar {
  constructor(options: Options);
  create(total: number, value: number, payload: object): Bar;
  /** Draws now. */
  update(): void;
  stop(): void;
}
