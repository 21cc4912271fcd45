const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const lenient = new TextDecoder("utf-8", { ignoreBOM: true });
const encoder = new TextEncoder();

/** Decodes UTF-8; null when the bytes are not well-formed. A byte order mark is kept. */
export function decodeUtf8(bytes: Uint8Array): string | null {
  try {
    // The lenient decoder is the fast one; where it replaced nothing, the bytes are well-formed.
    const text = lenient.decode(bytes);
    return text.includes("\uFFFD") ? strict.decode(bytes) : text;
  } catch {
    return null;
  }
}

/** Decodes UTF-8 for people to read: what is not well-formed shows as U+FFFD. */
export function showUtf8(bytes: Uint8Array): string {
  return lenient.decode(bytes);
}

/** Encodes a string as UTF-8; a lone surrogate becomes U+FFFD. */
export function encodeUtf8(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text);
}
