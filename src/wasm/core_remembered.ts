import { Code } from "../../wasm/contract.ts";
import type { Exports } from "./core_types.ts";

/** What remembers transactions that may be repeated, as a checkpoint holds it: see wasm/remembered_pieces.ts. */
export interface EncodedRemembered {
  readonly header: Uint8Array<ArrayBuffer>;
  /** First piece that is remembered; those before it are forgotten. */
  readonly firstPiece: bigint;
}

/** A piece of up to 1,024 remembered transactions, by its number; a full one never changes. */
export interface EncodedPiece {
  readonly piece: bigint;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

const RESTORING = "Cannot restore what is remembered";

/** The remembered transactions of a core, in and out of checkpoints. */
export class RememberedTransactions {
  /**
   * @param segmentBytes the first bytes of the area for encoded segments
   * @param check throws a CoreError for a code below zero
   */
  constructor(
    readonly core: Exports,
    readonly segmentBytes: (length: number) => Uint8Array<ArrayBuffer>,
    readonly check: (code: Code, what: string) => void,
  ) {}

  /** Forgets the oldest ones beyond a number. */
  limit(most: number): void {
    this.core.limitRemembered(most);
  }

  /** Entries of the index that count as remembered. Walks through the whole index: for tests. */
  inIndex(): number {
    return this.core.rememberedInIndex();
  }

  /** Encodes the header, as of the cut. */
  encode(): EncodedRemembered {
    const length = this.core.encodeRemembered();
    this.check(length, "Cannot encode what is remembered");
    const header = this.segmentBytes(length).slice();
    return { header, firstPiece: this.core.firstRememberedPiece() };
  }

  /** Encodes the next piece that no published checkpoint has; null when there is none left. */
  encodeNext(): EncodedPiece | null {
    const code = this.core.encodeRememberedPiece();
    this.check(code, "Cannot encode a piece of what is remembered");
    if (code === Code.Done) return null;
    const bytes = this.segmentBytes(this.core.rememberedPieceLength()).slice();
    return { piece: this.core.rememberedPiece(), bytes };
  }

  /** Puts the pieces from this one on into the next checkpoint, because the one that had them was not published. */
  mark(from: bigint): void {
    this.core.markRememberedPieces(from);
  }

  /**
   * Begins to restore into a new instance: the pieces follow, from the first one that is remembered on, in their order,
   * and then the index.
   *
   * @throws {CoreError} when the bytes do not follow the format, or more is remembered than may be
   */
  restore(header: Uint8Array): void {
    this.#put(header);
    this.check(this.core.restoreRemembered(header.length), RESTORING);
  }

  /** @throws {CoreError} when the bytes do not follow the format */
  restorePiece(bytes: Uint8Array): void {
    this.#put(bytes);
    this.check(this.core.restoreRememberedPiece(bytes.length), RESTORING);
  }

  /**
   * Builds the index of what was restored, in slices of a few milliseconds.
   *
   * @throws {CoreError} when pieces are missing
   */
  *restoreIndex(): Generator<void> {
    while (true) {
      const code = this.core.endRememberedRestore();
      this.check(code, RESTORING);
      if (code === Code.Done) return;
      yield;
    }
  }

  #put(bytes: Uint8Array): void {
    this.check(this.core.reserveSegmentBytes(bytes.length), "Cannot take a piece");
    this.segmentBytes(bytes.length).set(bytes);
  }
}
