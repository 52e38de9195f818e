// A spec in the fragment of an address: deflated, in base64 of the kind for addresses.

async function through(bytes, stream) {
  const piped = new Blob([bytes]).stream().pipeThrough(stream);
  return new Uint8Array(await new Response(piped).arrayBuffer());
}

export async function packed(text) {
  const bytes = await through(new TextEncoder().encode(text), new CompressionStream("deflate-raw"));
  const letters = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return btoa(letters).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

export async function unpacked(code) {
  const letters = atob(code.replaceAll("-", "+").replaceAll("_", "/"));
  const bytes = Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
  return new TextDecoder().decode(await through(bytes, new DecompressionStream("deflate-raw")));
}

/** What an address asks for: `{text}`, `{example}` or nothing. */
export async function asked(fragment) {
  const given = new URLSearchParams(fragment.replace(/^#/, ""));
  if (given.has("spec")) {
    try {
      return { text: await unpacked(given.get("spec")) };
    } catch {
      return { broken: true };
    }
  }
  return given.has("example") ? { example: given.get("example") } : {};
}
