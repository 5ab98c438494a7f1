// The worker: unpacks the verifier, runs it once and says what it found.
onmessage = async ({ data }) => {
  try {
    const packed = Uint8Array.from(atob(data.verifier), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const go = new Go();
    const { instance } = await WebAssembly.instantiate(await new Response(stream).arrayBuffer(), go.importObject);
    go.run(instance);
    postMessage(JSON.parse(verify(new Uint8Array(data.archive), data.trust)));
  } catch {
    postMessage({ fault: "the verifier stopped: the file is damaged, or too large for this browser." });
  }
};
